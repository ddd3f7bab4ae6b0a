"""Which faces are in an image, near and far: boxes, how sure the detector is, and which way up they are.

MediaPipe 0.10.21 has two detectors: one for faces near the camera, one for the whole range. Later releases bring the first only, which sees
small faces in an enlarged part of the image; so the image is searched in overlapping squares.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.types import Image
from livepuppet.vision.mediapipe_models import carries_models, detector_model
from livepuppet.vision.mediapipe_solutions import SolutionGraph
from livepuppet.vision.native_noise import without_native_noise
from livepuppet.vision.windows import Window, window_round

LEAST_TILE_PX = 64
TILE_PX = 256
"""A square is shown to the detector at this size at most: its own input is 128 px."""
OVERLAP = 0.4
"""Squares overlap by this share of their side, more than the faces that are looked for in them take."""


@dataclass(frozen=True, eq=False)
class DetectedFace:
    """A face, without its landmarks.

    Attributes:
        x, y, side: centre and longer side of its box, pixels. The box goes from the brows to the chin.
        score: 0 … 1.
        points: (4, 2) pixels: the eyes, the picture's left one first where the face is upright, the tip of the nose, the mouth.
    """

    x: float
    y: float
    side: float
    score: float
    points: NDArray[np.float64]

    @property
    def roll(self) -> float:
        """Radians by which the face is turned clockwise in the image, -pi … pi; 0 = upright."""
        down = self.points[3] - (self.points[0] + self.points[1]) / 2
        return float(np.arctan2(-down[0], down[1]))

    def moved(self, scale: float, left: float, top: float) -> DetectedFace:
        """The same in an image of which this one was a part."""
        corner = np.array([left, top])
        return DetectedFace(self.x * scale + left, self.y * scale + top, self.side * scale, self.score, self.points * scale + corner)


class BareDetector(Protocol):
    """One of MediaPipe's detectors."""

    def find(self, image: Image) -> list[DetectedFace]: ...

    def close(self) -> None: ...


class SolutionsFaceDetector:
    """The graphs inside MediaPipe 0.10.21."""

    def __init__(self, least: float, distant: bool) -> None:
        self._graph = SolutionGraph("face_detection", "FaceDetection", model_selection=int(distant), min_detection_confidence=least)

    def find(self, image: Image) -> list[DetectedFace]:
        height, width = image.shape[:2]
        faces = []
        for found in self._graph.process(image).detections or []:
            box = found.location_data.relative_bounding_box
            x, y = (box.xmin + box.width / 2) * width, (box.ymin + box.height / 2) * height
            points = np.array([(p.x * width, p.y * height) for p in list(found.location_data.relative_keypoints)[:4]])
            faces.append(DetectedFace(x, y, max(box.width * width, box.height * height), float(found.score[0]), points))
        return faces

    def close(self) -> None:
        self._graph.close()


class TasksFaceDetector:
    """The Tasks API of later MediaPipe releases, with the detector of the face model's file."""

    def __init__(self, least: float) -> None:
        from mediapipe.tasks.python.core.base_options import BaseOptions
        from mediapipe.tasks.python.vision import FaceDetector as Graph
        from mediapipe.tasks.python.vision import FaceDetectorOptions, RunningMode

        options = FaceDetectorOptions(
            base_options=BaseOptions(model_asset_buffer=detector_model()),
            running_mode=RunningMode.IMAGE,
            min_detection_confidence=least,
        )
        with ExitStack() as opened:
            opened.enter_context(without_native_noise())
            self._graph: Any = Graph.create_from_options(options)
            opened.callback(self._graph.close)
            self._opened = opened.pop_all()

    def find(self, image: Image) -> list[DetectedFace]:
        from mediapipe import Image as MediaPipeImage
        from mediapipe import ImageFormat

        height, width = image.shape[:2]
        picture = MediaPipeImage(image_format=ImageFormat.SRGB, data=np.ascontiguousarray(image))
        faces = []
        for found in self._graph.detect(picture).detections:
            box = found.bounding_box
            x, y = box.origin_x + box.width / 2, box.origin_y + box.height / 2
            points = np.array([(p.x * width, p.y * height) for p in found.keypoints[:4]])
            faces.append(DetectedFace(x, y, float(max(box.width, box.height)), float(found.categories[0].score), points))
        return faces

    def close(self) -> None:
        self._opened.close()


class FaceDetector:
    """Finds all faces of an image, afresh each time. For one thread at a time; use it as a context manager, or close it.

    Args:
        least: the score from which a face is one.
        distant: look for small faces too, which takes longer.
    """

    def __init__(self, least: float = 0.5, *, distant: bool = False) -> None:
        self._tiled = distant and not carries_models()
        self._detector: BareDetector = SolutionsFaceDetector(least, distant) if carries_models() else TasksFaceDetector(least)

    def __call__(self, image: Image) -> list[DetectedFace]:
        """The faces of an image, RGB uint8 (H, W, 3), the surest first."""
        found = self._detector.find(image)
        if self._tiled:
            for window in tiles(image.shape[1], image.shape[0]):
                left, top, side = window
                part = np.ascontiguousarray(image[top : top + side, left : left + side])
                scale = max(1.0, side / TILE_PX)
                if scale > 1:
                    part = np.asarray(cv2.resize(part, (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA), np.uint8)
                found += [face.moved(scale, left, top) for face in self._detector.find(part)]
        kept: list[DetectedFace] = []
        for face in sorted(found, key=lambda face: -face.score):
            if not any(same_place(face, other) for other in kept):
                kept.append(face)
        return kept

    def close(self) -> None:
        """Free the graph. May be called twice."""
        self._detector.close()

    def __enter__(self) -> FaceDetector:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def same_place(one: DetectedFace, other: DetectedFace) -> bool:
    """Whether two boxes are of one face."""
    return max(abs(one.x - other.x), abs(one.y - other.y)) < 0.5 * max(one.side, other.side)


def tiles(width: int, height: int) -> list[Window]:
    """Overlapping squares of the whole height and of half of it (or of the width, where that is the shorter side)."""
    found = []
    for side in (min(width, height), min(width, height) // 2):
        if side < LEAST_TILE_PX or (side == width == height):
            continue
        across, down = (max(1, int(np.ceil((length - side) / (side * (1 - OVERLAP)))) + 1) for length in (width, height))
        lefts, tops = np.linspace(0, width - side, across).round(), np.linspace(0, height - side, down).round()
        found += [(int(left), int(top), side) for top in tops for left in lefts]
    return found


def distant_faces(image: Image, most: int = 1) -> list[Window]:
    """Windows around faces, also those that are too small for the mesh's own detector (below about 60 px), likeliest first."""
    with FaceDetector(0.3, distant=True) as detector:
        return [window_round(face.x, face.y, face.side) for face in detector(image)[:most]]
