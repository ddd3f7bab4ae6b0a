"""Known pose in, known pose out: landmarks of the average face, turned and moved by known amounts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from livepuppet.engines.landmark import retarget
from livepuppet.engines.landmark.eyes import measure_eyes
from livepuppet.engines.landmark.face_model import COUNT, LOWER_LIP, UPPER_LIP
from livepuppet.engines.landmark.lattice import CONTROLS, lattice_shift
from livepuppet.engines.landmark.retarget import MODEL, Likeness, rotation_matrix, rotation_vector
from livepuppet.types import Floats, Motion, Tuning

SIZE = (640, 480)
NONE = np.zeros(3)
DEGREE = np.pi / 180


def landmarks(turn: Floats = NONE, scale: float = 150.0, x: float = 320.0, y: float = 240.0, change: Floats | None = None) -> Floats:
    shape = MODEL if change is None else MODEL + change
    return np.asarray(scale * shape @ rotation_matrix(turn).T + [x, y, 0])


def observed(points: Floats) -> Motion:
    placed = retarget.fit_head_pose(points)
    return retarget.measure_motion(points, placed, np.zeros((CONTROLS, 2)), *SIZE)


def likeness(yaw_degrees: float = 0.0) -> Likeness:
    placed = retarget.fit_head_pose(landmarks(np.array([0, -yaw_degrees * DEGREE, 0])))
    motion = observed(landmarks(np.array([0, -yaw_degrees * DEGREE, 0])))
    limits = retarget.turn_limits(float(motion.view[0]))
    return Likeness(placed, measure_eyes(placed.shape), np.full(4, 2.0), limits, motion)


@pytest.mark.parametrize("turn", [NONE, np.array([0.2, 0.1, -0.3]), np.array([-0.1, 0.5, 0.0])])
def test_the_pose_is_found(turn: Floats) -> None:
    placed = retarget.fit_head_pose(landmarks(turn, 120.0, 200.0, 300.0))
    assert rotation_vector(placed.rotation) == pytest.approx(turn, abs=1e-6)
    assert placed.scale == pytest.approx(120.0)
    assert placed.position[:2] == pytest.approx([200.0, 300.0], abs=1e-6)
    assert np.abs(placed.shape - MODEL).max() < 1e-6


def test_a_few_wrong_points_hardly_move_the_pose() -> None:
    points = landmarks()
    points[[127, 356]] += [0, 15, 0]
    placed = retarget.fit_head_pose(points)
    assert np.linalg.norm(rotation_vector(placed.rotation)) < 0.02
    assert np.linalg.norm(placed.position[:2] - [320, 240]) < 1.0


@pytest.mark.parametrize(
    ("turn", "view"), [([0, -0.3, 0], (0.3, 0, 0)), ([0.2, 0, 0], (0, 0.2, 0)), ([0, 0, 0.4], (0, 0, 0.4))], ids=["yaw", "pitch", "roll"]
)
def test_the_view_names_the_angles(turn: list[float], view: tuple[float, float, float]) -> None:
    """Yaw to the picture's right, pitch down, roll clockwise are positive."""
    motion = observed(landmarks(np.array(turn)))
    assert motion.view == pytest.approx(view, abs=1e-6)
    nose = landmarks(np.array(turn))[1, :2] - landmarks()[1, :2]
    if turn[1]:
        assert nose[0] > 5
    if turn[0]:
        assert nose[1] > 5


def test_rotation_vectors_survive_the_way_there_and_back() -> None:
    for vector in np.random.default_rng(0).normal(0, 0.8, (50, 3)):
        assert rotation_vector(rotation_matrix(vector)) == pytest.approx(vector, abs=1e-9)
    assert rotation_matrix(NONE).tolist() == np.eye(3).tolist()


def test_no_motion_transfers_to_no_motion() -> None:
    driving = observed(landmarks(np.array([0.1, 0.2, 0.0])))
    moved = retarget.retarget_motion(likeness(), driving, driving, Tuning())
    assert not moved.pose.any() and not moved.expression.any()


