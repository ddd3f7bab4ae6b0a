"""The inside of an open mouth: the driver's own in the portrait's colours, or one made from the portrait's palette."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.engines.landmark.face_model import LOWER_LIP, SKIN, UPPER_LIP
from livepuppet.types import Floats, Image, Mouth

LIPS = np.concatenate([UPPER_LIP, LOWER_LIP[-2:0:-1]])
"""The inner edge of both lips as one closed line."""
INSET = (0.97, 0.90)
"""The driver's opening is taken this much smaller (across, up and down), so that no lip of theirs comes along."""
SHOWS = (0.012, 0.020)
"""Face widths: the mouth's inside fades in when the lips part by more than the first, over the second."""


@dataclass(frozen=True, eq=False)
class DriverMouth:
    """The driver's mouth, cut out of the frame. pixels (h, w, 3); lips (20, 2) in its pixels, in the order of LIPS;

    Attributes:
        skin: mean RGB (3,).
    """

    pixels: Image
    lips: Floats
    skin: Floats


def cut_mouth(image: Image, landmarks: Floats) -> DriverMouth | None:
    """The driver's mouth of this frame; None where it lies outside the picture."""
    lips = landmarks[LIPS, :2]
    low, high = lips.min(0), lips.max(0)
    margin = 0.15 * (high - low).max() + 3
    height, width = image.shape[:2]
    left, top = np.maximum(np.floor(low - margin), 0).astype(int)
    right, bottom = np.minimum(np.ceil(high + margin), [width, height]).astype(int)
    if right - left < 4 or bottom - top < 4:
        return None
    return DriverMouth(image[top:bottom, left:right].copy(), lips - [left, top], skin_colour(image, landmarks))


def skin_colour(image: Image, landmarks: Floats) -> Floats:
    """Mean RGB (3,) of small patches of cheeks, chin and forehead.

    The median of the patches, so that a beard or a highlight counts little.
    """
    height, width = image.shape[:2]
    reach = max(1, round(0.025 * float(np.linalg.norm(landmarks[454, :2] - landmarks[234, :2]))))
    means = []
    for x, y in np.round(landmarks[SKIN, :2]).astype(int):
        patch = image[max(y - reach, 0) : min(y + reach + 1, height), max(x - reach, 0) : min(x + reach + 1, width)]
        if patch.size:
            means.append(patch.reshape(-1, 3).mean(0))
    return np.median(means, axis=0) if means else np.full(3, 128.0)


def mouth_opening(shape: Floats) -> float:
    """Mean distance between the lips' inner edges, face widths; shape (478, 3) in the face's own frame."""
    return float(np.linalg.norm(shape[[81, 13, 311]] - shape[[178, 14, 402]], axis=1).mean())


def mouth_presence(shape: Floats, rest: Floats) -> float:
    """How much of the made interior shows, 0 … 1: nothing while the lips are no wider apart than in the portrait."""
    return float(np.clip((mouth_opening(shape) - 1.15 * mouth_opening(rest) - SHOWS[0]) / SHOWS[1], 0, 1))


def paint_mouth(
    out: Image, points: Floats, face_width: float, skin: Floats, driver: DriverMouth | None, choice: Mouth, amount: float
) -> None:
    """Paint the inside of the mouth into `out`. points (478, 3): the posed face in pixels of out;

    Args:
        skin: the portrait's; amount 0 … 1.
    """
    lips = points[LIPS, :2]
    height, width = out.shape[:2]
    left, top = np.maximum(np.floor(lips.min(0) - 4), 0).astype(int)
    right, bottom = np.minimum(np.ceil(lips.max(0) + 5), [width, height]).astype(int)
    if right - left < 4 or bottom - top < 4:
        return
    local = lips - [left, top]
    size = right - left, bottom - top
    mask = np.zeros((size[1], size[0]), np.uint8)
    cv2.fillPoly(mask, [np.round(local * 16).astype(np.int32)], (255,), lineType=cv2.LINE_AA, shift=4)
    feather = 2 * max(1, round(0.01 * face_width)) + 1
    alpha = cv2.GaussianBlur(mask, (feather, feather), 0).astype(np.float32) * (amount / 255)
    own = driver if choice == "driver" else None
    inside = draw_interior(local, size, skin) if own is None else driver_interior(own, local, size, skin)
    depth = cv2.distanceTransform((mask > 127).astype(np.uint8), cv2.DIST_L2, 3)
    inside *= (1 - 0.4 * np.exp(-depth / (0.02 * face_width + 1e-3)))[..., None]
    region = out[top:bottom, left:right]
    region[:] = np.rint(region * (1 - alpha[..., None]) + inside * alpha[..., None]).astype(np.uint8)


