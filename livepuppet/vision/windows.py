"""Square windows round faces: where they lie, what they show, and back from their pixels to the image's."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np

from livepuppet.types import Floats, Image

Window: TypeAlias = tuple[int, int, int]
"""Left, top and side of a square, in pixels; may reach beyond the image."""


def bounding_box(landmarks: Floats) -> tuple[float, float, float]:
    """Centre x, centre y and the longer side of the face's box, in pixels."""
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    centre = (low + high) / 2
    return float(centre[0]), float(centre[1]), float((high - low).max())


def window_round(x: float, y: float, side: float, factor: float = 2.2) -> Window:
    """The square around a face whose box has this centre and side."""
    reach = max(16, round(side * factor))
    return round(x - reach / 2), round(y - reach / 2), reach


def cut_window(image: Image, window: Window, side: int) -> Image:
    """The window of the image at side by side pixels; black beyond the edges."""
    left, top, reach = window
    scale = side / reach
    matrix = np.array([[scale, 0, (0.5 - left) * scale - 0.5], [0, scale, (0.5 - top) * scale - 0.5]])
    shrink = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
    if shrink == cv2.INTER_AREA and left >= 0 and top >= 0 and left + reach <= image.shape[1] and top + reach <= image.shape[0]:
        return np.asarray(cv2.resize(image[top : top + reach, left : left + reach], (side, side), interpolation=shrink), dtype=np.uint8)
    return np.asarray(cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR), dtype=np.uint8)


def from_window(landmarks: Floats, window: Window, side: int) -> Floats:
    """Floats found in `cut(image, window, side)` in pixels of the image."""
    moved = landmarks * (window[2] / side)
    moved[:, 0] += window[0]
    moved[:, 1] += window[1]
    return np.asarray(moved, dtype=np.float64)
