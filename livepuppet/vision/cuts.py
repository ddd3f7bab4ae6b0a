"""Where a video cuts to another shot."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from livepuppet.types import Image


class CutDetector:
    """Tells where a video cuts to another shot: the picture changes as a whole, and much more than it just did."""

    CHANGE = 0.16
    """Mean change of a pixel, 0 … 1."""
    TIMES_USUAL = 4.0

    def __init__(self) -> None:
        self._before: NDArray[np.float32] | None = None
        self._usual = 0.0

    def __call__(self, image: Image) -> bool:
        """Whether the picture is the first of another shot than the one given before."""
        height, width = image.shape[:2]
        small = image[:: max(1, height // 36), :: max(1, width // 64)].astype(np.float32) / 255
        before, self._before = self._before, small
        if before is None or before.shape != small.shape:
            return before is not None
        change = float(np.abs(small - before).mean())
        cut = change > self.CHANGE and change > self.TIMES_USUAL * self._usual
        self._usual = 0.8 * self._usual + 0.2 * (0.0 if cut else change)
        return cut
