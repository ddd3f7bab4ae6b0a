"""What camera drivers really deliver, and how a picture is made of it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.types import Image, Size

LINE_PADDING = 128
"""Drivers may round the bytes of a line up, by less than this."""


def as_bgr(raw: NDArray[Any], size: Size) -> Image | None:
    """A picture (H, W, 3) in OpenCV's channel order out of whatever the driver delivered; None where that cannot be.

    Args:
        size: what the device claims; needed for drivers that deliver one long row of bytes, (1, N), with or without padding.
    """
    if raw.ndim == 2 and raw.shape[0] == 1 and raw.size > 1:
        unrolled = unroll(raw, size)
        if unrolled is None:
            return None
        raw = unrolled
    if raw.ndim == 2:
        return np.repeat(raw[:, :, None], 3, axis=2)
    if raw.ndim != 3 or min(raw.shape[:2]) < 2:
        return None
    channels = raw.shape[2]
    if channels == 1:
        return np.repeat(raw, 3, axis=2)
    return raw[:, :, :3] if channels in (3, 4) else None


def unroll(row: NDArray[Any], size: Size) -> Image | None:
    """One long row of bytes (1, N) -> (H, W, channels): BGR, YUYV or grey, told apart by the bytes per line."""
    wide, high = size
    if wide <= 0 or high <= 0 or row.size % high:
        return None
    lines = row.reshape(high, row.size // high)
    for channels in (3, 2, 1):
        if 0 <= lines.shape[1] - wide * channels < LINE_PADDING:
            image = np.ascontiguousarray(lines[:, : wide * channels]).reshape(high, wide, channels)
            return cv2.cvtColor(image, cv2.COLOR_YUV2BGR_YUYV).astype(np.uint8, copy=False) if channels == 2 else image
    return None


def describe_pixels(raw: NDArray[Any]) -> str:
    return " x ".join(str(length) for length in raw.shape)
