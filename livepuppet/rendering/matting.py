"""The avatar without its background: how much of each pixel is the person, from MediaPipe's segmentation, with edges that follow the
picture's own."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.errors import UsageError
from livepuppet.types import Image
from livepuppet.vision.mediapipe_models import carries_models
from livepuppet.vision.segmentation import PersonSegmenter

STEADY = 0.4
"""Share of the mask before in the mask now: the segmentation trembles more than the picture."""

SURE = (0.25, 0.75)
"""Likelihoods at and beyond which a pixel is background, or person."""

EDGE = 1 / 48
"""Reach of the edge's refinement (a guided filter, He, Sun and Tang, ECCV 2010), part of the short side."""

GUIDED_EPS = 1e-4
"""The guided filter's regularisation: smaller differences of brightness (squared, of 1) are no edge."""


class PersonMatting:
    """Cuts the person out of one video's pictures, in order.

    Raises:
        UsageError: where the installed MediaPipe cannot tell people apart.
    """

    def __init__(self) -> None:
        if not carries_models():
            raise UsageError(
                "a transparent background needs MediaPipe 0.10.21, which Python 3.13 cannot have: use Python 3.12", parameter="background"
            )
        self._segment = PersonSegmenter()
        self._before: NDArray[np.float32] | None = None

    def __call__(self, image: Image, shown: Image) -> NDArray[np.uint8]:
        """`shown` as RGBA (H, W, 4) with the alpha of the person in `picture`, both RGB (H, W, 3) of one size."""
        likely = self._segment(image)
        if self._before is not None:
            likely = STEADY * self._before + (1 - STEADY) * likely
        self._before = likely
        reach = max(2, round(min(image.shape[:2]) * EDGE))
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
        edged = cv2.ximgproc.guidedFilter(grey, likely, reach, GUIDED_EPS)
        alpha = np.clip((edged - SURE[0]) / (SURE[1] - SURE[0]), 0, 1)
        return np.dstack([shown, np.rint(alpha * 255).astype(np.uint8)])

    def close(self) -> None:
        """Free the model. May be called twice."""
        self._segment.close()
