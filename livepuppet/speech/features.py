"""Log mel spectra of speech, one row every hundredth of a second, whatever the microphone's level: the network's ears.

Equations: mel scale after O'Shaughnessy (1987), as HTK has it. The level is taken off by the loudest sound of late, which forgets slowly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
"""Samples per second."""
HOP = 160
WINDOW = 400
HOP_S = HOP / RATE
BANDS = 40
FFT = 512
LOWEST_HZ, HIGHEST_HZ = 60.0, 7600.0
FLOOR = 1e-10
"""Power of a band that counts as none: far below what 16 bits can say of it."""
RANGE = 11.0
"""Nepers below the loudest sound of late that are still told apart; what is quieter is all the same."""
FORGET_S = 8.0
"""How fast the loudest sound is forgotten: a neper in so many seconds."""
QUIETEST = float(np.log(3e-6))
"""The loudest sound counts as at least this loud (a band's log power), so that the hum of a silent room stays far below speech."""

Rows = NDArray[np.float32]


def mel_bank() -> NDArray[np.float64]:
    """(BANDS, FFT / 2 + 1): triangles of equal width in mel."""

    def mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(1127.0 * np.log1p(hz / 700.0))

    lowest, highest = mel(np.array([LOWEST_HZ, HIGHEST_HZ]))
    edges = np.linspace(lowest, highest, BANDS + 2)
    at = mel(np.linspace(0, RATE / 2, FFT // 2 + 1))
    rising = (at - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - at) / (edges[2:] - edges[1:-1])[:, None]
    bank = np.maximum(0.0, np.minimum(rising, falling))
    return np.asarray(bank / bank.sum(1, keepdims=True))


_BANK = mel_bank().T
_HANN = np.hanning(WINDOW) / np.hanning(WINDOW).sum() * 2
EMPHASIS = 0.97


class SpeechFeatures:
    """Turns samples, as they come, into rows. One stream each; not for several threads at once.

    Attributes:
        loudest: the greatest log power of a band of late, from which rows are counted.
    """

    def __init__(self, loudest: float = QUIETEST) -> None:
        """loudest: what is known of the level beforehand, a band's greatest log power."""
        self._held = np.zeros(WINDOW - HOP, np.float32)
        self._before = 0.0
        self.loudest = loudest

    def __call__(self, samples: NDArray[np.float32]) -> tuple[Rows, Rows]:
        """All whole rows that have become known.

        Args:
            samples: (N,) at RATE, -1 … 1; any number at a time.

        Returns:
            rows (M, BANDS), 0 (silence) … 1 (the loudest of late), and loudness (M,): log power of the whole row, in nepers.
        """
        emphasised = samples - EMPHASIS * np.concatenate([[self._before], samples[:-1]]) if len(samples) else samples
        if len(samples):
            self._before = float(samples[-1])
        held = np.concatenate([self._held, emphasised.astype(np.float32)])
        count = max(0, (len(held) - WINDOW) // HOP + 1)
        if not count:
            self._held = held
            return np.zeros((0, BANDS), np.float32), np.zeros(0, np.float32)
        frames = held[np.arange(WINDOW)[None] + HOP * np.arange(count)[:, None]]
        self._held = held[HOP * count :]
        power = np.abs(np.fft.rfft(frames * _HANN, FFT)) ** 2 @ _BANK
        logs = np.log(power + FLOOR)
        peaks = logs.max(1)
        rows = np.empty_like(logs)
        for i, peak in enumerate(peaks):
            self.loudest = max(float(peak), self.loudest - HOP_S / FORGET_S, QUIETEST)
            rows[i] = (logs[i] - self.loudest) / RANGE + 1
        return np.clip(rows, 0, 1).astype(np.float32), np.log(power.sum(1) + FLOOR).astype(np.float32)
