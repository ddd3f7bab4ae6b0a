"""Expressions as numbers: ARKit's units by name, told together or mirrored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from livepuppet.types import ExpressionFrame, Floats

EXPRESSION_UNITS = (
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff", "cheekSquintLeft",
    "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight",
    "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft",
    "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose", "mouthDimpleLeft", "mouthDimpleRight",
    "mouthFrownLeft", "mouthFrownRight", "mouthFunnel", "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft",
    "mouthPressRight", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
    "mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
"""ARKit's 52 units of expression, by name in alphabetical order: the order of `ExpressionFrame.weights`. Left is the person's own left."""

PLACES = {name: i for i, name in enumerate(EXPRESSION_UNITS)}
_SIDES = {"Left": "Right", "Right": "Left"}


def unit_weights(expression: Mapping[str, float]) -> Floats:
    """Weights (52,) in the order of EXPRESSION_UNITS, 0 where nothing is said. A name without its side means both; other names are ignored.

    Raises nothing: numbers that are none count as 0, all others are held between 0 and 1.
    """
    out = np.zeros(len(EXPRESSION_UNITS))
    for name, weight in expression.items():
        value = min(1.0, max(0.0, float(weight))) if np.isfinite(weight) else 0.0
        for place in _places(name):
            out[place] = value
    return out


def mirrored_expression(told: ExpressionFrame) -> ExpressionFrame:
    """As a mirror shows it: left is right."""
    flip = np.array([-1.0, 1.0, -1.0])
    return replace(
        told,
        weights=told.weights[_PARTNERS],
        head=told.head * flip,
        shift=told.shift * np.array([-1.0, 1.0, 1.0]),
        gaze=told.gaze * np.array([-1.0, 1.0]),
    )


def _places(name: str) -> list[int]:
    if name in PLACES:
        return [PLACES[name]]
    return [PLACES[name + side] for side in _SIDES if name + side in PLACES]


def _partner(name: str) -> str:
    for side, other in _SIDES.items():
        if name.endswith(side):
            return name.removesuffix(side) + other
    return name


_PARTNERS = np.array([PLACES[_partner(name)] for name in EXPRESSION_UNITS])


def head_rotation(head: Floats) -> Floats:
    """Yaw, pitch and roll (radians, as `ExpressionFrame.head`) -> rotation (3, 3), x to the image's right, y down, z away from the camera.

    The nose points where yaw and pitch say, whatever the roll.
    """
    (cy, cp, cr), (sy, sp, sr) = np.cos(head), np.sin(head)
    about_y = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(about_y @ about_x @ about_z)


def head_angles(rotation: Floats) -> Floats:
    """The other way round: rotation (3, 3) -> yaw, pitch, roll."""
    nose = -rotation[:, 2]
    yaw, pitch = np.arctan2(nose[0], -nose[2]), np.arctan2(nose[1], np.hypot(nose[0], nose[2]))
    rolled = head_rotation(np.array([yaw, pitch, 0.0])).T @ rotation
    return np.array([yaw, pitch, np.arctan2(rolled[1, 0], rolled[0, 0])])
