"""Does what lies around the person breathe? Sensor noise and the lamp change it in every recording; a still picture's stays."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.engines.landmark.face_model import OVAL
from livepuppet.types import Floats
from livepuppet.vision.face_landmarks import Landmarks

BLOCK_PX = 16
"""Side of the blocks that are compared: a macroblock of H.264."""
CLEAR_WIDTHS = 0.55
"""Face widths beside the face's box that may be hair."""
LEAST_BLOCKS = 12
LEAST_CHANGE = 0.02
"""Grey levels, mean over a block: five pixels by one level."""
LATER_FRAMES = 8
"""Two frames in succession are often the same block by block after H.264; so many frames later, only what stands still is."""


class BackgroundSampler:
    """Changes of a frame's blocks against the frame LATER_FRAMES before, added up frame by frame.

    Attributes:
        changed: share of the blocks around the person that are not what they were, per frame.
    """

    def __init__(self) -> None:
        self._before: deque[tuple[NDArray[np.uint8], NDArray[np.bool_]]] = deque()
        self.changed: list[float] = []

    def add(self, grey: NDArray[np.uint8], landmarks: Landmarks) -> None:
        outside = blocks_beside(grey.shape[0], grey.shape[1], landmarks)
        self._before.append((grey, outside))
        if len(self._before) <= LATER_FRAMES:
            return
        before, outside_before = self._before.popleft()
        if before.shape != grey.shape:
            return
        change = block_means(np.asarray(cv2.absdiff(before, grey), dtype=np.uint8))
        clear = outside & outside_before
        if clear.sum() >= LEAST_BLOCKS:
            self.changed.append(float((change[clear] >= LEAST_CHANGE).mean()))


def block_means(values: NDArray[np.uint8]) -> Floats:
    """Means over the whole blocks of a grey image."""
    rows, columns = values.shape[0] // BLOCK_PX, values.shape[1] // BLOCK_PX
    cut = values[: rows * BLOCK_PX, : columns * BLOCK_PX]
    return np.asarray(cv2.resize(cut.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA), dtype=np.float64)


def blocks_beside(height: int, width: int, landmarks: Landmarks) -> NDArray[np.bool_]:
    """Blocks that lie beside or above the head, not below the chin, where shoulders are."""
    rows, columns = height // BLOCK_PX, width // BLOCK_PX
    y, x = (np.mgrid[:rows, :columns] + 0.5) * BLOCK_PX
    low, high = landmarks[OVAL, :2].min(0), landmarks[OVAL, :2].max(0)
    margin = CLEAR_WIDTHS * float(high[0] - low[0])
    beside = (x < low[0] - margin) | (x > high[0] + margin) | (y < low[1] - margin)
    return np.asarray(beside & (y < high[1]), dtype=np.bool_)