def test_small_motions_transfer_as_they_are_whatever_the_distance_to_the_camera() -> None:
    for scale in (60.0, 240.0):
        rest = observed(landmarks(scale=scale))
        driving = observed(landmarks(np.array([0.05, -0.1, 0.2]), scale * 1.05, 320 + 0.1 * scale, 240 - 0.05 * scale))
        pose = retarget.retarget_motion(likeness(), rest, driving, Tuning()).pose
        assert pose[:3] == pytest.approx([0.05, -0.1, 0.2], abs=0.003)
        assert pose[3:5] == pytest.approx([0.1, -0.05], abs=0.003)
        assert pose[5] == pytest.approx(np.log(1.05), abs=0.003)


def test_gain_scales_the_motion() -> None:
    rest, driving = observed(landmarks()), observed(landmarks(np.array([0, 0.1, 0])))
    once, twice = (retarget.retarget_motion(likeness(), rest, driving, Tuning(gain=gain)).pose[1] for gain in (1.0, 2.0))
    assert twice == pytest.approx(2 * once, rel=0.01)


def test_expressions_cross_a_turn_of_the_head() -> None:
    change = np.zeros((COUNT, 3))
    change[[17, 84, 314], 1] = 0.05
    rest = observed(landmarks())
    driving = observed(landmarks(np.array([0, 0.3, 0]), change=change))
    moved = retarget.retarget_motion(likeness(), rest, driving, Tuning()).expression[: COUNT * 3].reshape(COUNT, 3)
    assert moved[17, 1] == pytest.approx(0.05, abs=0.005)
    assert np.abs(moved[10]).max() < 0.003


@pytest.mark.parametrize("value", [-3.0, -0.4, -0.1, 0.0, 0.2, 0.5, 9.0])
def test_limits_are_soft(value: float) -> None:
    limited = retarget.soft_limit(value, -0.5, 0.8)
    assert -0.5 <= limited <= 0.8
    if abs(value) <= 0.3:
        assert limited == pytest.approx(value)
    assert retarget.soft_limit(value + 1e-3, -0.5, 0.8) >= limited, "more motion never moves it back"


def test_a_three_quarter_portrait_turns_less_towards_what_the_photo_hides() -> None:
    back, away = retarget.turn_limits(np.radians(30))
    frontal = retarget.turn_limits(0.0)
    assert -back < away < frontal[1]
    assert -back < np.radians(18)
    assert retarget.turn_limits(np.radians(-30)) == pytest.approx((-away, -back))
    rest, driving = observed(landmarks()), observed(landmarks(np.array([0, 0.6, 0])))
    assert abs(retarget.retarget_motion(likeness(30), rest, driving, Tuning()).pose[1]) < np.radians(18)


def test_taken_as_it_is_the_avatar_looks_where_the_driver_looks() -> None:
    own = likeness(20)
    driving = observed(landmarks(np.array([0.0, -0.1, 0.0]), x=500.0))
    moved = retarget.retarget_motion(own, observed(landmarks(np.array([0, 0.4, 0]))), driving, Tuning(relative=False))
    assert moved.pose[3:5] == pytest.approx([0, 0])
    away = retarget.retarget_motion(own, driving, replace(own.observed), Tuning(relative=False))
    assert np.abs(away.pose[:3]).max() < 1e-6, "the portrait's own pose needs no turn"


def test_lips_touch_but_never_cross() -> None:
    shape = MODEL.copy()
    shape[UPPER_LIP, 1] += 0.05
    shape[LOWER_LIP[1:-1], 1] -= 0.05
    apart = retarget.part_lips(shape)
    assert (apart[UPPER_LIP[1:-1], 1] <= apart[LOWER_LIP[1:-1], 1] + 1e-12).all()


