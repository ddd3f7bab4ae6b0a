"""Which pixels of an image show a person."""

from __future__ import annotations

from types import TracebackType
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.types import Floats, Image
from livepuppet.vision.mediapipe_models import carries_models
from livepuppet.vision.mediapipe_solutions import SolutionGraph

PersonMask: TypeAlias = NDArray[np.float32]
"""Shape (H, W), 0 (background) … 1 (person)."""


class PersonSegmenter:
    """MediaPipe's selfie segmentation, in the release that carries its model (see `mediapipe_models.carries_models`)."""

    def __init__(self) -> None:
        self._graph = SolutionGraph("selfie_segmentation", "SelfieSegmentation", model_selection=0)

    def __call__(self, image: Image) -> PersonMask:
        """How likely each pixel of the image (RGB uint8 (H, W, 3)) shows a person."""
        return np.asarray(self._graph.process(image).segmentation_mask, np.float32)

    def closer(self, image: Image, box: tuple[int, int, int, int]) -> PersonMask:
        """The same for a part of the image (left, top, right, bottom in pixels, inside it), where the model, which sees 256 x 256
        pixels of whatever it is given, sees more of it; 0 elsewhere."""
        left, top, right, bottom = box
        out = np.zeros(image.shape[:2], np.float32)
        out[top:bottom, left:right] = self(np.ascontiguousarray(image[top:bottom, left:right]))
        return out

    def close(self) -> None:
        """Free the model. May be called twice."""
        self._graph.close()

    def __enter__(self) -> PersonSegmenter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def find_person(image: Image, face: Floats) -> PersonMask:
    """How likely each pixel of the image shows the person with this face; its rough silhouette where no model can tell.

    Args:
        face: landmarks (N, 2 or 3), pixels.
    """
    if not carries_models():
        return silhouette(image.shape, face)
    with PersonSegmenter() as segment:
        return segment(image)


OUTLINE: Floats = np.array(
    [[-1.2, -1.5], [1.2, -1.5], [1.2, 0.9], [1.6, 1.4], [2.6, 1.9], [2.9, 4], [-2.9, 4], [-2.6, 1.9], [-1.6, 1.4], [-1.2, 0.9]]
)
"""A person's outline, in halves of the face's box about its middle: head, neck, and shoulders that slope."""


def silhouette(shape: tuple[int, ...], face: Floats) -> PersonMask:
    """Where a person probably is (H, W), 0 or 1, in an image of this shape; face: landmarks (N, 2 or 3), pixels."""
    low, high = face[:, :2].min(0), face[:, :2].max(0)
    out = np.zeros(shape[:2], np.float32)
    cv2.fillPoly(out, [np.round(OUTLINE * (high - low) / 2 + (low + high) / 2).astype(np.int32)], (1.0,))
    return out
