"""Taking the tremble out of motions: pose and expression apart, in normalised units and real time.

Live: the One-Euro filter (Casiez, Roussel and Vogel, "1 € Filter", CHI 2012): a first-order low-pass whose cutoff grows with speed, so
that what rests is steady and what moves is not late. Offline: a window that sees both sides, so that nothing is late at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from livepuppet.types import Floats, Motion


@dataclass(frozen=True)
class Cutoffs:
    """One-Euro's parameters.

    Attributes:
        rest_hz: the cutoff at rest.
        gain: Hz per unit per second.
        speed_hz: the speed's own cutoff.
    """

    rest_hz: float
    gain: float
    speed_hz: float


POSE = Cutoffs(rest_hz=2.5, gain=90.0, speed_hz=4.0)
"""Radians, face widths and log scale: a head that turns at 0.3 per second is followed within 1/30 s."""
EXPRESSION = Cutoffs(rest_hz=3.5, gain=160.0, speed_hz=5.0)
"""Face widths: a lip that moves 0.1 per second is followed within 1/50 s."""


def low_pass(cutoff_hz: Floats | float, seconds: float) -> Floats:
    """The weight of the newest value in a first-order low-pass (the paper's equation 3)."""
    return np.asarray(1.0 / (1.0 + 1.0 / (2 * math.pi * np.asarray(cutoff_hz) * seconds)), dtype=np.float64)


class OneEuro:
    """The filter for one vector; each component has its own cutoff."""

    def __init__(self, cutoffs: Cutoffs) -> None:
        self.cutoffs = cutoffs
        self._value: Floats | None = None
        self._speed: Floats | None = None

    def __call__(self, value: Floats, seconds: float, strength: float) -> Floats:
        """The smoothed value. seconds: since the value before. strength: 1 = as set, 0 = off; the cutoffs are divided by it."""
        if self._value is None or self._speed is None or self._value.shape != value.shape:
            self._value, self._speed = value.copy(), np.zeros_like(value)
            return value
        if seconds <= 0:
            return self._value.copy()
        self._speed += low_pass(self.cutoffs.speed_hz, seconds) * ((value - self._value) / seconds - self._speed)
        if strength <= 0:
            self._value = value.copy()
            return value
        cutoff = (self.cutoffs.rest_hz + self.cutoffs.gain * np.abs(self._speed)) / strength
        self._value = self._value + low_pass(cutoff, seconds) * (value - self._value)
        return self._value.copy()


class MotionFilter:
    """Smooths a stream of motions as it arrives. Not for several threads at once.

    Attributes:
        strength: 0 = off, 1 = the default, up to 4; may be changed between two calls.
    """

    LONGEST_GAP_SECONDS = 0.5
    """After a longer pause what was before no longer counts."""

    def __init__(self, strength: float = 1.0) -> None:
        self.strength = strength
        self.reset()

    def reset(self) -> None:
        """Forget what was before: the next motion passes unchanged."""
        self._pose, self._expression = OneEuro(POSE), OneEuro(EXPRESSION)
        self._at: float | None = None

    def __call__(self, motion: Motion, seconds: float) -> Motion:
        """The motion, smoothed. seconds: when it was (monotonic; only differences count)."""
        if self._at is not None and not 0 <= seconds - self._at <= self.LONGEST_GAP_SECONDS:
            self.reset()
        passed = 0.0 if self._at is None else seconds - self._at
        self._at = seconds
        return replace(
            motion,
            pose=self._pose(motion.pose, passed, self.strength),
            expression=self._expression(motion.expression, passed, self.strength),
        )


WINDOW_SECONDS = 0.25
"""How far `smooth_window` looks to either side; motions farther away need not be kept."""


@dataclass(frozen=True)
class WindowWidth:
    """Gaussian windows (bilateral filter, Tomasi and Manduchi, ICCV 1998): over time, and over the difference in value."""

    seconds: float
    units: float


POSE_SPREAD = WindowWidth(seconds=0.075, units=0.05)
EXPRESSION_SPREAD = WindowWidth(seconds=0.050, units=0.02)


def smooth_window(motions: Sequence[Motion], times: Sequence[float], centre: int, strength: float = 1.0) -> Motion:
    """The motion at `centre`, smoothed with the motions before and after it: no delay, for pictures that are made afterwards.

    motions, times (seconds): neighbours in order; those farther than WINDOW_SECONDS from the centre are ignored.

    Args:
        strength: as in MotionFilter.
    """
    middle = motions[centre]
    near = [i for i, at in enumerate(times) if abs(at - times[centre]) <= WINDOW_SECONDS]
    if strength <= 0 or len(near) < 3:
        return middle
    apart = np.array([times[i] - times[centre] for i in near])
    return replace(
        middle,
        pose=local_parabola(np.stack([motions[i].pose for i in near]), apart, middle.pose, POSE_SPREAD, strength),
        expression=local_parabola(np.stack([motions[i].expression for i in near]), apart, middle.expression, EXPRESSION_SPREAD, strength),
    )


def local_parabola(values: Floats, apart: Floats, middle: Floats, spread: WindowWidth, strength: float) -> Floats:
    """The middle of the parabola through values (N, D) that are `apart` (N,) seconds away, by weighted least squares.

    A parabola follows a turn that a mean would flatten (local regression, Cleveland 1979). Each component leaves out what differs
    too much from its middle, so that a blink or a jump stays sharp.
    """
    u = (apart / (spread.seconds * strength))[:, None]
    off = values - middle
    weight = np.exp(-0.5 * u**2 - 0.5 * (off / (spread.units * strength)) ** 2)
    s0, s1, s2, s3, s4 = (np.einsum("nd,nd->d", weight, np.broadcast_to(u**k, weight.shape)) for k in range(5))
    t0, t1, t2 = (np.einsum("nd,nd->d", weight, u**k * off) for k in range(3))
    s2r, s4 = s2 + SLOPE_RIDGE, s4 + BEND_RIDGE  # a lone value has no slope and no bend
    determinant = s0 * (s2r * s4 - s3 * s3) - s1 * (s1 * s4 - s3 * s2) + s2 * (s1 * s3 - s2r * s2)
    value = t0 * (s2r * s4 - s3 * s3) - s1 * (t1 * s4 - s3 * t2) + s2 * (t1 * s3 - s2r * t2)
    return np.asarray(middle + value / determinant, dtype=np.float64)


SLOPE_RIDGE, BEND_RIDGE = 0.02, 0.3
"""A bend is mistrusted more than a slope: at the ends of a clip only one side is known, and a turn must not be flattened there."""
