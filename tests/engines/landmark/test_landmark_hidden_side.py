"""A cheek that the portrait hides comes into view with its twin's skin; what the portrait shows stays its own."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from livepuppet.engines.landmark.engine import build_avatar, warp
from livepuppet.engines.landmark.face_model import OVAL, TEMPLATE
from livepuppet.engines.landmark.hidden_side import MIRROR, facing_camera, find_hidden_side, find_rim_texture, rim_inset
from livepuppet.engines.landmark.mesh import pose_warp_mesh
from livepuppet.engines.landmark.retarget import MODEL, rotation_matrix
from livepuppet.types import Floats, Image, Motion

SKIN, WALL = (200, 150, 120), (20, 60, 20)


def turned_face(yaw_degrees: float) -> tuple[Image, Floats]:
    """A face of one colour before a wall of another, and its landmarks; positive yaw looks to the picture's right."""
    landmarks = 150 * MODEL @ rotation_matrix(np.array([0, -np.radians(yaw_degrees), 0])).T + np.array([256.0, 250.0, 0.0])
    image = np.full((512, 512, 3), WALL, np.uint8)
    cv2.fillConvexPoly(image, cv2.convexHull(np.round(landmarks[:, :2]).astype(np.int32)), SKIN)
    return image, np.asarray(landmarks)


def test_every_point_is_its_twins_twin() -> None:
    assert np.array_equal(MIRROR[MIRROR], np.arange(478))
    assert TEMPLATE[MIRROR] * [-1, 1, 1] == pytest.approx(TEMPLATE, abs=1e-6)


def test_facing_is_greatest_at_the_nose_and_turns_with_the_head() -> None:
    frontal = facing_camera(turned_face(0)[1])
    assert frontal[5] > 0.7 and frontal[234] < 0.6
    right = facing_camera(turned_face(50)[1])
    assert right[234] > frontal[234] and right[454] < frontal[454]


def test_a_frontal_portrait_hides_nothing_and_a_turned_one_its_far_side() -> None:
    assert find_hidden_side(*turned_face(0)) is None
    side = find_hidden_side(*turned_face(40))
    assert side is not None
    assert side.hidden[454] > 0.5 and side.hidden[234] == 0, "looking to the right hides the right"
    assert side.light == pytest.approx(np.ones(3), abs=0.02)


@pytest.mark.parametrize("yaw", [-38.0, 38.0])
def test_no_wall_shows_in_a_face_that_turns_towards_the_camera(yaw: float) -> None:
    image, landmarks = turned_face(yaw)
    avatar = build_avatar(image, landmarks)
    motion = Motion(avatar.neutral.pose.copy(), avatar.neutral.expression)
    motion.pose[1] = np.radians(16) * np.sign(yaw)
    posed = pose_warp_mesh(avatar.net, avatar.likeness, motion)
    out = warp(avatar, posed, motion)
    face = np.zeros((512, 512), np.uint8)
    cv2.fillConvexPoly(face, cv2.convexHull(np.round(posed.points[:478, :2]).astype(np.int32)), (1,))
    inside = cv2.erode(face, np.ones((9, 9), np.uint8)) > 0
    assert np.abs(out[inside].astype(int) - SKIN).max(1).mean() < 6
    beyond = cv2.dilate(face, np.ones((15, 15), np.uint8)) == 0
    assert np.abs(out[beyond].astype(int) - WALL).max(1).mean() < 6, "and no cheek outside it"


def test_a_jaw_that_turns_into_view_takes_its_skin_from_inside_the_outline() -> None:
    _, landmarks = turned_face(0)
    matte = np.zeros((512, 512), np.uint8)
    inner = landmarks[OVAL, :2].mean(0) + 0.93 * (landmarks[OVAL, :2] - landmarks[OVAL, :2].mean(0))
    cv2.fillConvexPoly(matte, cv2.convexHull(np.round(inner).astype(np.int32)), (255,))
    texture = find_rim_texture(matte, landmarks)
    still, turned = landmarks.copy(), landmarks.copy()
    still[:, :2] += rim_inset(texture, facing_camera(landmarks))
    assert np.array_equal(still, landmarks), "at rest everything comes from where it is"
    turned[:, :2] += rim_inset(texture, facing_camera(turned_face(30)[1]))
    side = OVAL[np.flatnonzero(landmarks[OVAL, 0] < 256 - 60)]  # the near side of a face that looks to the right
    at = np.round(turned[side, :2]).astype(int)
    assert (matte[at[:, 1], at[:, 0]] == 255).mean() > 0.9
    assert not find_rim_texture(np.zeros((0, 0), np.uint8), landmarks).inwards.any()
