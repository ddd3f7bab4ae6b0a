"""The visible label: a small strip of text in a corner, for places whose law asks for one."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from livepuppet.errors import UsageError
from livepuppet.types import Image
from livepuppet.vision.fonts import font_for

Corner: TypeAlias = Literal["top-left", "top-right", "bottom-left", "bottom-right"]
CORNERS: tuple[Corner, ...] = get_args(Corner)

DEFAULT_TEXT = "artificially generated"
LONGEST = 60
"""Characters that fit beside a face without becoming unreadably small."""
TEXT_HEIGHT = 1 / 40
"""Letter size as a part of the picture's short side, but at least SMALLEST pixels."""
SMALLEST = 11
GROUND = 0.55
"""Opacity of the dark strip behind the letters."""


class LabelStrip:
    """A rendered label.

    Attributes:
        height, width: its size.
        weight: float32 (height, width, 1), 0 … 1, how much of the picture remains.
        light: float32 (height, width, 1), what is added, 0 … 255.
    """

    def __init__(self, coverage: NDArray[np.float32], letters: NDArray[np.float32]) -> None:
        self.height, self.width = coverage.shape
        opacity = coverage * GROUND
        self.weight = ((1 - opacity) * (1 - letters))[..., None].astype(np.float32)
        self.light = (opacity * (1 - letters) * 20 + letters * 245)[..., None].astype(np.float32)


def check_label_text(text: str) -> str:
    """The text without surrounding blanks.

    Raises:
        UsageError: where no installed font has its letters, or it is empty or too long.
    """
    text = " ".join(text.split())
    if not text:
        raise UsageError("the label is empty: give it a text, or none at all", parameter="label")
    if len(text) > LONGEST:
        raise UsageError(f"the label is {len(text)} characters long: use at most {LONGEST}")
    font_for(text)
    return text


def draw_label(image: Image, text: str, corner: Corner = "bottom-right") -> Image:
    """The picture with the label, a new array.

    Args:
        image: RGB uint8 (H, W, 3), at least 64 pixels a side.
    """
    height, width = image.shape[:2]
    margin = max(4, min(height, width) // 50)
    strip = render_label(text, min(height, width), width - 2 * margin)
    top = margin if corner.startswith("top") else height - margin - strip.height
    left = margin if corner.endswith("left") else width - margin - strip.width
    labelled: Image = image.copy()
    place = labelled[top : top + strip.height, left : left + strip.width]
    place[:] = (place * strip.weight + (strip.light + 0.5)).astype(np.uint8)
    return labelled


@lru_cache(maxsize=8)
def render_label(text: str, short_side: int, widest: int) -> LabelStrip:
    """Letters on a rounded strip, made smaller where it would be wider than `widest` pixels."""
    from PIL import Image as PILImage
    from PIL import ImageDraw, ImageFont

    path = str(font_for(text))
    size = max(SMALLEST, round(short_side * TEXT_HEIGHT))
    length = ImageFont.truetype(path, size).getlength(text)
    if length + size > widest:
        size = max(2, int(size * widest / (length + size)))
    font = ImageFont.truetype(path, size)
    width, height = int(font.getlength(text)) + size, round(size * 1.6)
    coverage = PILImage.new("L", (width * 4, height * 4))
    ImageDraw.Draw(coverage).rounded_rectangle((0, 0, width * 4 - 1, height * 4 - 1), height * 1.4, fill=255)
    letters = PILImage.new("L", (width, height))
    ImageDraw.Draw(letters).text((width / 2, height / 2), text, font=font, fill=255, anchor="mm")
    smooth = coverage.resize((width, height), PILImage.Resampling.BOX)
    return LabelStrip(np.asarray(smooth, np.float32) / 255, np.asarray(letters, np.float32) / 255)
