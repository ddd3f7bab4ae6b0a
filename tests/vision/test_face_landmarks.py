"""Faces are found, followed, lost and found again: near, far, and in portraits of several people."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import pytest

from livepuppet.errors import ModelError
from livepuppet.types import Image
from livepuppet.vision import mediapipe_models
from livepuppet.vision.face_landmarks import FaceTracker, Landmarks, find_faces
from livepuppet.vision.mediapipe_models import face_model
from livepuppet.vision.windows import bounding_box


def portrait(name: str = "ada") -> Image:
    path = files("livepuppet") / f"assets/avatars/{name}.jpg"
    return np.asarray(cv2.cvtColor(np.asarray(cv2.imread(str(path))), cv2.COLOR_BGR2RGB), dtype=np.uint8)


def scene(side: int, x: int, y: int, width: int = 640, height: int = 480) -> Image:
    """A grey room with a portrait of this side in it, its corner at x, y."""
    room = np.full((height, width, 3), 90, np.uint8)
    room[y : y + side, x : x + side] = cv2.resize(portrait(), (side, side), interpolation=cv2.INTER_AREA)
    return room


@pytest.fixture
def tracker() -> Iterator[FaceTracker]:
    tracker = FaceTracker()
    yield tracker
    tracker.close()


def centre(landmarks: Landmarks | None) -> tuple[float, float]:
    assert landmarks is not None, "no face"
    x, y, _ = bounding_box(landmarks)
    return x, y


def test_landmarks_are_in_pixels_of_the_image(tracker: FaceTracker) -> None:
    landmarks = tracker.track(scene(400, 120, 40))
    assert landmarks is not None
    assert landmarks.shape == (478, 3)
    assert landmarks.dtype == np.float64
    nose, ear, chin = landmarks[1], landmarks[234], landmarks[152]
    assert 250 < nose[0] < 390 and 150 < nose[1] < 330
    assert nose[2] < ear[2], "the nose is nearer than the ear"
    assert chin[1] > nose[1]


def test_a_face_too_small_for_the_mesh_is_found_and_followed(tracker: FaceTracker) -> None:
    before: float | None = None
    for x in range(100, 180, 8):  # the face is about 45 px wide
        found_x, found_y = centre(tracker.track(scene(110, x, 200)))
        assert abs(found_x - (x + 54)) < 6 and abs(found_y - 252) < 12
        if before is not None:
            assert 4 < found_x - before < 12, "it follows without jumps"
        before = found_x


def test_the_tracker_finds_the_face_again_after_it_was_lost(tracker: FaceTracker) -> None:
    assert tracker.track(scene(400, 120, 40)) is not None
    for _ in range(12):
        assert tracker.track(np.full((480, 640, 3), 90, np.uint8)) is None
    found = [tracker.track(scene(300, 40, 100)) for _ in range(6)]
    assert found[-1] is not None
    assert centre(found[-1])[0] < 320


def test_closing_twice_is_harmless() -> None:
    tracker = FaceTracker(static=True)
    tracker.close()
    tracker.close()


def test_faces_of_a_portrait_come_largest_first() -> None:
    image = np.full((600, 1000, 3), 120, np.uint8)
    image[50:350, 20:320] = cv2.resize(portrait("bruno"), (300, 300), interpolation=cv2.INTER_AREA)
    image[40:540, 450:950] = cv2.resize(portrait("dara"), (500, 500), interpolation=cv2.INTER_AREA)
    faces = find_faces(image)
    assert len(faces) == 2
    assert centre(faces[0])[0] > 600
    assert centre(faces[1])[0] < 320


def test_no_face_in_a_landscape() -> None:
    slope = np.linspace(0, 255, 400, dtype=np.uint8)
    assert find_faces(np.ascontiguousarray(np.broadcast_to(slope[:, None, None], (400, 500, 3)))) == []


def test_measuring_a_portrait_does_not_depend_on_its_resolution() -> None:
    large = portrait()
    small = np.asarray(cv2.resize(large, (384, 384), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    one, other = find_faces(large)[0], find_faces(small)[0] * (1024 / 384)
    assert np.linalg.norm(one[:, :2] - other[:, :2], axis=1).mean() < 0.01 * bounding_box(one)[2]


def test_a_model_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEPUPPET_FACE_MODEL", "/nowhere/face.task")
    with pytest.raises(ModelError, match=r"/nowhere/face\.task"):
        face_model()


def test_a_damaged_download_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.task"
    wrong.write_bytes(b"not the model")
    monkeypatch.delenv("LIVEPUPPET_FACE_MODEL", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(mediapipe_models, "MODEL_ADDRESS", wrong.as_uri())
    with pytest.raises(ModelError, match="damaged"):
        face_model()
    assert not list((tmp_path / "cache").rglob("*.task"))
