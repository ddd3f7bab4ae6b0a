"""From any picture to the portrait at output size: which part of it is shown, and what fills the frame beside it."""

from __future__ import annotations

import cv2
import numpy as np

from livepuppet.types import Image, Size
from livepuppet.vision.face_landmarks import Landmarks
from livepuppet.vision.windows import bounding_box

LONG_SIDE_PX = 1280
"""The output's longer side where no size is asked for."""
HEADROOM = 2.3
"""Face heights that a frame should show: head and shoulders."""


def fit_portrait(portrait: Image, face: Landmarks, size: Size | None) -> tuple[Image, Landmarks]:
    """The portrait at output size, and the face's landmarks in it.

    size None keeps the whole picture, at most LONG_SIDE_PX. Else the frame is filled with a crop round head and shoulders; where the
    picture is too narrow for that, its sides are extended, soft and out of focus.
    """
    height, width = portrait.shape[:2]
    if size is None:
        scale = min(1.0, LONG_SIDE_PX / max(height, width))
        # even sides: video codecs halve the colour planes
        target = max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)
        return place_in_crop(portrait, face, (0.0, 0.0, float(width), float(height)), target)
    left, top, reach_x, reach_y = crop_window(width, height, face, size[0] / size[1])
    return place_in_crop(portrait, face, (left, top, reach_x, reach_y), size)


def crop_window(width: int, height: int, face: Landmarks, aspect: float) -> tuple[float, float, float, float]:
    """Left, top, width and height of the part of the picture to show, in its pixels; may reach beyond its sides."""
    x, y, side = bounding_box(face)
    reach_y = min(float(height), max(width / aspect, HEADROOM * side))
    reach_x = reach_y * aspect
    if reach_x > width:
        left = (width - reach_x) / 2
        if reach_x < 1.15 * width:  # nearly fits: rather lose a little than show a border
            reach_x, reach_y, left = float(width), width / aspect, 0.0
    else:
        left = float(np.clip(x - reach_x / 2, 0, width - reach_x))
    top = float(np.clip(y - 0.5 * reach_y, 0, max(0.0, height - reach_y)))
    return left, top, reach_x, reach_y


def place_in_crop(portrait: Image, face: Landmarks, window: tuple[float, float, float, float], size: Size) -> tuple[Image, Landmarks]:
    """The window of the portrait at this size, beyond its edges a blurred continuation; and the landmarks there."""
    left, top, reach_x, reach_y = window
    height, width = portrait.shape[:2]
    kx, ky = size[0] / reach_x, size[1] / reach_y
    moved = face * [kx, ky, (kx + ky) / 2]
    moved[:, :2] -= [left * kx, top * ky]
    if (left, top, reach_x, reach_y) == (0.0, 0.0, width, height):
        if size == (width, height):
            return portrait.copy(), moved
        way = cv2.INTER_AREA if kx < 1 else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(portrait, size, interpolation=way), dtype=np.uint8), moved
    smaller = portrait
    shrink = min(1.0, max(kx, ky))
    if shrink < 1:  # area-averaged first, so that the affine map below does not alias
        smaller = np.asarray(
            cv2.resize(portrait, (max(1, round(width * shrink)), max(1, round(height * shrink))), interpolation=cv2.INTER_AREA), np.uint8
        )
    ax, ay = kx * width / smaller.shape[1], ky * height / smaller.shape[0]
    matrix = np.array([[ax, 0, -left * kx + (ax - 1) / 2], [0, ay, -top * ky + (ay - 1) / 2]])
    sharp = cv2.warpAffine(smaller, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    if left >= 0 and top >= 0 and left + reach_x <= width and top + reach_y <= height:
        return np.asarray(sharp, dtype=np.uint8), moved
    shown = np.zeros((size[1], size[0]), np.float32)
    x0, x1 = max(0, round(-left * kx)), min(size[0], round((width - left) * kx))
    y0, y1 = max(0, round(-top * ky)), min(size[1], round((height - top) * ky))
    inset = max(1, size[1] // 60)
    shown[y0 if y0 == 0 else y0 + inset : y1 if y1 == size[1] else y1 - inset, x0 + inset * (x0 > 0) : x1 - inset * (x1 < size[0])] = 1
    share = cv2.GaussianBlur(shown, (0, 0), inset / 2)[..., None]
    soft = cv2.GaussianBlur(
        cv2.resize(sharp, (max(2, size[0] // 8), max(2, size[1] // 8)), interpolation=cv2.INTER_AREA), (0, 0), size[1] / 160
    )
    beside = cv2.resize(soft, size, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    return np.rint(np.clip(sharp * share + beside * (1 - share), 0, 255)).astype(np.uint8), moved
