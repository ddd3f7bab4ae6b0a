"""A picture for people: the photo and its animations, before and after."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from livepuppet.types import Image

TILE_PX = 224
TITLE_PX = 26
PAPER = 246


def comparison_sheet(rows: Sequence[tuple[str, Sequence[Image]]]) -> Image:
    """Titled rows of pictures below each other, all at TILE_PX height.

    Raises:
        ValueError: for no rows.
    """
    if not rows:
        raise ValueError("a sheet has at least one row")
    strips = [title_tile(title, [draw_tile(image) for image in images]) for title, images in rows]
    width = max(strip.shape[1] for strip in strips)
    return np.concatenate([np.pad(s, ((0, 0), (0, width - s.shape[1]), (0, 0)), constant_values=PAPER) for s in strips])


def draw_tile(image: Image) -> Image:
    height, width = image.shape[:2]
    size = (max(1, round(width * TILE_PX / height)), TILE_PX)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def title_tile(title: str, tiles: Sequence[Image]) -> Image:
    from PIL import Image as PILImage
    from PIL import ImageDraw, ImageFont

    from livepuppet.vision.fonts import font_for

    strip = np.concatenate(list(tiles), axis=1)
    head = PILImage.new("RGB", (strip.shape[1], TITLE_PX), (PAPER,) * 3)
    ImageDraw.Draw(head).text((6, TITLE_PX / 2), title, fill=(30, 30, 30), font=ImageFont.truetype(str(font_for(title)), 14), anchor="lm")
    return np.concatenate([np.asarray(head), strip])
