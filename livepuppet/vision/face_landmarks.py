"""Where a face is: image -> 478 landmarks in pixels (MediaPipe's face mesh with irises).

Faces too small for the mesh's own detector are found by a wider search and then followed in an enlarged window.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.types import Image
from livepuppet.vision.face_detection import distant_faces
from livepuppet.vision.face_watch import FaceWatch
from livepuppet.vision.mediapipe_models import carries_models, face_model
from livepuppet.vision.mediapipe_solutions import SolutionGraph
from livepuppet.vision.native_noise import without_native_noise
from livepuppet.vision.windows import Window, bounding_box, cut_window, from_window, window_round

Landmarks: TypeAlias = NDArray[np.float64]
"""(478, 3): x and y in pixels of the image, z in the same unit (smaller is nearer to the camera). 468-477 are the irises."""

COUNT = 478
WINDOW_SIDE_PX = 288
"""A window is shown to the mesh at this size: the mesh's own input is 192 px, and the face fills about half of the window."""
LONG_SIDE_PX = 1280
"""Pictures are searched at this size at most: the detectors see 128 to 192 px anyway."""

STEP, LOOKS = 0.05, 3
"""After a step of more than this share of the face's size the mesh looks again, at most so many times more."""


class LandmarkDetector(Protocol):
    """A MediaPipe graph: image -> the landmarks of each face it sees."""

    def find(self, image: Image) -> list[Landmarks]: ...

    def close(self) -> None: ...


class SolutionsDetector:
    """The graph inside MediaPipe 0.10.21.

    Args:
        static: look at each image afresh instead of following the last face.
    """

    def __init__(self, static: bool, most: int = 1) -> None:
        self._graph = SolutionGraph(
            "face_mesh",
            "FaceMesh",
            static_image_mode=static,
            max_num_faces=most,
            refine_landmarks=True,
            min_detection_confidence=0.3 if static else 0.4,
            min_tracking_confidence=0.4,
        )

    def find(self, image: Image) -> list[Landmarks]:
        height, width = image.shape[:2]
        faces = self._graph.process(image).multi_face_landmarks or []
        return [to_pixels(face.landmark, width, height) for face in faces]

    def close(self) -> None:
        self._graph.close()


class TasksDetector:
    """The Tasks API of later MediaPipe releases, with the model file beside it."""

    def __init__(self, static: bool, most: int = 1) -> None:
        from mediapipe.tasks.python.core.base_options import BaseOptions
        from mediapipe.tasks.python.vision import FaceLandmarker, FaceLandmarkerOptions, RunningMode

        self._static = static
        self._time_ms = 0
        options = FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(face_model())),
            running_mode=RunningMode.IMAGE if static else RunningMode.VIDEO,
            num_faces=most,
            min_face_detection_confidence=0.3 if static else 0.4,
            min_face_presence_confidence=0.3 if static else 0.4,
            min_tracking_confidence=0.4,
        )
        with ExitStack() as opened:
            opened.enter_context(without_native_noise())
            self._graph = FaceLandmarker.create_from_options(options)
            opened.callback(self._graph.close)
            self._opened = opened.pop_all()

    def find(self, image: Image) -> list[Landmarks]:
        from mediapipe import Image as PILImage
        from mediapipe import ImageFormat

        height, width = image.shape[:2]
        picture = PILImage(image_format=ImageFormat.SRGB, data=np.ascontiguousarray(image))
        self._time_ms += 33  # only has to grow: the graph follows the face, it does not filter in time
        result = self._graph.detect(picture) if self._static else self._graph.detect_for_video(picture, self._time_ms)
        return [to_pixels(face, width, height) for face in result.face_landmarks]

    def close(self) -> None:
        self._opened.close()


def open_landmark_detector(static: bool, most: int = 1) -> LandmarkDetector:
    """The mesh that the installed MediaPipe has.

    Raises:
        ModelError: where its model file cannot be had.
    """
    return SolutionsDetector(static, most) if carries_models() else TasksDetector(static, most)


