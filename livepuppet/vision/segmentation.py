"""Which pixels of an image show a person."""

from __future__ import annotations

from types import TracebackType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from livepuppet.types import Image
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

    def close(self) -> None:
        """Free the model. May be called twice."""
        self._graph.close()

    def __enter__(self) -> PersonSegmenter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
