"""The small picture of the person themselves: the camera, where to place the face, how long to hold still, what the engine sees."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np

from livepuppet.sinks.window.panels import ACCENT, INK
from livepuppet.sinks.window.sprite import (
    FULL,
    Coverage,
    Sprite,
    draw_disc,
    draw_outline,
    lay,
    paint_sprite,
    rounded_rectangle,
    shadow,
    solid_sprite,
    stack,
)
from livepuppet.types import Floats, Image, Size, Status

FACE_CENTRE = (0.5, 0.47)
FACE_HEIGHT = 0.62
"""Of the framing guide, as parts of the picture's height."""
FACE_ASPECT = 0.76
"""Width over height of a face from hairline to chin."""
SMALL_DOT: Coverage = np.array([[30, 110, 30], [110, 255, 110], [30, 110, 30]], np.uint8)


def mirror_size(camera: Size, canvas: Size, large: bool) -> Size:
    """Width and height of the inset, in the camera's aspect."""
    widest, highest = (0.50 * canvas[0], 0.50 * canvas[1]) if large else (0.38 * canvas[0], 0.30 * canvas[1])
    scale = min(widest / camera[0], highest / camera[1])
    return max(16, round(camera[0] * scale)), max(16, round(camera[1] * scale))


def draw_mirror(status: Status, size: Size) -> Image:
    """The person's own view at `size`: RGB (H, W, 3), a new picture. `status.driving` must be there."""
    assert status.driving is not None
    image = reduced(status.driving, size)
    if status.overlay > 0 and status.avatar is not None:
        lay_avatar(image, status.avatar, status.overlay)
    if status.guide:
        draw_guide(image, status.armed)
    if len(status.points):
        camera = status.driving.shape
        draw_points(image, status.points * (size[0] / camera[1], size[1] / camera[0]))
    return image


def reduced(image: Image, size: Size) -> Image:
    """The image at `size`, a copy. Halves it first as often as it goes: as smooth as area interpolation, and several times quicker."""
    while image.shape[1] >= 2 * size[0] and image.shape[0] >= 2 * size[1]:
        half = image.shape[1] // 2, image.shape[0] // 2
        even = image[: 2 * half[1], : 2 * half[0]]  # exact halves have a quick way through
        image = np.asarray(cv2.resize(even, half, interpolation=cv2.INTER_AREA), np.uint8)
    if (image.shape[1], image.shape[0]) == size:
        return image.copy()
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def lay_avatar(image: Image, avatar: Image, opacity: float) -> None:
    """Lay the portrait over the camera picture, as high as it, in the middle: for lining up the two faces."""
    height, width = image.shape[:2]
    shown = max(1, round(avatar.shape[1] * height / avatar.shape[0]))
    portrait = reduced(avatar, (shown, height))
    if shown > width:
        portrait = portrait[:, (shown - width) // 2 :][:, :width]
    left = (width - portrait.shape[1]) // 2
    below = image[:, left : left + portrait.shape[1]]
    image[:, left : left + portrait.shape[1]] = cv2.addWeighted(portrait, opacity, np.ascontiguousarray(below), 1 - opacity, 0)


def _face_axes(size: Size) -> tuple[float, float, float, float]:
    """Centre x, y and half axes of the framing guide, in pixels."""
    half = FACE_HEIGHT * size[1] / 2
    return FACE_CENTRE[0] * size[0], FACE_CENTRE[1] * size[1], half * FACE_ASPECT, half


@lru_cache(maxsize=4)
def _guide(size: Size) -> tuple[Sprite, Coverage, Coverage]:
    """The guide itself, the thick line that progress is drawn with, and for each pixel how far around the oval it lies, clockwise
    from the top: 0 … 255."""
    x, y, wide, high = _face_axes(size)
    columns, rows = np.meshgrid(np.arange(size[0]) + 0.5 - x, np.arange(size[1]) + 0.5 - y)
    # distance to the oval in pixels, to first order: its implicit function over the length of that one's gradient
    implicit = np.hypot(columns / wide, rows / high)
    gradient = np.hypot(columns / wide**2, rows / high**2) / np.maximum(implicit, 1e-6)
    away = (implicit - 1) / np.maximum(gradient, 1e-9)
    half = max(0.8, size[1] / 260)
    eyes = (np.abs(rows + 0.12 * high) < half) & (np.abs(np.abs(columns) - 0.91 * wide) < 0.07 * wide)
    guide = solid_sprite(_eight_bits(away + 0.5), (0, 0, 0), 0.42)
    stack(guide, solid_sprite(_eight_bits(np.maximum(half + 0.5 - np.abs(away), eyes)), INK, 0.9), 0, 0)
    around = np.mod(np.arctan2(columns / wide, -rows / high) / (2 * np.pi), 1.0)
    return guide, _eight_bits(2.6 * half + 0.5 - np.abs(away)), _eight_bits(around)


def _eight_bits(part: Floats) -> Coverage:
    coverage: Coverage = np.rint(np.clip(part, 0, 1) * FULL).astype(np.uint8)
    return coverage


def draw_guide(image: Image, armed: float) -> None:
    """An oval where the face belongs, marks at the height of the eyes, and along the oval how much of 'hold still' has passed (0 … 1)."""
    guide, thick, around = _guide((image.shape[1], image.shape[0]))
    lay(image, guide, 0, 0)
    if armed > 0:
        passed = _eight_bits(armed * (FULL + 1) - np.arange(FULL + 1))
        paint_sprite(image, np.asarray(cv2.multiply(thick, cv2.LUT(around, passed), scale=1 / FULL), np.uint8), ACCENT)


def draw_points(image: Image, points: Floats) -> None:
    """Dots where the engine sees the face;

    Args:
        points: (N, 2) in pixels of `picture`.
    """
    dot = draw_disc(2 * round(image.shape[0] / 300) + 1) if image.shape[0] >= 300 else SMALL_DOT
    reach = len(dot) // 2
    height, width = image.shape[:2]
    places = np.rint(points[np.isfinite(points).all(axis=1)]).astype(int)
    inside = (places >= reach).all(axis=1) & (places < (width - reach, height - reach)).all(axis=1)
    x, y = places[inside].T
    coverage: Coverage = np.zeros((height, width), np.uint8)
    for (row, column), value in np.ndenumerate(dot):
        there = y + row - reach, x + column - reach
        coverage[there] = np.maximum(coverage[there], value)
    paint_sprite(image, coverage, ACCENT)


@lru_cache(maxsize=4)
def _frame(size: Size, radius: float) -> tuple[Sprite, Sprite, Coverage]:
    blur = radius * 0.8
    return (
        solid_sprite(shadow(size, radius, blur), (0, 0, 0), 0.45),
        solid_sprite(draw_outline(size, radius, 1), INK, 0.35),
        rounded_rectangle(size, radius),
    )


def hang(canvas: Image, image: Image, x: int, y: int, radius: float) -> None:
    """Put the picture on the canvas with round corners, a fine edge and a soft shadow."""
    size = image.shape[1], image.shape[0]
    below, edge, coverage = _frame(size, radius)
    border = (below.size[0] - size[0]) // 2
    lay(canvas, below, x - border, y - border + math.ceil(radius * 0.3))
    mask = cv2.merge([coverage] * 3)
    cut = Sprite(np.asarray(cv2.multiply(image, mask, scale=1 / FULL), np.uint8), np.asarray(cv2.bitwise_not(mask), np.uint8))
    lay(canvas, cut, x, y)
    lay(canvas, edge, x, y)
