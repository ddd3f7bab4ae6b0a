"""The avatar without its background: how much of each pixel is the person, from MediaPipe's segmentation, with edges that follow the
picture's own."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.errors import UsageError
from livepuppet.types import Image
from livepuppet.vision.face_landmarks import carries_models
from livepuppet.vision.mediapipe_solutions import solution

STEADY = 0.4
"""Share of the mask before in the mask now: the segmentation trembles more than the picture."""

SURE = (0.25, 0.75)
"""Likelihoods at and beyond which a pixel is background, or person."""

EDGE = 1 / 48
"""Reach of the edge's refinement, part of the short side."""


class PersonMatting:
    """Cuts the person out of one film's pictures, in order. Raises UsageError where the installed MediaPipe cannot tell people apart."""

    def __init__(self) -> None:
        if not carries_models():
            raise UsageError("--background transparent needs MediaPipe 0.10.21, which Python 3.13 cannot have: use Python 3.12")
        self._model: Any = solution("selfie_segmentation").SelfieSegmentation(model_selection=0)
        self._before: NDArray[np.float32] | None = None

    def __call__(self, picture: Image, shown: Image) -> NDArray[np.uint8]:
        """`shown` as RGBA (H, W, 4) with the alpha of the person in `picture`, both RGB (H, W, 3) of one size."""
        likely = np.asarray(self._model.process(picture).segmentation_mask, np.float32)
        if self._before is not None:
            likely = STEADY * self._before + (1 - STEADY) * likely
        self._before = likely
        reach = max(2, round(min(picture.shape[:2]) * EDGE))
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
        edged = guided_filter(grey, likely, reach)
        alpha = np.clip((edged - SURE[0]) / (SURE[1] - SURE[0]), 0, 1)
        return np.dstack([shown, np.rint(alpha * 255).astype(np.uint8)])

    def close(self) -> None:
        """Free the model. May be called twice."""
        if self._model is not None:
            self._model.close()
            self._model = None


def guided_filter(guide: NDArray[np.float32], mask: NDArray[np.float32], reach: int, slack: float = 1e-4) -> NDArray[np.float32]:
    """The mask with the guide's edges (He, Sun and Tang, "Guided Image Filtering", ECCV 2010); guide and mask 0 … 1, (H, W)."""
    side = (2 * reach + 1, 2 * reach + 1)
    mean_guide, mean_mask = cv2.blur(guide, side), cv2.blur(mask, side)
    slope = (cv2.blur(guide * mask, side) - mean_guide * mean_mask) / (cv2.blur(guide * guide, side) - mean_guide**2 + slack)
    offset = mean_mask - slope * mean_guide
    return np.asarray(cv2.blur(slope, side) * guide + cv2.blur(offset, side), np.float32)
