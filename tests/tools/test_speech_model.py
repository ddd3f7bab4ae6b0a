"""How the mouth's network is taught: what a mouth does for known sounds, recordings that differ, and a net that learns from them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from livepuppet.speech.features import RATE
from livepuppet.speech.mouth_network import CHANNELS
from tools.speech_model.listening import read_speech, recorded
from tools.speech_model.phones import LANGUAGES, VISEMES, aims_of, targets
from tools.speech_model.training import Lessons, prepare, save, train
from tools.speech_model.voices import VOICES, sentence

JAW, ROUND, SHUT, VOICE = (CHANNELS.index(name) for name in ("jaw", "round", "shut", "voice"))


def test_every_sound_has_a_mouth() -> None:
    for language, sounds in LANGUAGES.items():
        assert all(set(aims_of(sound, language)) <= VISEMES.keys() for sound in sounds)
    assert aims_of("ay", "english") == ("a", "i")
    with pytest.raises(KeyError):
        aims_of("ay", "czech")


def test_lips_meet_at_p_and_round_before_u() -> None:
    rows = targets([("pau", 0.3), ("aa", 0.5), ("p", 0.58), ("uw", 0.78), ("pau", 1.1)], "english", 110)
    assert rows[40, JAW] > 0.7 and rows[54, JAW] < 0.1 and rows[54, SHUT] == 1 and rows[40, SHUT] == 0
    assert rows[54, ROUND] < rows[57, ROUND] < rows[65, ROUND], "the lips begin to round while they are still together"
    assert rows[5, JAW] < 0.05 and rows[105, JAW] < 0.05
    assert not rows[:30, VOICE].any() and rows[30:78, VOICE].all() and not rows[78:, VOICE].any()


def test_sentences_are_the_same_for_a_seed() -> None:
    for voice in VOICES:
        one, again = (sentence(voice.language, np.random.default_rng(3)) for _ in range(2))
        assert one == again and one


def test_it_learns_from_recordings_that_differ(tmp_path: Path) -> None:
    """Hums for vowels and nothing for p: enough to see that sound, labels and network fit together."""
    import wave

    rng = np.random.default_rng(1)
    for number in range(6):
        segments, parts, end = [], [], 0.0
        for i in range(12):
            length = float(rng.uniform(0.12, 0.25))
            end += length
            segments.append(("aa" if i % 2 else "p", end))
            t = np.arange(round(length * RATE)) / RATE
            parts.append((np.sin(2 * np.pi * 700 * t) + np.sin(2 * np.pi * 130 * t)) * 0.2 if i % 2 else rng.normal(0, 0.001, len(t)))
        with wave.open(str(tmp_path / f"v_{number}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes((np.concatenate(parts) * 32767).astype("<i2").tobytes())
        (tmp_path / f"v_{number}.json").write_text(json.dumps({"language": "english", "segments": segments}))
    paths = sorted(tmp_path.glob("*.json"))
    speech = read_speech(paths[0].with_suffix(".wav"))
    one, other = (recorded(speech, np.random.default_rng(seed))[0] for seed in (1, 2))
    assert one.shape != other.shape or not np.allclose(one, other)
    lessons = prepare(paths, 2, seed=1)
    lessons.save(tmp_path / "lessons.npz")
    again = Lessons.load(tmp_path / "lessons.npz")
    assert np.array_equal(again.rows, lessons.rows) and np.array_equal(again.places, lessons.places)
    net = train(lessons, tmp_path / "net.npz", epochs=8)
    inputs, wanted = lessons.batch(np.arange(len(lessons.places)))
    said = net.eval()(inputs).sigmoid().detach().numpy()
    assert np.corrcoef(said[:, JAW], wanted[:, JAW].numpy())[0, 1] > 0.6
    save(net, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes()[:2] == b"PK"
