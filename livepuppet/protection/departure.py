"""How far one animation departs from another: mean difference, structural similarity, and where the face's points are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.types import Image
from livepuppet.vision.face_landmarks import FaceTracker

DISTURBED_AKD = 0.05
"""Face widths: points a twentieth of the face away are a visibly different expression or a face in another place."""


@dataclass(frozen=True, slots=True)
class Departure:
    """Means over the frames of two animations.

    Attributes:
        l1: mean absolute difference, levels of 255.
        ssim: structural similarity of the brightness, 1 = alike (Wang et al. 2004).
        akd: mean distance between the faces' landmarks in face widths, NaN where no frame shows a face in both.
        lost: part of the frames in which only the first animation shows a face.
    """

    l1: float
    ssim: float
    akd: float
    lost: float

    @property
    def disturbed(self) -> bool:
        """Whether somebody would call the second animation broken: the face gone, or not where it was led. Grain does not count."""
        return self.lost > 0.5 or self.akd > DISTURBED_AKD


def measure_departure(originals: Sequence[Image], others: Sequence[Image]) -> Departure:
    """How far `others` departs from `originals`, frame by frame: as many, and of the same sizes."""
    tracker = FaceTracker(static=True)
    differences, similarities, distances, lost, faces = [], [], [], 0, 0
    try:
        for one, other in zip(originals, others, strict=True):
            differences.append(float(np.abs(one.astype(np.float32) - other).mean()))
            similarities.append(ssim(one, other))
            first, second = tracker.track(one), tracker.track(other)
            faces += first is not None
            lost += first is not None and second is None
            if first is not None and second is not None:
                distances.append(float(np.linalg.norm(first[:, :2] - second[:, :2], axis=1).mean()) / float(np.ptp(first[:, 0])))
    finally:
        tracker.close()
    akd = float(np.mean(distances)) if distances else float("nan")
    return Departure(float(np.mean(differences)), float(np.mean(similarities)), akd, lost / max(1, faces))


def ssim(one: Image, other: Image) -> float:
    """Structural similarity of the brightness: 11x11 Gaussian window of sigma 1.5, K1 = 0.01, K2 = 0.03 (Wang et al. 2004)."""

    def smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5), np.float64)

    x, y = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64) for image in (one, other))
    mean_x, mean_y = smooth(x), smooth(y)
    var_x, var_y, both = smooth(x * x) - mean_x**2, smooth(y * y) - mean_y**2, smooth(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float(np.mean((2 * mean_x * mean_y + c1) * (2 * both + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))))
