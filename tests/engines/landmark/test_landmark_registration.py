"""The pose comes from texture over bone: known moves are found to a fraction of a pixel, and bad landmarks do not sway it."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files

import cv2
import numpy as np
import pytest

from livepuppet.engines.landmark import retarget
from livepuppet.engines.landmark.registration import Registration, solve
from livepuppet.engines.landmark.retarget import MODEL, HeadPose, rotation_matrix, rotation_vector
from livepuppet.types import Floats, Image
from livepuppet.vision.face_landmarks import Landmarks, find_faces

PLACED = HeadPose(rotation_matrix(np.array([0.1, -0.2, 0.05])), 180.0, np.array([260.0, 240.0, 0.0]), MODEL)


@pytest.fixture(scope="module")
def portrait() -> Image:
    image = cv2.imread(str(files("livepuppet") / "assets/avatars/elin.jpg"))
    return np.asarray(cv2.cvtColor(cv2.resize(np.asarray(image), (512, 512), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB), np.uint8)


@pytest.fixture(scope="module")
def landmarks(portrait: Image) -> Landmarks:
    return find_faces(portrait)[0]


def similarity(angle: float, scale: float, dx: float, dy: float, about: Floats) -> Floats:
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[cosine, -sine], [sine, cosine]])
    return np.asarray(np.c_[linear, about + np.array([dx, dy]) - linear @ about])


def apply(matrix: Floats, image: Image, landmarks: Landmarks) -> tuple[Image, Landmarks]:
    moved = landmarks * np.hypot(matrix[0, 0], matrix[1, 0])
    moved[:, :2] = landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    out = cv2.warpAffine(image, matrix, (image.shape[1], image.shape[0]), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.uint8), moved


@pytest.mark.parametrize(
    ("angle", "scale", "dx", "dy"), [(0, 1, 0, 0), (0, 1, 3.3, -2.7), (0.06, 1, 0, 0), (0, 1.05, 1, 1), (0.03, 0.96, -5, 4)]
)
def test_a_moved_picture_is_found_although_the_landmarks_are_wrong(
    portrait: Image, landmarks: Landmarks, angle: float, scale: float, dx: float, dy: float
) -> None:
    registration = Registration()
    start = retarget.fit_head_pose(landmarks)
    first = registration.refine(portrait, landmarks, start)
    about = start.position[:2]
    moved, true = apply(similarity(angle, scale, dx, dy, about), portrait, landmarks)
    noise = np.random.default_rng(1).normal(0, 1.5, landmarks.shape)
    guess = retarget.fit_head_pose(true + noise + [1.5, -1.0, 0.0])
    found = registration.refine(moved, true + noise, guess)
    assert np.linalg.norm((found.position - first.position)[:2] - [dx, dy]) < 0.35
    assert found.scale / first.scale == pytest.approx(scale, abs=0.006)
    assert rotation_vector(found.rotation @ first.rotation.T)[2] == pytest.approx(angle, abs=0.006)
    assert np.linalg.norm((guess.position - start.position)[:2] - [dx, dy]) > 1.0, "the landmarks alone were worse"


def test_a_talking_mouth_does_not_move_the_head(portrait: Image, landmarks: Landmarks) -> None:
    registration = Registration()
    start = registration.refine(portrait, landmarks, retarget.fit_head_pose(landmarks))
    talking = portrait.copy()
    x, y = landmarks[13, :2].astype(int)
    cv2.ellipse(talking, (int(x), int(y) + 12), (22, 16), 0, 0, 360, (40, 15, 15), -1)
    swayed = retarget.fit_head_pose(landmarks * [1, 1.01, 1])
    found = registration.refine(talking, landmarks, swayed)
    assert np.linalg.norm((found.position - start.position)[:2]) < 0.2
    assert abs(np.log(found.scale / start.scale)) < 0.003


def test_another_picture_falls_back_to_the_landmarks(portrait: Image, landmarks: Landmarks) -> None:
    registration = Registration()
    placed = retarget.fit_head_pose(landmarks)
    registration.refine(portrait, landmarks, placed)
    noise = np.random.default_rng(2).integers(0, 255, portrait.shape).astype(np.uint8)
    for _ in range(12):
        found = registration.refine(noise, landmarks, placed)
        assert np.linalg.norm(found.position - placed.position) < 8
    assert registration.refine(portrait[:400], landmarks, placed) is placed, "a new shape of picture starts afresh"


def test_solving_finds_a_known_pose_among_outliers() -> None:
    generator = np.random.default_rng(3)
    points = MODEL[generator.choice(478, 70, replace=False)]
    seen = (PLACED.scale * points @ PLACED.rotation.T + PLACED.position)[:, :2] + generator.normal(0, 0.2, (70, 2))
    seen[:15] += generator.normal(0, 12, (15, 2))
    prior = replace(
        PLACED,
        rotation=rotation_matrix(np.array([0.01, 0.02, -0.01])) @ PLACED.rotation,
        scale=182.0,
        position=PLACED.position + np.array([1.5, -1, 0]),
    )
    found, share = solve(points, seen, prior)
    assert np.linalg.norm((found.position - PLACED.position)[:2]) < 0.3
    assert np.linalg.norm(rotation_vector(found.rotation @ PLACED.rotation.T)) < 0.02
    assert found.scale == pytest.approx(PLACED.scale, rel=0.003)
    assert 0.6 < share < 0.9


def test_too_few_features_change_nothing() -> None:
    found, share = solve(MODEL[:4], MODEL[:4, :2], PLACED)
    assert found is PLACED and share == 0.0