def driver_interior(driver: DriverMouth, lips: Floats, size: tuple[int, int], skin: Floats) -> NDArray[np.float32]:
    """The driver's mouth brought to the avatar's lips (20, 2), (h, w, 3): a smooth map through the lips' points."""
    centre = driver.lips.mean(0)
    source = centre + (driver.lips - centre) * INSET
    x, y = lip_map(lips, source, size)
    taken = cv2.remap(driver.pixels, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return match_colours(np.asarray(taken, np.uint8), driver.skin, skin)


def lip_map(lips: Floats, source: Floats, size: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where in the source each pixel of (w, h) comes from: an affine map plus a smooth rest that brings the lips exactly together."""
    design = np.c_[lips, np.ones(len(lips))]
    affine, *_ = np.linalg.lstsq(design, source, rcond=None)
    rest = source - design @ affine
    # inverse-distance weights on a coarse grid: the rest is small and smooth
    columns, rows = max(2, size[0] // 6), max(2, size[1] // 6)
    gx, gy = np.meshgrid((np.arange(columns) + 0.5) * size[0] / columns - 0.5, (np.arange(rows) + 0.5) * size[1] / rows - 0.5)
    grid = np.stack([gx, gy], -1).reshape(-1, 1, 2)
    reach = np.ptp(lips[:, 0]) * 0.12 + 1
    weight = 1.0 / (((grid - lips[None]) ** 2).sum(2) + reach**2) ** 2
    bent = (weight @ rest) / weight.sum(1, keepdims=True)
    bent = cv2.resize(bent.reshape(rows, columns, 2).astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    x, y = np.meshgrid(np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32))
    a = affine.astype(np.float32)
    return (
        np.ascontiguousarray(x * a[0, 0] + y * a[1, 0] + a[2, 0] + bent[..., 0]),
        np.ascontiguousarray(x * a[0, 1] + y * a[1, 1] + a[2, 1] + bent[..., 1]),
    )


def match_colours(taken: Image, of: Floats, to: Floats) -> NDArray[np.float32]:
    """The driver's pixels under the portrait's light: each colour channel scaled as the skins compare (von Kries), within limits.

    Skins differ by more than the light, hence the exponents; a portrait with less colour than the driver (pencil, black and white)
    takes the same share of colour from the mouth.
    """
    source, target = np.maximum(of, 8.0), np.maximum(to, 8.0)
    light = np.clip(target.mean() / source.mean(), 0.4, 1.5) ** 0.8
    tint = np.clip((target / target.mean()) / (source / source.mean()), 0.5, 1.6) ** 0.7
    values = taken.astype(np.float32) * (light * tint).astype(np.float32)
    colourful = float(np.clip((colourfulness(target) + 0.02) / (colourfulness(source) + 0.02), 0.0, 1.0))
    if colourful < 0.8:
        grey = values.mean(2, keepdims=True) * (target / target.mean()).astype(np.float32) ** (1 - colourful)
        values = grey + (values - grey) * colourful
    return np.asarray(np.clip(values, 0, 250), dtype=np.float32)


def colourfulness(colour: Floats) -> float:
    """0 for grey, towards 1 for pure colours."""
    return float((colour.max() - colour.min()) / max(float(colour.max()), 1.0))


def draw_interior(lips: Floats, size: tuple[int, int], skin: Floats) -> NDArray[np.float32]:
    """A mouth of the portrait's own palette, (h, w, 3): dark throat, tongue below, a row of teeth under the upper lip."""
    light = float(np.clip(skin.mean() / 150, 0.3, 1.3))
    warm = skin / max(float(skin.mean()), 1.0)
    upper, lower = lips[: len(UPPER_LIP)], np.concatenate([lips[:1], lips[: len(UPPER_LIP) - 2 : -1], lips[len(UPPER_LIP) - 1 :][:1]])
    columns = np.arange(size[0])
    top = np.interp(columns, *sort_lip_points(upper))
    bottom = np.interp(columns, *sort_lip_points(lower))
    gap = np.maximum(bottom - top, 1.0)
    across = np.clip((columns - lips[0, 0]) / max(lips[len(UPPER_LIP) - 1, 0] - lips[0, 0], 1), 0, 1)
    wide = float(np.ptp(lips[:, 0]))
    rows = np.arange(size[1])[:, None]
    down = (rows - top) / gap
    throat = np.array([52, 20, 18]) * light
    tongue = np.array([150, 72, 70]) * light
    teeth = (0.35 * warm + 0.65) * np.array([222, 212, 196]) * min(light, 1.05)
    arch = 1 - (2 * np.abs(across - 0.5)) ** 2.5
    tongue_share = np.clip((down - 0.62 + 0.10 * (1 - arch)) / 0.25, 0, 1) * arch
    inside = throat + (tongue - throat) * (tongue_share * 0.8)[..., None]
    edge = np.minimum(0.13 * wide * arch**0.5, 0.62 * gap)
    teeth_share = np.clip((edge - (rows - top)) / max(0.02 * wide, 1.0) + 0.5, 0, 1) * np.clip(arch * 3, 0, 1)
    # the gaps between teeth, narrower towards the corners, as faint shade
    number = (across - 0.5) * 9.0
    seam = np.exp(-(((number - np.rint(number)) / 0.07) ** 2)) * 0.16
    shade = (0.72 + 0.28 * arch) * (1 - seam)
    inside = inside * (1 - teeth_share[..., None]) + teeth * (teeth_share * 1.0)[..., None] * shade[None, :, None]
    colourful = float(np.clip((colourfulness(skin) - 0.02) / 0.25, 0, 1))  # pencil, and black and white
    inside = inside.mean(2, keepdims=True) * (1 - colourful) + inside * colourful
    return np.asarray(cv2.GaussianBlur(inside.astype(np.float32), (0, 0), max(0.5, 0.012 * wide)), dtype=np.float32)


def sort_lip_points(line: Floats) -> tuple[Floats, Floats]:
    """x and y of a line's points by growing x, as np.interp wants them."""
    order = np.argsort(line[:, 0])
    return line[order, 0], line[order, 1]