def to_pixels(points: Any, width: int, height: int) -> Landmarks:
    """MediaPipe's normalised points in pixels; z is in units of the width."""
    return np.array([(p.x * width, p.y * height, p.z * width) for p in points], dtype=np.float64)


class FaceTracker:
    """Follows one face from image to image; finds it again after it was lost or hidden. Belongs to one thread at a time.

    Args:
        static: look at each image afresh (unrelated pictures, portraits).
    """

    def __init__(self, static: bool = False) -> None:
        self._static = static
        self._mesh = open_landmark_detector(static)
        self._close_up: LandmarkDetector | None = None
        self._window: Window | None = None
        self._misses = 0
        self._last: Landmarks | None = None
        self._near_turn = self._restarted = False
        self._looked_at: Window | None = None
        self._watch: FaceWatch | None = None if static else FaceWatch()

    def track(self, image: Image) -> Landmarks | None:
        """The face's landmarks in pixels of the full image; None: no face, or one behind a hand or whatever else.

        Args:
            image: RGB uint8 (H, W, 3).
        """
        if self._watch is None:
            return self._find(image)
        if self._watch.is_cut(image) or self._restarted:
            self._restarted = False
            self._start_afresh(image)
        found = self._find(image)
        verdict = "nobody" if found is None else self._watch.judge(image, found)
        if found is not None and verdict == "nobody":  # the mesh goes on seeing the face where it was
            self._start_afresh(image)
            self._near_turn = not self._near_turn
            found = self._find(self._watch.where_it_was(image) if self._near_turn else image)
            verdict = "nobody" if found is None else self._watch.judge(image, found)
        return found if verdict == "seen" else None

    def restart(self) -> None:
        """Forget the face, where it was and how it looked: the next image does not follow the last one."""
        self._restarted = True
        if self._watch is not None:
            self._watch.forget()

    def _start_afresh(self, image: Image) -> None:
        """Forget where the face was: a mesh that is shown an empty image looks for faces in the next one."""
        self._mesh.find(np.zeros_like(image))
        if self._window is not None and self._close_up is not None:
            self._close_up.find(np.zeros((WINDOW_SIDE_PX, WINDOW_SIDE_PX, 3), np.uint8))
        self._window, self._last = None, None

    def _find(self, image: Image) -> Landmarks | None:
        if self._window is not None:
            found = self._look(image, self._window)
            if found is not None:
                return found
            self._window = None
        faces = self._mesh.find(image)
        if faces:
            self._misses = 0
            return self._settle(image, faces[0])
        self._misses += 1
        if self._misses > 3 and self._misses % 5 and not self._static:
            return None  # an empty room: the wider search costs more than a frame's landmarks, so it runs every fifth frame
        for window in distant_faces(image):
            found = self._look(image, window)
            if found is not None:
                return found
        return None

    def _settle(self, image: Image, found: Landmarks) -> Landmarks:
        """The mesh looks where the face was: after a large step, or a jump to another picture, it looks again where the face is now."""
        for _ in range(LOOKS):
            if self._static or (self._last is not None and face_stayed(self._last, found)):
                break
            self._last = found
            again = self._mesh.find(image)
            if not again:
                break
            found = again[0]
        self._last = found
        return found

    def _look(self, image: Image, window: Window) -> Landmarks | None:
        """The face inside the window; the window follows when the face comes near its edge."""
        if self._close_up is None:
            self._close_up = open_landmark_detector(self._static)
        shown = cut_window(image, window, WINDOW_SIDE_PX)
        faces = self._close_up.find(shown)
        if faces and window != self._looked_at:  # the mesh looked where the face was in another window: now it looks where it is
            faces = self._close_up.find(shown) or faces
        self._looked_at = window
        if not faces:
            return None
        found = from_window(faces[0], window, WINDOW_SIDE_PX)
        x, y, side = bounding_box(found)
        left, top, reach = window
        drift = max(abs(x - left - reach / 2), abs(y - top - reach / 2)) / reach
        kept = drift < 0.12 and 0.35 < side / reach < 0.6
        self._window = window if kept else window_round(x, y, side)
        if side > min(image.shape[:2]) * 0.35:
            self._window = None  # near enough for the mesh's own detector
        self._misses = 0
        return found

    def close(self) -> None:
        """Free the graphs. May be called twice."""
        for opened in (self._mesh, self._close_up, self._watch):
            if opened is not None:
                opened.close()
        self._mesh, self._close_up = ClosedDetector(), None


