"""Pictures with transparency, and the text and shapes they are made of. Made once, laid over many frames."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw

from livepuppet.types import Image, Size
from livepuppet.vision.fonts import typeface

Colour = tuple[int, int, int]
Coverage = NDArray[np.uint8]
"""How much of each pixel a shape covers, (H, W), 0 … 255."""

FULL = 255


@dataclass(frozen=True, eq=False)
class Sprite:
    """A picture to lay over another.

    Attributes:
        colour: RGB uint8 (H, W, 3), already multiplied by its opacity.
        keep: uint8 (H, W, 3), how much of what lies below stays, 255 = all.
    """

    colour: Image
    keep: Image

    @property
    def size(self) -> Size:
        return self.colour.shape[1], self.colour.shape[0]


def clear(size: Size) -> Sprite:
    """A sprite with nothing on it, to lay things on."""
    width, height = size
    return Sprite(np.zeros((height, width, 3), np.uint8), np.full((height, width, 3), FULL, np.uint8))


def solid_sprite(coverage: Coverage, colour: Colour, opacity: float = 1.0) -> Sprite:
    """A shape in one colour."""
    alpha = coverage.astype(np.float32) * opacity
    painted = alpha[..., None] * (np.array(colour, np.float32) / FULL)
    keep = np.repeat((FULL - alpha)[..., None], 3, axis=2)
    return Sprite(np.rint(painted).astype(np.uint8), np.rint(keep).astype(np.uint8))


def _overlap(size: Size, sprite: Sprite, x: int, y: int) -> tuple[slice, slice, slice, slice] | None:
    """Rows and columns of the ground, and of the sprite, where they meet; None where they do not."""
    left, top = max(0, x), max(0, y)
    right, bottom = min(size[0], x + sprite.size[0]), min(size[1], y + sprite.size[1])
    if left >= right or top >= bottom:
        return None
    return slice(top, bottom), slice(left, right), slice(top - y, bottom - y), slice(left - x, right - x)


def lay(canvas: Image, sprite: Sprite, x: int, y: int) -> None:
    """Lay the sprite over the canvas, in place, its top left corner at (x, y); what hangs over the edge is cut off."""
    place = _overlap((canvas.shape[1], canvas.shape[0]), sprite, x, y)
    if place is None:
        return
    rows, columns, own_rows, own_columns = place
    ground = canvas[rows, columns]
    kept = cv2.multiply(ground, sprite.keep[own_rows, own_columns], scale=1 / FULL)
    canvas[rows, columns] = cv2.add(kept, sprite.colour[own_rows, own_columns])


def stack(ground: Sprite, sprite: Sprite, x: int, y: int) -> None:
    """Lay a sprite over another sprite, in place."""
    lay(ground.colour, sprite, x, y)
    place = _overlap(ground.size, sprite, x, y)
    if place is not None:
        rows, columns, own_rows, own_columns = place
        ground.keep[rows, columns] = cv2.multiply(ground.keep[rows, columns], sprite.keep[own_rows, own_columns], scale=1 / FULL)


def paint_sprite(canvas: Image, coverage: Coverage, colour: Colour) -> None:
    """Draw a shape over the whole canvas, in place: quicker than a sprite for what changes with every frame."""
    mask = cv2.merge([coverage] * 3)
    kept = cv2.multiply(canvas, cv2.bitwise_not(mask), scale=1 / FULL)
    canvas[:] = cv2.add(kept, cv2.merge([cv2.convertScaleAbs(coverage, alpha=part / FULL) for part in colour]))


def copied(sprite: Sprite) -> Sprite:
    return Sprite(sprite.colour.copy(), sprite.keep.copy())


# Shapes


def rounded_rectangle(size: Size, radius: float) -> Coverage:
    """A rectangle with round corners, smooth at the edge."""
    width, height = size
    x = np.arange(width) + 0.5
    y = np.arange(height) + 0.5
    beside = np.maximum(0, np.maximum(radius - x, x - (width - radius)))
    above = np.maximum(0, np.maximum(radius - y, y - (height - radius)))
    outside = np.hypot(beside[None, :], above[:, None]) - radius
    covered: Coverage = np.rint(np.clip(0.5 - outside, 0, 1) * FULL).astype(np.uint8)
    return covered


def draw_outline(size: Size, radius: float, thickness: float) -> Coverage:
    """The edge of such a rectangle, drawn inwards."""
    inset = math.ceil(thickness)
    whole = rounded_rectangle(size, radius).astype(np.int16)
    inner = np.zeros_like(whole)
    inner[inset:-inset, inset:-inset] = rounded_rectangle((size[0] - 2 * inset, size[1] - 2 * inset), max(0.0, radius - inset))
    return np.clip(whole - inner, 0, FULL).astype(np.uint8)


def shadow(size: Size, radius: float, blur: float) -> Coverage:
    """What such a rectangle darkens below itself; larger than `size` by 2·blur on each side."""
    border = math.ceil(2 * blur)
    padded = np.pad(rounded_rectangle(size, radius), border)
    return np.asarray(cv2.GaussianBlur(padded, (0, 0), blur), np.uint8)


def draw_disc(diameter: int) -> Coverage:
    return rounded_rectangle((diameter, diameter), diameter / 2)


# Text


@lru_cache(maxsize=512)
def text_width(text: str, size: int, bold: bool = False) -> int:
    """In pixels, rounded up."""
    return math.ceil(typeface(size, bold).getlength(text))


@lru_cache(maxsize=512)
def written(text: str, size: int, colour: Colour, bold: bool = False) -> Sprite:
    """One line of text, no background; its height is the same for all texts of a size, so lines and columns align."""
    image = Pillow.new("L", (max(1, text_width(text, size, bold) + 1), line_height(size)), 0)
    baseline = round(line_height(size) * 0.76)
    ImageDraw.Draw(image).text((0, baseline), text, fill=FULL, font=typeface(size, bold), anchor="ls")
    return solid_sprite(np.asarray(image), colour)


def line_height(size: int) -> int:
    """Of a single line, its glyphs only; the space between lines comes on top."""
    return round(size * 1.3)


def wrapped(text: str, size: int, width: int, most: int, bold: bool = False) -> list[str]:
    """The text in lines no wider than `width` pixels, at most `most` of them; what is left out shows as '…'."""
    lines: list[str] = []
    rest = text.split()
    while rest and len(lines) < most:
        line = rest.pop(0)
        while rest and text_width(f"{line} {rest[0]}", size, bold) <= width:
            line = f"{line} {rest.pop(0)}"
        lines.append(line)
    if rest:
        lines[-1] += " …"
    return [shortened(line, size, width, bold) for line in lines]


def shortened(text: str, size: int, width: int, bold: bool = False) -> str:
    """The text itself if it is no wider than `width` pixels, else its beginning and '…'."""
    if text_width(text, size, bold) <= width:
        return text
    text = text.removesuffix("…").rstrip()
    while text and text_width(f"{text}…", size, bold) > width:
        text = text[:-1].rstrip()
    return f"{text}…"
