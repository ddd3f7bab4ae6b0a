"""A voice moves a mouth: whatever its level, in whatever pieces it comes; lips meet where they must, silence is still, eyes live on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from livepuppet.speech.features import HOP_S, RATE, SpeechFeatures
from livepuppet.speech.liveliness import Liveliness
from livepuppet.speech.mouth import BITE, JAW, LOUD, SHUT, SpeechMouth, States, mouth_at, mouth_weights
from livepuppet.speech.mouth_network import CHANNELS, load_layers
from livepuppet.speech.talker import Level, Talker
from livepuppet.video.samples import SampleReader
from livepuppet.vision.expressions import EXPRESSION_UNITS

VOICE = Path(__file__).parents[1] / "cases/voice.mp3"
"""'Maybe Bob will buy some apples. My pal Pam came home, and five wolves played over the valley.' said by Debian's flite."""
CLOSURES = {
    "Bob, end": (0.80, 0.83), "buy": (1.04, 1.10), "some": (1.43, 1.51), "pal": (2.45, 2.52), "Pam, begin": (2.70, 2.75),
    "Pam, end": (2.96, 3.04), "came": (3.25, 3.32), "home": (3.63, 3.71),
}  # fmt: skip
"""Seconds in which its lips are pressed together."""
VOWELS = {"Bob": (0.62, 0.78), "pal": (2.54, 2.59), "Pam": (2.80, 2.94), "valley": (5.36, 5.46)}
Samples = NDArray[np.float32]


@pytest.fixture(scope="module")
def voice() -> Samples:
    with SampleReader(str(VOICE), RATE) as reader:
        return np.concatenate(list(reader))


def followed(samples: Samples, piece: int | None = None) -> States:
    mouth = SpeechMouth()
    piece = piece or len(samples)
    parts = [mouth(samples[i : i + piece]) for i in range(0, len(samples), piece)]
    return np.concatenate([*parts, mouth.finish()])


def opening(states: States) -> NDArray[np.float32]:
    return np.asarray(states[:, JAW] * (1 - states[:, SHUT]) * (1 - states[:, BITE]))


def test_the_network_that_is_shipped_is_small_and_whole() -> None:
    layers = load_layers()
    assert layers[-1][0].shape[1] == len(CHANNELS)
    assert sum(weight.size for weight, _ in layers) < 500_000
    assert all(np.isfinite(weight).all() and np.isfinite(bias).all() for weight, bias in layers)


def test_rows_do_not_depend_on_the_pieces_or_the_level(voice: Samples) -> None:
    whole, _ = SpeechFeatures()(voice)
    features, rows = SpeechFeatures(), []
    for i in range(0, len(voice), 777):
        rows.append(features(voice[i : i + 777])[0])
    assert np.array_equal(np.concatenate(rows), whole)
    loud, quiet = (SpeechFeatures(loudest=20.0 * i)(voice * np.float32(np.exp(10.0 * i)))[0] for i in (0.0, -0.1))
    assert np.abs(loud - quiet).mean() < 0.02


def test_a_mouth_does_not_depend_on_the_pieces(voice: Samples) -> None:
    assert np.allclose(followed(voice), followed(voice, 320), atol=1e-5)


@pytest.mark.parametrize("gain", [1.0, 0.1])
def test_lips_meet_where_they_must_and_vowels_are_open(voice: Samples, gain: float) -> None:
    states = followed(voice * np.float32(gain))
    open_ = opening(states)
    for word, (begin, end) in VOWELS.items():
        assert open_[round(begin / HOP_S) : round(end / HOP_S)].max() > 0.35, word
    for word, (begin, end) in CLOSURES.items():
        at_25 = [mouth_at(states, frame / 25 / HOP_S) for frame in range(round(begin * 25), round((end + 0.04) * 25) + 1)]
        assert opening(np.array(at_25)).min() < 0.12, word


def test_silence_is_still(voice: Samples) -> None:
    assert not followed(np.zeros(2 * RATE, np.float32))[:, [JAW, SHUT, BITE]].any()
    noise = np.random.default_rng(1).normal(0, 0.003, 4 * RATE).astype(np.float32)
    assert opening(followed(noise)).max() < 0.1
    quiet = followed(np.concatenate([voice, np.zeros(RATE, np.float32)]))[-50:]
    assert opening(quiet).max() < 0.02


def test_a_mouth_is_known_soon_enough() -> None:
    assert SpeechMouth.LOOKAHEAD_S <= 0.08
    mouth = SpeechMouth()
    known = sum(len(mouth(np.zeros(320, np.float32))) for _ in range(50))
    assert known * HOP_S >= 1.0 - 0.08


def test_weights_are_weights_and_rest_is_rest() -> None:
    assert not mouth_weights(np.zeros(LOUD + 1, np.float32)).any()
    rng = np.random.default_rng(2)
    for _ in range(50):
        weights = mouth_weights(rng.uniform(0, 1, LOUD + 1).astype(np.float32))
        assert weights.shape == (len(EXPRESSION_UNITS),) and (weights >= 0).all() and (weights <= 1).all()


def test_head_and_eyes_are_the_same_for_a_seed_and_alive_for_any() -> None:
    def minute(seed: int) -> NDArray[np.float64]:
        alive = Liveliness(seed)
        rows = []
        for frame in range(60 * 25):
            head, gaze, lids, brow = alive(frame / 25, float(frame % 100 < 70), 0.8 * float(frame % 50 < 5))
            rows.append([*head, *gaze, lids, brow])
        return np.array(rows)

    one, again, other = minute(1), minute(1), minute(2)
    assert np.array_equal(one, again) and not np.allclose(one, other)
    for rows in (one, other):
        shut = rows[:, 5] > 0.8
        assert 8 <= (shut[1:] & ~shut[:-1]).sum() <= 30, "blinks in a minute"
        assert np.abs(rows[:, :3]).max() < 0.2 and np.abs(rows[:, 3:5]).max() < 0.35
        assert rows[:, 1].std() > 0.003 and rows[:, 3].std() > 0.02, "nods and glances"
        assert np.abs(np.diff(rows[:, :3], axis=0)).max() < 0.02, "a head does not jump"


def test_a_talker_is_silent_before_and_long_after_the_sound(voice: Samples) -> None:
    talker = Talker(level=Level.of([voice]))
    assert not talker.mouth(0.0).any()
    talker.hear(voice)
    talker.finish()
    assert talker.mouth(0.7)[EXPRESSION_UNITS.index("jawOpen")] > 0.1
    assert not talker.mouth(60.0).any()


def test_memory_does_not_grow_with_the_talk(voice: Samples) -> None:
    talker = Talker()
    for i in range(30):
        talker.hear(voice[:RATE])
        talker.face(i + 0.5)
    assert talker.known_until > 29 and len(talker._states) < 2000
