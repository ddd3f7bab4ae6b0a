"""A small real engine for tests of the loop: the driver is a bright blob, and the portrait shifts as the blob does.

It tracks (the blob's centroid), transfers (relative to the reference) and renders (an exact shift), so what the loop does with an engine
can be checked to the pixel and in microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from livepuppet.errors import NoFaceError
from livepuppet.types import Avatar, Frame, Image, Motion, Size, Tuning

SIDE = 64


@dataclass(frozen=True, eq=False)
class BlobAvatar:
    image: Image
    neutral: Motion


def still(x: float = 0.0, y: float = 0.0, seen: bool = True) -> Motion:
    """A motion of the blob: place in shares of the picture."""
    return Motion(np.array([x, y]), np.zeros(1), np.array([x, y, 0.0]), np.array([[x, y]]), "seen" if seen else None)


class BlobEngine:
    name = "blob"
    device = "cpu"

    def __init__(self) -> None:
        self.closed = 0
        self.rendered = 0

    def prepare(self, portrait: Image, size: Size | None = None, face: int | None = None) -> Avatar:
        if portrait.max() == 0:
            raise NoFaceError("the picture is black: nobody is in it")
        if size is not None:
            portrait = np.ascontiguousarray(np.resize(portrait, (size[1], size[0], 3)))
        return BlobAvatar(portrait, still())

    def observe(self, image: Image) -> Motion | None:
        bright = np.argwhere(image[..., 0] > 200)
        if not len(bright):
            return None
        y, x = bright.mean(axis=0) / image.shape[:2]
        return still(float(x) - 0.5, float(y) - 0.5)

    def transfer(self, avatar: Avatar, reference: Motion, driving: Motion, tuning: Tuning) -> Motion:
        return still(*(avatar.neutral.pose + tuning.gain * (driving.pose - reference.pose)))

    def render(self, avatar: Avatar, motion: Motion, tuning: Tuning) -> Image:
        self.rendered += 1
        height, width = avatar.image.shape[:2]
        dx, dy = round(float(motion.pose[0]) * width), round(float(motion.pose[1]) * height)
        return np.roll(avatar.image, (dy, dx), (0, 1)) if dx or dy else avatar.image

    def distance(self, avatar: Avatar, driving: Motion) -> float:
        return float(np.abs(driving.pose).sum())

    def idle(self, avatar: Avatar, seconds: float) -> Motion:
        return still(0.02 * float(np.sin(seconds)))

    def close(self) -> None:
        self.closed += 1


def driver(x: float, y: float = 0.5, side: int = SIDE) -> Image:
    """A picture with a blob of 5 x 5 pixels at (x, y), shares of the picture; x < 0: nobody."""
    image = np.zeros((side, side, 3), np.uint8)
    if x >= 0:
        column, row = round(x * side), round(y * side)
        image[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3] = 255
    return image


def frame(index: int, x: float, fps: float = 30.0) -> Frame:
    return Frame(driver(x), index, index / fps)


def portrait(side: int = SIDE) -> Image:
    """A portrait whose every column differs, so that a shift can be read off."""
    image = np.zeros((side, side, 3), np.uint8)
    image[...] = (np.arange(side) * 255 // (side - 1)).astype(np.uint8)[None, :, None]
    return image