def test_distance_grows_with_what_differs() -> None:
    own = likeness()
    near, far = observed(landmarks(np.array([0, 0.1, 0]))), observed(landmarks(np.array([0, 0.5, 0])))
    assert retarget.pose_distance(own, own.observed) == pytest.approx(0, abs=1e-6)
    assert 0 < retarget.pose_distance(own, near) < retarget.pose_distance(own, far)


def test_the_lattice_transfers_in_face_widths_and_keeps_within_bounds() -> None:
    displacement = np.random.default_rng(4).normal(0, 0.05, (CONTROLS, 2))
    for scale in (60.0, 240.0):
        rest = observed(landmarks(scale=scale))
        driving = replace(rest, pose=np.concatenate([rest.pose[:6], displacement.ravel() * scale / (max(SIZE) * retarget.POSE_UNIT)]))
        moved = retarget.retarget_motion(likeness(), rest, driving, Tuning()).pose
        assert moved[6:] == pytest.approx(displacement.ravel(), abs=0.002)
        assert not moved[:6].any()
        far = replace(rest, pose=np.concatenate([rest.pose[:6], np.full(2 * CONTROLS, 9.0)]))
        assert np.abs(retarget.retarget_motion(likeness(), rest, far, Tuning()).pose[6:]).max() <= retarget.BODY_LIMIT


def test_recordings_that_know_the_body_as_one_shift_still_move_it() -> None:
    rest = observed(landmarks())
    old = replace(rest, pose=np.concatenate([rest.pose[:6], [0.0, 0.0]]))
    unit = 150.0 / (max(SIZE) * retarget.POSE_UNIT)
    driving = replace(old, pose=old.pose + np.array([0, 0, 0, 0, 0, 0, 0.1 * unit, -0.05 * unit]))
    moved = retarget.retarget_motion(likeness(), old, driving, Tuning()).pose
    assert moved[6:] == pytest.approx(lattice_shift(np.array([0.1, -0.05])), abs=0.002)
    assert moved.shape == (retarget.POSE_SIZE,)


def parted(by: float) -> Floats:
    """The change (478, 3) of a mouth whose lips are `by` face widths farther apart in the middle."""
    change = np.zeros((COUNT, 3))
    change[:, 1] = retarget.OPENS * np.interp(MODEL[:, 0], MODEL[UPPER_LIP, 0], by * np.sin(np.linspace(0, np.pi, 11)))
    return change


@pytest.mark.parametrize("at_reference", [0.0, 0.08, 0.15])
@pytest.mark.parametrize("now", [0.0, 0.05, 0.12])
def test_lips_are_as_far_apart_as_the_drivers_whatever_they_were_in_the_reference(at_reference: float, now: float) -> None:
    own = likeness()
    rest, driving = observed(landmarks(change=parted(at_reference))), observed(landmarks(change=parted(now)))
    moved = retarget.retarget_motion(own, rest, driving, Tuning())
    _, shape, _ = retarget.pose_face(own, moved)
    theirs = retarget.lip_gaps(MODEL + driving.expression.reshape(COUNT, 3)).max()
    assert retarget.lip_gaps(shape).max() == pytest.approx(theirs, abs=0.012)


def test_a_driver_with_shut_lips_shuts_a_portraits() -> None:
    placed = retarget.fit_head_pose(landmarks(change=parted(0.08)))
    own = replace(likeness(), placed=placed)
    shut = observed(landmarks())
    _, shape, _ = retarget.pose_face(own, retarget.retarget_motion(own, shut, shut, Tuning()))
    assert retarget.lip_gaps(shape).max() < 0.015


def test_opening_lips_moves_the_jaw_and_neither_nose_nor_eyes() -> None:
    assert not retarget.OPENS[[1, 4, 33, 263, 10]].any()
    assert (retarget.OPENS[LOWER_LIP[1:-1]] > 0.7).all() and (retarget.OPENS[UPPER_LIP[1:-1]] < -0.15).all()
    assert 0.2 < retarget.OPENS[152] <= 0.75
