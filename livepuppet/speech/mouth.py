"""From what the network hears to a mouth that moves like one: opens fast, closes slowly, and always closes where lips must meet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from livepuppet.speech.features import HOP_S, RATE, Rows, SpeechFeatures
from livepuppet.speech.mouth_network import CHANNELS, FUTURE, PAST, hear
from livepuppet.types import Floats
from livepuppet.vision.expressions import unit_weights

JAW, SPREAD, ROUND, TEETH, SHUT, BITE, VOICE = range(len(CHANNELS))
LOUD = len(CHANNELS)
"""The column of a state that says how loud it is: nepers above this voice's usual."""

OPENS_S, CLOSES_S = 0.030, 0.075
"""How fast the jaw follows (a first-order low-pass's time): muscles open a mouth faster than it falls shut between sounds."""
SHAPES_S = 0.045
MEETS_S, PARTS_S = 0.008, 0.030
"""The same for lips that meet, and that part again."""
SURE = (0.27, 0.52)
"""Below and above: no contact of the lips, and a whole one."""
SPEAKING = (0.25, 0.55)
SILENT_NEPERS = 2.6
"""So far below this voice's usual loudness a row is silence whatever the network says."""
ABOVE_FLOOR = (0.8, 1.4)
"""Nepers above the quietest of late, below and above which a row is silence, and may be speech: a fan or a hum is no voice."""
FLOOR_RISES = 0.4
"""Nepers a second by which the quietest of late is forgotten."""
USUAL_S = 4.0
"""How slowly the usual loudness follows."""
EMPHASIS = 0.16
"""How much wider a neper of loudness opens the jaw."""
REACH_S = 0.02
"""Half of what a frame shows: lips that meet within it are shown meeting."""

States = NDArray[np.float32]
"""(N, LOUD + 1): the network's channels as a mouth follows them, and how loud it is; one row every HOP_S."""


class SpeechMouth:
    """Follows one voice. Feed it sound; not for several threads at once.

    Args:
        loudest: what is known of the level beforehand, see `SpeechFeatures`.
        usual, floor: and how loud speech and silence are, the log power of a row.
    """

    LOOKAHEAD_S = FUTURE * HOP_S + 0.01
    """So much later than a sound its mouth is known."""

    def __init__(self, loudest: float | None = None, usual: float | None = None, floor: float | None = None) -> None:
        self._features = SpeechFeatures() if loudest is None else SpeechFeatures(loudest)
        self._rows: Rows | None = None
        self._loudness = np.zeros(0, np.float32)
        self._state = np.zeros(LOUD + 1, np.float32)
        self._usual = usual
        self._floor = floor
        self._unsettled = 3  # rows that begin before the sound

    def __call__(self, samples: NDArray[np.float32]) -> States:
        """The states that have become known by these samples (at RATE, -1 … 1)."""
        rows, loudness = self._features(samples)
        if self._rows is None:
            self._rows = np.zeros((PAST, rows.shape[1]), np.float32)
        self._rows = np.concatenate([self._rows, rows])
        self._loudness = np.concatenate([self._loudness, loudness])
        count = max(0, len(self._rows) - PAST - FUTURE)
        said, loud = hear(self._rows), self._loudness[:count]
        self._rows, self._loudness = self._rows[count:], self._loudness[count:]
        out = np.empty((count, LOUD + 1), np.float32)
        for i in range(count):
            out[i] = self._followed(said[i], float(loud[i]))
        return out

    def finish(self) -> States:
        """The states of the last sounds: what comes after them is silence."""
        return self(np.zeros(round((self.LOOKAHEAD_S + 0.02) * RATE), np.float32))

    def _followed(self, said: NDArray[np.float32], loudness: float) -> NDArray[np.float32]:
        state = self._state
        if self._unsettled:
            self._unsettled -= 1
            return state
        self._floor = loudness if self._floor is None else min(loudness, self._floor + FLOOR_RISES * HOP_S)
        voice = ramp(float(said[VOICE]), *SPEAKING) * ramp(loudness - self._floor, *ABOVE_FLOOR)
        if self._usual is None or (voice > 0.5 and loudness - self._usual > 3 * SILENT_NEPERS):
            self._usual = loudness
        voice *= ramp(loudness - self._usual, -SILENT_NEPERS * 1.3, -SILENT_NEPERS)
        self._usual += voice * float(newest_share(USUAL_S)) * (loudness - self._usual)
        loud = float(np.clip(loudness - self._usual, -2.0, 2.0)) * voice
        jaw = float(said[JAW]) * voice * (1 + EMPHASIS * loud)
        state[JAW] += newest_share(OPENS_S if jaw > state[JAW] else CLOSES_S) * (jaw - state[JAW])
        for channel in (SPREAD, ROUND, TEETH):
            state[channel] += newest_share(SHAPES_S) * (float(said[channel]) * voice - state[channel])
        for channel in (SHUT, BITE):
            contact = ramp(float(said[channel]), *SURE) * (voice > 0)
            state[channel] += newest_share(MEETS_S if contact > state[channel] else PARTS_S) * (contact - state[channel])
        state[VOICE] += newest_share(OPENS_S if voice > state[VOICE] else CLOSES_S) * (voice - state[VOICE])
        state[LOUD] += newest_share(SHAPES_S) * (loud - state[LOUD])
        return state


def newest_share(seconds: float) -> float:
    """The newest row's share in a first-order low-pass of that time."""
    return HOP_S / (HOP_S + seconds)


def ramp(value: float, low: float, high: float) -> float:
    """0 below `low`, 1 above `high`, straight between."""
    return min(1.0, max(0.0, (value - low) / (high - low)))


def mouth_at(states: States, row: float) -> NDArray[np.float32]:
    """The state at a row's place between rows; lips that meet within REACH_S of it do meet.

    Args:
        states: at least one.
    """
    low = int(np.clip(np.floor(row), 0, len(states) - 1))
    high = min(low + 1, len(states) - 1)
    share = np.float32(np.clip(row - low, 0, 1))
    state = np.asarray(states[low] * (1 - share) + states[high] * share, np.float32)
    reach = round(REACH_S / HOP_S)
    near = states[max(0, low - reach + 1) : high + reach]
    state[[SHUT, BITE]] = near[:, [SHUT, BITE]].max(0)
    return state


def mouth_weights(state: NDArray[np.float32]) -> Floats:
    """The units (52,) of a state (LOUD + 1,)."""
    jaw, spread, round_, teeth, shut, bite = (float(state[i]) for i in (JAW, SPREAD, ROUND, TEETH, SHUT, BITE))
    apart = (1 - shut) * (1 - 0.85 * bite)
    return unit_weights(
        {
            "jawOpen": 0.44 * jaw * apart + 0.03 * bite,
            "mouthStretch": 0.28 * spread,
            "mouthSmile": 0.18 * spread,
            "mouthPucker": 0.75 * round_ * (1 - 0.5 * jaw),
            "mouthFunnel": 0.5 * round_ * apart,
            "mouthUpperUp": 0.3 * teeth * (1 - shut) + 0.1 * bite,
            "mouthLowerDown": 0.3 * teeth * apart,
            "mouthPress": 0.35 * shut,
            "mouthRollLower": 0.22 * shut + 0.5 * bite,
            "mouthRollUpper": 0.15 * shut,
        }
    )
