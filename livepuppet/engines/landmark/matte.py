"""The person's edge in full resolution: a soft matte from a hard outline, and the person's own colours along it.

At a soft edge the photo shows a mixture, I = alpha F + (1 - alpha) B. Whatever is laid over another place of the background must be F
alone, or a rim of the old background's light goes along with it (Porter and Duff, SIGGRAPH 1984).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.types import Image

Matte = NDArray[np.uint8]
"""(H, W), 0 (background) … 255 (person)."""

REACH = 0.03
"""Face widths: how far from the outline the picture's own edges move it."""
SURE = 0.07
"""Face widths: farther inside than this everything is the person; as far outside nothing is."""
EPSILON = 4e-4
"""The guided filter's regularisation: smaller differences (squared, of 1) are no edge."""
CONTRAST = (0.25, 0.9)
"""The filter's answer is stretched from here to 0 … 1: what is hardly person is none."""
FAINTEST = 0.08
"""Alpha below which the person's own colour cannot be told."""


def refine_matte(image: Image, person: NDArray[np.uint8], strands: NDArray[np.uint8], face_width: float) -> Matte:
    """A soft matte that follows the picture's edges near the outline (guided filter, He, Sun and Tang, ECCV 2010).

    Args:
        person: the outline (H, W), 1 inside. strands: single hairs beyond it, likewise.
    """
    radius = max(2, round(REACH * face_width))
    mask = (person | strands).astype(np.float32)
    followed = np.asarray(cv2.ximgproc.guidedFilter(image.astype(np.float32) / 255, mask, radius, EPSILON), np.float32)
    low, high = CONTRAST
    alpha = np.clip((followed - low) / (high - low), 0, 1)
    sure = max(1.0, SURE * face_width)
    inside = cv2.distanceTransform(np.pad(person, 1, mode="edge"), cv2.DIST_L2, 3)[1:-1, 1:-1]
    outside = cv2.distanceTransform(1 - (person | strands), cv2.DIST_L2, 3)
    alpha = np.maximum(alpha, np.clip(inside / sure * 2 - 1, 0, 1))
    alpha = np.minimum(alpha, np.clip(2 - outside / sure * 2, 0, 1))
    return np.asarray(np.rint(alpha * 255), np.uint8)


def person_colours(image: Image, matte: Matte, plate: Image) -> Image:
    """The image with the background taken out of its soft edges: F from I = alpha F + (1 - alpha) B, B from the plate (all (H, W, 3))."""
    out = image.copy()
    mixed = (matte > FAINTEST * 255) & (matte < 255)
    alpha = matte[mixed].astype(np.float32)[:, None] / 255
    own = (image[mixed] - (1 - alpha) * plate[mixed]) / alpha
    out[mixed] = np.clip(np.rint(own), 0, 255).astype(np.uint8)
    return out