class ClosedDetector:
    """What a closed tracker holds, so that closing twice is harmless."""

    def find(self, image: Image) -> list[Landmarks]:
        raise RuntimeError("this tracker was closed")

    def close(self) -> None:
        return None


def find_faces(image: Image, most: int = 5) -> list[Landmarks]:
    """All faces of a picture, largest first, measured several times over in close-ups (a portrait is measured once and used for hours).

    Args:
        image: RGB uint8 (H, W, 3) of any size. Returns [] where there is nobody.

    Raises:
        ModelError: (see `face_model`).
    """
    height, width = image.shape[:2]
    shrink = min(1.0, LONG_SIDE_PX / max(height, width))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8) if shrink < 1 else image
    mesh, single = open_landmark_detector(True, most), open_landmark_detector(True)
    try:
        windows = [window_round(*bounding_box(face)) for face in mesh.find(small)]
        windows += [w for w in distant_faces(small, most) if not any(window_overlap(w, other) for other in windows)]
        if not windows:  # a face that fills the picture: give it room
            side = max(small.shape[:2])
            windows = [window_round(small.shape[1] / 2, small.shape[0] / 2, side, 1.6)]
        faces: list[Landmarks] = []
        for window in windows:
            full = window_round((window[0] + window[2] / 2) / shrink, (window[1] + window[2] / 2) / shrink, window[2] / shrink, 1.0)
            face = measure_face(image, full, single)
            if face is not None and not any(same_face(face, other) for other in faces):
                faces.append(face)
    finally:
        mesh.close()
        single.close()
    return sorted(faces, key=lambda face: -bounding_box(face)[2])[:most]


def measure_face(image: Image, window: Window, mesh: LandmarkDetector) -> Landmarks | None:
    """The landmarks of the face in the window: the mean over close-ups of slightly different size, which halves the mesh's noise."""
    side = 2 * WINDOW_SIDE_PX
    first = mesh.find(cut_window(image, window, side))
    if not first:
        return None
    x, y, reach = bounding_box(from_window(first[0], window, side))
    rounds = []
    for factor, dx, dy in ((2.0, 0.0, 0.0), (1.8, 0.04, 0.03), (2.2, -0.04, 0.02), (1.9, 0.02, -0.04), (2.4, -0.02, -0.02)):
        window = window_round(x + dx * reach, y + dy * reach, reach, factor)
        found = mesh.find(cut_window(image, window, side))
        if found:
            rounds.append(from_window(found[0], window, side))
    return np.asarray(np.median(rounds, axis=0), dtype=np.float64) if rounds else None


def face_stayed(before: Landmarks, now: Landmarks) -> bool:
    """Whether the face moved and grew so little that the mesh saw it where it expected it."""
    (x, y, side), (there_x, there_y, there_side) = bounding_box(before), bounding_box(now)
    return max(abs(x - there_x), abs(y - there_y), abs(side - there_side)) < STEP * side


def window_overlap(one: Window, other: Window) -> bool:
    """Whether the windows' centres are nearer than half a side."""
    apart = max(abs(one[0] + one[2] / 2 - other[0] - other[2] / 2), abs(one[1] + one[2] / 2 - other[1] - other[2] / 2))
    return apart < max(one[2], other[2]) / 2


def same_face(one: Landmarks, other: Landmarks) -> bool:
    """Whether two sets of landmarks are the same person's."""
    return bool(np.linalg.norm(one[:, :2].mean(0) - other[:, :2].mean(0)) < max(bounding_box(one)[2], bounding_box(other)[2]) / 2)
