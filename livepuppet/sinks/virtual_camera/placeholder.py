"""Pictures the virtual camera makes itself: the one shown while the puppet is not ready, and frames fitted to the camera's size."""

from __future__ import annotations

import numpy as np

from livepuppet.types import Image, Size

BACKGROUND = (28, 30, 38)
INK = (214, 218, 228)
FAINT = (120, 126, 140)


def starting_placeholder(size: Size) -> Image:
    """'livepuppet is starting', RGB uint8 (height, width, 3): a meeting program that opens the camera early sees that it works."""
    from PIL import Image as PILImage
    from PIL import ImageDraw

    from livepuppet.vision.fonts import typeface

    wide, high = size
    image = PILImage.new("RGB", size, BACKGROUND)
    pen = ImageDraw.Draw(image)
    short = min(wide, high)
    centre = (wide / 2, high / 2)
    large, small = typeface(max(8, round(0.12 * short))), typeface(max(8, round(0.055 * short)))
    pen.text((centre[0], centre[1] - 0.05 * short), "livepuppet", fill=INK, font=large, anchor="mm")
    pen.text((centre[0], centre[1] + 0.07 * short), "is starting", fill=FAINT, font=small, anchor="mm")
    return np.asarray(image)


def fit_within(image: Image, size: Size) -> Image:
    """The whole picture in the middle of `size`, as large as fits, black margins; the picture itself where it already has the size.

    One row or column too many (an odd size) is cut off instead of scaled, so that every other pixel stays as it is.
    """
    wide, high = size
    height, width = image.shape[:2]
    if (width, height) == size:
        return np.ascontiguousarray(image)
    if 0 <= width - wide <= 1 and 0 <= height - high <= 1:
        return np.ascontiguousarray(image[:high, :wide])
    import cv2

    scale = min(wide / width, high / height)
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    left, top = (wide - inner[0]) // 2, (high - inner[1]) // 2
    canvas = np.zeros((high, wide, 3), np.uint8)
    canvas[top : top + inner[1], left : left + inner[0]] = cv2.resize(image, inner, interpolation=method)
    return canvas
