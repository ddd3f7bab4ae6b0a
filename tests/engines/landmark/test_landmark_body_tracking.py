"""Shoulders, neck and hair are followed apart from the head; what moves behind the driver is not."""

from __future__ import annotations

from importlib.resources import files

import cv2
import numpy as np
import pytest

from livepuppet.engines.landmark import retarget
from livepuppet.engines.landmark.body_tracking import BodyTracker
from livepuppet.engines.landmark.face_model import CHIN
from livepuppet.engines.landmark.lattice import LATTICE, rim_measure
from livepuppet.types import Floats, Image
from livepuppet.vision.face_landmarks import Landmarks, find_faces
from livepuppet.vision.segmentation import silhouette


@pytest.fixture(scope="module")
def portrait() -> Image:
    image = cv2.imread(str(files("livepuppet") / "assets/avatars/elin.jpg"))
    return np.asarray(cv2.cvtColor(cv2.resize(np.asarray(image), (512, 512), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB), np.uint8)


@pytest.fixture(scope="module")
def landmarks(portrait: Image) -> Landmarks:
    return find_faces(portrait)[0]


def below_the_chin(portrait: Image, landmarks: Landmarks, by: tuple[int, int]) -> Image:
    """The portrait with everything below the chin shifted."""
    chin = int(landmarks[CHIN, 1]) + 12
    moved = cv2.warpAffine(portrait, np.array([[1.0, 0, by[0]], [0, 1, by[1]]]), portrait.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    return np.concatenate([portrait[:chin], np.asarray(moved, np.uint8)[chin:]])


def shoulders(displacement: Floats, portrait: Image, landmarks: Landmarks) -> Floats:
    """The displacement (2,) of the control points over shoulders that the picture shows."""
    at = rim_measure(landmarks).pixels(LATTICE)
    inside = (LATTICE[:, 1] > 1.2) & (np.abs(LATTICE[:, 0]) < 1.8) & (at[:, 1] < portrait.shape[0]) & (at[:, 0] > 0) & (at[:, 0] < 512)
    return np.asarray(np.median(displacement[inside], axis=0))


@pytest.mark.parametrize("by", [(-60, 0), (-12, 4), (4, 0), (25, -8), (40, 0)])
def test_a_body_that_moves_is_followed_step_by_step(portrait: Image, landmarks: Landmarks, by: tuple[int, int]) -> None:
    placed = retarget.fit_head_pose(landmarks)
    tracker = BodyTracker()
    assert not tracker.follow(portrait, landmarks, placed).any()
    for step in range(1, 8):
        x, y = (round(amount * min(step, 6) / 6) for amount in by)
        found = tracker.follow(below_the_chin(portrait, landmarks, (x, y)), landmarks, placed)
    tracker.close()
    assert shoulders(found, portrait, landmarks) == pytest.approx(by, abs=0.035 * placed.scale)
    hair = (LATTICE[:, 1] < -0.7) & (np.abs(LATTICE[:, 0]) < 1.3)
    assert np.abs(found[hair]).max() < max(0.02 * placed.scale, 0.15 * np.abs(by).max()), "the hair stays"


def test_a_picture_that_moves_as_a_whole_bends_nothing(portrait: Image, landmarks: Landmarks) -> None:
    """The head carries what follows it; the lattice adds the rest of the shift to the body, and nothing to the hair."""
    tracker = BodyTracker()
    tracker.follow(portrait, landmarks, retarget.fit_head_pose(landmarks))
    for step in range(1, 5):
        shift = np.array([4.0 * step, 0.0, 0.0])
        moved = cv2.warpAffine(portrait, np.array([[1.0, 0, shift[0]], [0, 1, 0]]), (512, 512), borderMode=cv2.BORDER_REPLICATE)
        found = tracker.follow(np.asarray(moved, np.uint8), landmarks + shift, retarget.fit_head_pose(landmarks + shift))
    tracker.close()
    assert shoulders(found, portrait, landmarks) == pytest.approx([16, 0], abs=3)
    assert np.abs(found[(LATTICE[:, 1] < -0.7) & (np.abs(LATTICE[:, 0]) < 1.5)]).max() < 0.02 * 180


def test_what_moves_behind_the_driver_does_not_move_the_body(portrait: Image, landmarks: Landmarks) -> None:
    generator = np.random.default_rng(5)
    texture = cv2.resize(generator.integers(0, 255, (64, 64, 3)).astype(np.uint8), (560, 512), interpolation=cv2.INTER_CUBIC)
    person = silhouette(portrait.shape, landmarks)[..., None] > 0
    placed = retarget.fit_head_pose(landmarks)
    tracker = BodyTracker()
    tracker.follow(np.where(person, portrait, np.asarray(texture[:, :512], np.uint8)), landmarks, placed)
    for step in range(1, 7):
        found = tracker.follow(np.where(person, portrait, np.asarray(texture[:, 6 * step : 512 + 6 * step], np.uint8)), landmarks, placed)
    tracker.close()
    assert np.abs(shoulders(found, portrait, landmarks)).max() < 0.05 * placed.scale


def test_a_new_size_of_picture_goes_on_from_where_the_body_was(portrait: Image, landmarks: Landmarks) -> None:
    placed = retarget.fit_head_pose(landmarks)
    tracker = BodyTracker()
    tracker.follow(portrait, landmarks, placed)
    before = tracker.follow(below_the_chin(portrait, landmarks, (6, 0)), landmarks, placed)
    after = tracker.follow(np.ascontiguousarray(below_the_chin(portrait, landmarks, (6, 0))[:500]), landmarks, placed)
    tracker.close()
    assert np.array_equal(before, after)


def test_another_picture_leaves_the_lattice_within_bounds(portrait: Image, landmarks: Landmarks) -> None:
    placed = retarget.fit_head_pose(landmarks)
    tracker = BodyTracker()
    tracker.follow(portrait, landmarks, placed)
    noise = np.random.default_rng(2).integers(0, 255, portrait.shape).astype(np.uint8)
    for _ in range(12):
        found = tracker.follow(noise, landmarks, placed)
    tracker.close()
    assert np.isfinite(found).all() and np.abs(found).max() < placed.scale
