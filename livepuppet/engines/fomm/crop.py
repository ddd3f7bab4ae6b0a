"""What part of a picture the model is shown: a square round the face, as it was trained on, or the whole picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from livepuppet.types import Image, Size
from livepuppet.vision.face_landmarks import Landmarks
from livepuppet.vision.windows import bounding_box

LIFT = 0.12
"""The square sits this share of a face higher than the face: landmarks end at the hairline, heads do not."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A square in a picture: its centre and side in pixels. It may reach beyond the picture; its edge is continued there."""

    x: float
    y: float
    side: float

    def whole(self) -> Crop:
        """The same in whole pixels."""
        side, left, top = round(self.side), round(self.x - self.side / 2), round(self.y - self.side / 2)
        return Crop(left + side / 2, top + side / 2, float(side))

    def cut(self, image: Image, size: int) -> Image:
        """The square at size by size pixels."""
        scale = size / self.side
        if scale < 0.5:  # averaged first, so that fine structure does not turn into noise
            way = 2 * scale
            width, height = max(1, round(image.shape[1] * way)), max(1, round(image.shape[0] * way))
            image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
            return Crop(self.x * way, self.y * way, self.side * way).cut(image, size)
        left, top = self.x - self.side / 2, self.y - self.side / 2
        matrix = np.array([[scale, 0, (0.5 - left) * scale - 0.5], [0, scale, (0.5 - top) * scale - 0.5]])
        return np.asarray(cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def face_crop(landmarks: Landmarks, margin: float) -> Crop:
    """The square round a face whose side is `margin` times the face's longer side."""
    x, y, side = bounding_box(landmarks)
    return Crop(x, y - LIFT * side, margin * side)


def whole_crop(image: Image) -> Crop:
    """The smallest square that shows the whole picture."""
    height, width = image.shape[:2]
    return Crop(width / 2, height / 2, float(max(width, height)))


class SteadyCrop:
    """A face crop that rests while the face moves within it, and glides after the face when it leaves.

    A square that trembles with the landmarks makes the whole picture tremble; one that follows exactly takes the head's own motion away.
    """

    SLACK = 0.09
    """How far the face's centre may be from the square's, in sides of the square."""
    GROWTH = 1.2
    """How much larger or smaller the face may become."""
    PACE = 0.15
    """Share of the way that a glide goes in one frame."""
    ARRIVED = 0.015

    def __init__(self, margin: float) -> None:
        self._margin = margin
        self._crop: Crop | None = None
        self._size: Size | None = None
        self._gliding = False

    def follow(self, landmarks: Landmarks, size: Size) -> Crop:
        """The square for this frame's face.

        Args:
            size: of the picture; when it changes, all begins anew.
        """
        wanted = face_crop(landmarks, self._margin)
        crop, self._crop, before, self._size = self._crop, wanted, self._size, size
        if crop is None or before != size:
            self._gliding = False
            return wanted
        distance = max(abs(wanted.x - crop.x), abs(wanted.y - crop.y)) / crop.side
        growth = max(wanted.side / crop.side, crop.side / wanted.side)
        if distance > 1.0:  # another place altogether: a cut in a video, another person
            self._gliding = False
            return wanted
        if distance > self.SLACK or growth > self.GROWTH:
            self._gliding = True
        elif distance < self.ARRIVED and growth < 1 + 2 * self.ARRIVED:
            self._gliding = False
        if self._gliding:
            crop = Crop(*(was + self.PACE * (now - was) for was, now in zip(_numbers(crop), _numbers(wanted), strict=True)))
        self._crop = crop
        return crop


def _numbers(crop: Crop) -> tuple[float, float, float]:
    return crop.x, crop.y, crop.side
