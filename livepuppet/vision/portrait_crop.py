"""From any picture to the portrait at output size: which part of it is shown, and what fills the frame beside it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.types import Floats, Image, Size
from livepuppet.vision.face_landmarks import Landmarks
from livepuppet.vision.inpainting import fill_background
from livepuppet.vision.segmentation import find_person
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
    beside = continue_sides(smaller, moved, matrix, size, x0, x1)
    return np.rint(np.clip(sharp * share + beside * (1 - share), 0, 255)).astype(np.uint8), moved


SLOPE = 0.6
"""How steeply shoulders fall beyond the picture's sides."""


def continue_sides(portrait: Image, face: Landmarks, matrix: Floats, size: Size, left: int, right: int) -> NDArray[np.float32]:
    """What fills the frame beside a portrait (H, W, 3): its background, soft and out of focus, and the shoulders that it cuts off.

    Args:
        face: the landmarks in the frame. matrix: portrait -> frame (2, 3). left, right: the portrait's sides in the frame, pixels.
    """
    step = 8
    small = max(2, size[0] // step), max(2, size[1] // step)
    to_small = np.diag([small[0] / size[0], small[1] / size[1]]) @ matrix
    high, wide = portrait.shape[:2]
    k = min(1.0, float(np.hypot(*to_small[:, 0])))
    reduced = np.asarray(cv2.resize(portrait, (max(2, round(wide * k)), max(2, round(high * k))), interpolation=cv2.INTER_AREA), np.uint8)
    inverse = cv2.invertAffineTransform(matrix)
    in_portrait = face[:, :2] @ inverse[:, :2].T + inverse[:, 2]
    likely = find_person(portrait, in_portrait)
    person = np.asarray(cv2.resize(likely, reduced.shape[1::-1], interpolation=cv2.INTER_AREA), np.float32)
    reach = max(1, round(0.06 * float(np.ptp(in_portrait[:, 0])) * k))
    hole = cv2.dilate((person > 0.3).astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    wall = fill_background(reduced, np.asarray(hole, np.uint8))
    to_reduced = to_small @ np.diag([wide / reduced.shape[1], high / reduced.shape[0], 1.0])
    behind = cv2.warpAffine(wall, to_reduced, small, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101).astype(np.float32)
    x, y = np.meshgrid(np.arange(small[0], dtype=np.float32), np.arange(small[1], dtype=np.float32))
    margin = size[1] / 40
    first, last = (left + margin) * small[0] / size[0], (right - margin) * small[0] / size[0]
    beyond = np.maximum(first - x, 0) * (left > 0) + np.maximum(x - last, 0) * (right < size[0])
    back = cv2.invertAffineTransform(to_reduced).astype(np.float32)
    at_x, at_y = np.clip(x, first if left > 0 else 0, last if right < size[0] else small[0]), y - SLOPE * beyond
    maps = back[0, 0] * at_x + back[0, 1] * at_y + back[0, 2], back[1, 0] * at_x + back[1, 1] * at_y + back[1, 2]
    clothes = cv2.remap(reduced, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    shoulders = cv2.remap(person, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    chin, tall = (float(amount) * small[1] / size[1] for amount in (face[:, 1].max(), np.ptp(face[:, 1])))
    below = np.clip((y - chin) / (0.6 * tall), 0, 1)  # hair that a picture cuts off ends there
    weight = cv2.GaussianBlur(np.asarray(shoulders * below, np.float32), (0, 0), max(0.6, small[1] / 90))[..., None]
    soft = cv2.GaussianBlur(behind, (0, 0), small[1] / 40)
    soft = soft + weight * (cv2.GaussianBlur(clothes, (0, 0), small[1] / 60) - soft)
    return np.asarray(cv2.resize(soft, size, interpolation=cv2.INTER_CUBIC), np.float32)
