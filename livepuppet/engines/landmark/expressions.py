"""Expressions told in numbers as the motions of 478 landmarks, and back: one basis for phones, voices, keys and other programs.

The basis is made by benchmarks/expression_basis.py: what each of ARKit's units does to the mesh of people who do not exist.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files

import numpy as np

from livepuppet.engines.landmark.face_model import COUNT
from livepuppet.engines.landmark.retarget import LOWER_FACE, POSE_SIZE, WEIGHTS, rotation_matrix, rotation_vector, view_angles
from livepuppet.types import ExpressionFrame, Floats, Motion
from livepuppet.vision.expressions import EXPRESSION_UNITS, head_angles, head_rotation

UNITS = len(EXPRESSION_UNITS)
with np.load(str(files("livepuppet.engines.landmark") / "expression_basis.npz"), allow_pickle=False) as _data:
    BASIS: Floats = _data["rows"].astype(np.float64).reshape(UNITS + 2, COUNT * 3)
    """(52 + 2, 478 * 3): face widths for each unit's whole weight, then for a radian of gaze to the image's right, and down."""
CAMERA_DISTANCE = 4.0
"""Face widths between a face and what watches it, for what coming nearer does to its size: an arm's length."""
MOUTH = np.broadcast_to(LOWER_FACE, (COUNT, 3)).ravel()
"""Which part of each landmark's motion is the mouth's, 0 … 1."""

RIDGE = 2e-4
"""Face widths squared: weights that explain less than the landmarks' tremble stay 0."""
STEPS = 150
_FIT = BASIS[:UNITS] * (WEIGHTS * [1.0, 1.0, 0.3]).ravel()
_GRAM = _FIT @ _FIT.T + RIDGE * np.eye(UNITS)
_STEP = 1.0 / float(np.linalg.norm(_GRAM, 2))
_TOLD_BY_GAZE = np.array([name.startswith("eyeLook") or name == "tongueOut" for name in EXPRESSION_UNITS])


def driver_motion(told: ExpressionFrame) -> Motion:
    """The driver's motion as `measure_motion` would give it; the body stays where it is."""
    pose = np.zeros(POSE_SIZE)
    turn = head_rotation(told.head)
    nearer = np.clip(told.shift[2] / CAMERA_DISTANCE, -1.0, 0.6)
    pose[:3], pose[3:5], pose[5] = rotation_vector(turn), told.shift[:2], -np.log(1 - nearer)
    expression = told.weights @ BASIS[:UNITS] + told.gaze @ BASIS[UNITS:]
    return Motion(pose, np.asarray(expression, np.float64), view_angles(turn))


def add_expression(motion: Motion, weights: Floats) -> Motion:
    """A driver's motion with an expression (52,) added."""
    return replace(motion, expression=motion.expression + weights @ BASIS[:UNITS])


def replace_mouth(motion: Motion, weights: Floats) -> Motion:
    """A driver's motion with the mouth of these weights (52,), and without the pixels of the driver's own."""
    mouth = weights @ BASIS[:UNITS]
    return replace(motion, expression=motion.expression + MOUTH * (mouth - motion.expression), detail=None)


def tell_expression(reference: Motion, driving: Motion) -> ExpressionFrame:
    """The units whose sum is nearest to the driver's change since the reference: least squares, weights in 0 … 1.

    Solved by projected gradients with momentum (Beck and Teboulle, "FISTA", 2009).
    """
    change = driving.expression - reference.expression
    iris = change.reshape(COUNT, 3)[[468, 473]]
    radius = BASIS[UNITS].reshape(COUNT, 3)[468, 0]
    projected = _FIT @ (change * (WEIGHTS * [1.0, 1.0, 0.3]).ravel())
    weights = ahead = np.zeros(UNITS)
    pace = 1.0
    for _ in range(STEPS):
        before, weights = weights, np.clip(ahead - _STEP * (_GRAM @ ahead - projected), 0, 1)
        weights[_TOLD_BY_GAZE] = 0.0
        pace, slower = (1 + np.sqrt(1 + 4 * pace**2)) / 2, pace
        ahead = weights + (slower - 1) / pace * (weights - before)
    turn = rotation_matrix(driving.pose[:3]) @ rotation_matrix(reference.pose[:3]).T
    size = np.exp(reference.pose[5])
    shift = np.append((driving.pose[3:5] - reference.pose[3:5]) / size, CAMERA_DISTANCE * (1 - np.exp(reference.pose[5] - driving.pose[5])))
    return ExpressionFrame(weights, head=head_angles(turn), shift=shift, gaze=np.clip(iris[:, :2].mean(0) / radius, -0.7, 0.7))
