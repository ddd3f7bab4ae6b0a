"""What head and eyes do while a voice moves the mouth: small nods on stressed words, a slow sway, blinks, glances. The same for a seed."""

from __future__ import annotations

import math

import numpy as np

from livepuppet.types import Floats

NOD_HZ, NOD_DAMPING = 1.5, 0.65
"""The head on its neck, as a damped spring that stress pushes."""
NOD_PUSH = 3.0
"""Radians per second squared for a neper above the usual loudness."""
STRESSED = 0.35
"""Nepers above the usual loudness that make a nod."""
SWAY_RAD = np.array([0.035, 0.018, 0.02])
"""Yaw, pitch, roll while speaking; a third of it in silence."""
BLINK_S = 0.32
BLINK_EVERY_S = (1.6, 5.5)
GLANCE_EVERY_S = (1.2, 4.5)
GLANCE_RAD = np.array([0.13, 0.06])
SACCADE_S = 0.06
HEAD_FOLLOWS = 0.18
"""Share of a glance that the head turns with."""


class Liveliness:
    """One face's head and eyes. Ask it for rising times."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._phases = self._rng.uniform(0, 2 * math.pi, (3, 3))
        self._hz = self._rng.uniform(0.8, 1.2, (3, 3)) * np.array([0.11, 0.23, 0.41])
        self._now = 0.0
        self._nod, self._nod_speed = 0.0, 0.0
        self._speaking = 0.0
        self._blink_at = float(self._rng.uniform(0.8, 2.5))
        self._glance_at = float(self._rng.uniform(*GLANCE_EVERY_S))
        self._look, self._aim, self._turned = np.zeros(2), np.zeros(2), np.zeros(2)

    def __call__(self, now: float, voice: float, loud: float) -> tuple[Floats, Floats, float, float]:
        """Where head and eyes are.

        Args:
            now: seconds, not before the last call's.
            voice: whether anybody speaks, 0 … 1.
            loud: nepers above the voice's usual loudness.

        Returns:
            The head (yaw, pitch, roll; radians), the gaze (right, down; radians), how far the lids are shut and the brows raised (0 … 1).
        """
        passed = max(0.0, min(now - self._now, 0.5))
        self._now = max(self._now, now)
        self._speaking += (voice - self._speaking) * (1 - math.exp(-passed / 0.4))
        self._push(passed, max(0.0, loud - STRESSED) * voice)
        self._glance(passed)
        waves = np.sin(2 * math.pi * self._hz * self._now + self._phases).mean(1)
        head = SWAY_RAD * waves * (0.35 + 0.65 * self._speaking)
        head[1] += self._nod
        head[:2] += HEAD_FOLLOWS * self._turned
        brow = min(1.0, max(0.0, 5.0 * self._nod)) * 0.5
        return head, self._look - HEAD_FOLLOWS * self._turned, self._lids(), brow

    def _push(self, passed: float, stress: float) -> None:
        """The nod's spring, in steps short enough to be stable."""
        steps = max(1, math.ceil(passed / 0.02))
        omega = 2 * math.pi * NOD_HZ
        for _ in range(steps):
            pull = NOD_PUSH * min(stress, 1.0) - 2 * NOD_DAMPING * omega * self._nod_speed - omega**2 * self._nod
            self._nod_speed += pull * passed / steps
            self._nod += self._nod_speed * passed / steps

    def _glance(self, passed: float) -> None:
        if self._now >= self._glance_at:
            away = self._rng.uniform() < 0.55
            self._aim = self._rng.normal(0, 1, 2).clip(-1.6, 1.6) * GLANCE_RAD if away else self._rng.normal(0, 0.12, 2) * GLANCE_RAD
            self._glance_at = self._now + float(self._rng.uniform(*GLANCE_EVERY_S) * (0.5 if away else 1.0))
            if abs(self._aim - self._look).max() > 0.12 and self._blink_at > self._now + 0.4:
                self._blink_at = self._now  # people blink as they look elsewhere
        self._look = self._look + (self._aim - self._look) * (1 - math.exp(-passed / SACCADE_S))
        self._turned = self._turned + (self._aim - self._turned) * (1 - math.exp(-passed / 0.35))

    def _lids(self) -> float:
        into = self._now - self._blink_at
        if into > BLINK_S:
            self._blink_at = self._now + float(self._rng.uniform(*BLINK_EVERY_S))
            return 0.0
        return math.sin(math.pi * into / BLINK_S) ** 2 if into > 0 else 0.0
