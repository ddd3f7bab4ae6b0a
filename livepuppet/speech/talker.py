"""A voice as a driver: sound in, the expression of a whole face out, from a file or as it is spoken."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from livepuppet.speech.features import HOP_S, QUIETEST, SpeechFeatures
from livepuppet.speech.liveliness import Liveliness
from livepuppet.speech.mouth import LOUD, VOICE, SpeechMouth, mouth_at, mouth_weights
from livepuppet.types import ExpressionFrame, Floats
from livepuppet.vision.expressions import unit_weights

KEPT_S = 1.0
"""States older than this are forgotten."""
BELOW_LOUD = 1.0
"""Nepers by which a voice's usual loudness is below its loud moments."""


@dataclass(frozen=True)
class Level:
    """How loud a recording is, in the features' terms.

    Attributes:
        loudest: the loud moments of its speech; a knock on the table counts little.
        usual: its speech.
        floor: its pauses.
    """

    loudest: float
    usual: float
    floor: float

    @classmethod
    def of(cls, blocks: Iterable[NDArray[np.float32]]) -> Level:
        """Measured of all its samples, which may come in blocks."""
        peaks: list[float] = []
        rows: list[NDArray[np.float32]] = []
        features = SpeechFeatures()
        for block in blocks:
            features.loudest = QUIETEST
            rows.append(features(block)[1])
            peaks.append(features.loudest)
        loudness = np.concatenate(rows) if rows else np.zeros(0)
        if not len(loudness):
            return cls(QUIETEST, QUIETEST, QUIETEST)
        loudest, usual, floor = np.percentile(peaks, 99), np.percentile(loudness, 98) - BELOW_LOUD, np.percentile(loudness, 5)
        return cls(float(loudest), float(usual), float(floor))


class Talker:
    """Feed it sound with `hear`, ask it with `face` for rising times. Not for several threads at once.

    Args:
        seed: of blinks, glances and sway.
        level: where all of the sound is there beforehand, what `Level` measured of it.
    """

    def __init__(self, seed: int = 0, level: Level | None = None) -> None:
        self._mouth = SpeechMouth() if level is None else SpeechMouth(level.loudest, level.usual, level.floor)
        self._alive = Liveliness(seed)
        self._states = np.zeros((0, LOUD + 1), np.float32)
        self._forgotten = 0

    @property
    def known_until(self) -> float:
        """Seconds of sound of which the mouth is known."""
        return (self._forgotten + len(self._states)) * HOP_S

    def hear(self, samples: NDArray[np.float32]) -> None:
        """Take the next samples, any number (at `features.RATE`, -1 … 1)."""
        self._states = np.concatenate([self._states, self._mouth(samples)])

    def finish(self) -> None:
        """No more sound: what comes after is silence."""
        self._states = np.concatenate([self._states, self._mouth.finish()])

    def mouth(self, seconds: float) -> Floats:
        """The mouth's units (52,) at that time of the sound; silence where nothing is known."""
        return mouth_weights(self._state(seconds))

    def face(
        self,
        seconds: float,
        *,
        lead: float = 0.0,
        alive: float | None = None,
        index: int = 0,
        captured_at: float = 0.0,
        media_time: float | None = None,
    ) -> ExpressionFrame:
        """The whole face at that time of the sound, with head and eyes.

        Args:
            lead: seconds by which the mouth is ahead.
            alive: the time that head and eyes live by, where sound may stop and they may not; None: the sound's.
            index, captured_at, media_time: of the frame.
        """
        state = self._state(seconds + lead)
        head, gaze, lids, brow = self._alive(seconds if alive is None else alive, float(state[VOICE]), float(state[LOUD]))
        weights = mouth_weights(state) + unit_weights({"eyeBlink": lids, "browInnerUp": brow, "browOuterUp": 0.7 * brow})
        return ExpressionFrame(weights, index, captured_at, media_time, head=head, gaze=gaze)

    def _state(self, seconds: float) -> NDArray[np.float32]:
        row = seconds / HOP_S - self._forgotten
        if not len(self._states) or row > len(self._states) + KEPT_S / HOP_S:
            return np.zeros(LOUD + 1, np.float32)
        state = mouth_at(self._states, row)
        old = int(row - KEPT_S / HOP_S)
        if old > 1000:
            self._states, self._forgotten = self._states[old:], self._forgotten + old
        return state
