"""Choosing the reference frame: the driver's own neutral moment from which all motion is counted.

Nobody presses a button: the first frames in which the driver holds still and looks ahead arm the puppet, and of those the one that is
most like the portrait becomes the reference (which keeps a blink out of it).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from livepuppet.types import Motion

HOLD_STILL_S = 0.7
TURNED_RAD = np.radians([18.0, 32.0, 18.0])
"""Most yaw, pitch and roll that count as looking ahead; webcams stand above or below the face, so pitch has more room."""
STIRRED_RAD = 0.05
"""Turning the head more than this (3 degrees) during the hold starts it again."""
PATIENCE_S = 2.0
"""After each such time without success, the bounds above grow by their own width, so that nobody waits for ever."""
BETTER = 0.85
"""The search takes a frame only when its distance is this much smaller than the present reference's."""


class HoldStill:
    """Watches driving motions until one may be the reference.

    Attributes:
        hold_s: how long the driver must hold still.
    """

    def __init__(self, hold_s: float = HOLD_STILL_S) -> None:
        self.hold_s = hold_s
        self.progress = 0.0
        """How much of the hold has passed, 0 … 1."""
        self._begun: float | None = None
        self._since = 0.0
        self._still: Motion | None = None
        self._best: tuple[float, Motion] | None = None

    def watch(self, motion: Motion, seconds: float, distance: Callable[[Motion], float]) -> Motion | None:
        """Look at one more driving motion; returns the reference once the hold is complete."""
        if self._begun is None or seconds < self._begun:
            self._begun = seconds
        room = 1.0 + (seconds - self._begun) / PATIENCE_S
        ahead = bool(np.all(np.abs(motion.view) <= TURNED_RAD * room))
        still = self._still is not None and float(np.abs(motion.view - self._still.view).max()) <= STIRRED_RAD * room
        if not ahead:
            self._still, self._best, self.progress = None, None, 0.0
            return None
        if not still or seconds < self._since:
            self._still, self._since, self._best = motion, seconds, None
        far = distance(motion)
        if self._best is None or far < self._best[0]:
            self._best = (far, motion)
        held = seconds - self._since
        self.progress = min(1.0, held / self.hold_s) if self.hold_s > 0 else 1.0
        return self._best[1] if held >= self.hold_s else None

    def lost(self) -> None:
        """The face went away: the hold starts again, patience does not."""
        self._still, self._best, self.progress = None, None, 0.0


class BetterReference:
    """The continuous search for a frame that is more like the portrait than the present reference (FOMM, best-frame search).

    It costs one distance per frame, from what was observed anyway.
    """

    def __init__(self, best: float) -> None:
        self.best = best

    def watch(self, motion: Motion, distance: Callable[[Motion], float]) -> bool:
        """Whether this motion should become the reference."""
        far = distance(motion)
        if far >= self.best * BETTER:
            return False
        self.best = far
        return True
