"""Do the lamp's reflections sit alike in both eyes? One lamp far away shows at the same place of both corneas.

A test that was tried and is not shipped: a puppet's eyes are those of its picture, with that picture's reflections.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.engines.landmark.face_model import IRIS
from livepuppet.types import Floats
from livepuppet.vision.face_landmarks import Landmarks

PATCH_PX = 32
LEAST_IRIS_PX = 5.0
"""Radius below which no reflection can be placed."""
LEAST_CONTRAST = 25.0
"""Grey levels by which a reflection is brighter than the iris around it."""


@dataclass(frozen=True)
class Catchlight:
    """Place of the brightest spot of each iris, in radii from its centre along the line between the eyes and across it; NaN: none seen."""

    left: tuple[float, float]
    right: tuple[float, float]

    @property
    def apart(self) -> float:
        """How far the two are from lying alike, radii; NaN where one is missing."""
        return float(np.hypot(self.left[0] - self.right[0], self.left[1] - self.right[1]))


def find_catchlights(grey: NDArray[np.uint8], landmarks: Landmarks) -> Catchlight:
    points = landmarks[:, :2]
    across = points[IRIS[1]] - points[IRIS[0]]
    across = across / max(float(np.linalg.norm(across)), 1e-6)
    return Catchlight(*(spot_of(grey, points[centre : centre + 5], across) for centre in IRIS))


def spot_of(grey: NDArray[np.uint8], iris: Floats, across: Floats) -> tuple[float, float]:
    """Args:
    iris: its centre and four points of its rim, (5, 2) pixels.
    across: unit vector from eye to eye.
    """
    radius = float(np.linalg.norm(iris[1:] - iris[0], axis=1).mean())
    if radius < LEAST_IRIS_PX:
        return float("nan"), float("nan")
    scale = radius / (PATCH_PX / 2)
    down = np.array([-across[1], across[0]])
    matrix = np.column_stack([across * scale, down * scale, iris[0] - (across + down) * radius])
    patch = cv2.warpAffine(
        grey, matrix, (PATCH_PX, PATCH_PX), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    patch = cv2.GaussianBlur(patch.astype(np.float32), (0, 0), 1.5)
    y, x = (np.mgrid[:PATCH_PX, :PATCH_PX] + 0.5) / (PATCH_PX / 2) - 1
    inside = np.hypot(x, y) < 0.8
    level = float(np.median(patch[inside]))
    bright = np.where(inside, np.maximum(patch - level - 0.6 * (float(patch[inside].max()) - level), 0), 0)
    if float(patch[inside].max()) - level < LEAST_CONTRAST:
        return float("nan"), float("nan")
    return float((bright * x).sum() / bright.sum()), float((bright * y).sum() / bright.sum())


class CatchlightWatcher:
    """Looks at every fifth frame of a video."""

    EVERY = 5
    LEAST = 4

    def __init__(self) -> None:
        self._seen = 0
        self._apart: list[float] = []

    def __call__(self, grey: NDArray[np.uint8], landmarks: Landmarks) -> None:
        self._seen += 1
        if self._seen % self.EVERY == 1:
            apart = find_catchlights(grey, landmarks).apart
            if not np.isnan(apart):
                self._apart.append(apart)

    @property
    def agreement(self) -> float | None:
        """1 where both eyes' reflections lie alike, 0 where they are a radius apart; None: too few were seen."""
        return max(0.0, 1.0 - float(np.median(self._apart))) if len(self._apart) >= self.LEAST else None
