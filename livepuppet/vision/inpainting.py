"""Filling holes of an image from what surrounds them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.types import Image


def fill_background(image: Image, hole: NDArray[np.uint8]) -> Image:
    """The image with the hole (1 = unknown) filled from its surroundings: averages of ever coarser pictures (push-pull)."""
    if not hole.any():
        return image.copy()
    if hole.all():
        return np.broadcast_to(image.mean((0, 1)).astype(np.uint8), image.shape).copy()
    known = (1 - hole).astype(np.float32)
    levels = [(image.astype(np.float32) * known[..., None], known)]
    while min(levels[-1][1].shape) > 1:
        colour, weight = levels[-1]
        size = max(1, weight.shape[1] // 2), max(1, weight.shape[0] // 2)
        smaller = np.asarray(cv2.resize(weight, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
        averaged = np.asarray(cv2.resize(colour, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
        levels.append((averaged.reshape(size[1], size[0], 3), smaller))
    colour, weight = levels.pop()
    filled = colour / np.maximum(weight, 1e-6)[..., None]
    while levels:
        colour, weight = levels.pop()
        coarse = cv2.resize(filled, weight.shape[::-1], interpolation=cv2.INTER_LINEAR).reshape(*weight.shape, 3)
        share = weight[..., None]
        filled = colour + (1 - share) * coarse
    return np.asarray(np.clip(np.rint(filled), 0, 255), dtype=np.uint8)
