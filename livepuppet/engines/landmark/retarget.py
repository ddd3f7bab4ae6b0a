"""From landmarks to motion: the head's pose, the face's expression, and what both become on another face.

A driver's motion has pose = rotation vector (3), position (2), log size (1) and the displacement of the lattice around the face (see
lattice.py, CONTROLS x 2), in quarters of the image's longer side, which is about a face width. Its expression is the face in its own frame
(see face_model.py) minus the average face, (478 x 3).

An avatar's motion has pose = rotation vector (3), shift (2, face widths), log scale (1) and the lattice's displacement (CONTROLS x 2, face
widths); its expression is the points' shifts in the portrait's own frame (478 x 3), then the closing of both lids and the shift of
the gaze. All zero leave the portrait as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from livepuppet.engines.landmark.eyes import EYES_SIZE, Eyes, measure_eyes, retarget_eyes
from livepuppet.engines.landmark.face_model import COUNT, LOWER_LIP, NOSE, OVAL, RIGID, TEMPLATE, UPPER_LIP
from livepuppet.engines.landmark.lattice import BODY, CONTROLS, LATTICE, lattice_shift
from livepuppet.types import Floats, Motion, Tuning
from livepuppet.vision.face_landmarks import Landmarks

POSE_UNIT = 0.25
"""Positions and sizes of the driver are in this share of the image's longer side."""
POSE_SIZE = 6 + 2 * CONTROLS
ORIGIN = TEMPLATE[RIGID].mean(0)
MODEL = TEMPLATE - ORIGIN
"""The average face about the middle of its rigid points: turning it there moves its position least."""


@dataclass(frozen=True, eq=False)
class HeadPose:
    """A face as a rigidly placed shape: landmarks = scale · shape @ rotation.T + position.

    rotation (3, 3);

    Attributes:
        scale: pixels per face width; position (3,) pixels; shape (478, 3) in the face's own frame, about ORIGIN.
    """

    rotation: Floats
    scale: float
    position: Floats
    shape: Floats


def umeyama(model: Floats, points: Floats, weights: Floats) -> tuple[float, Floats, Floats]:
    """scale, rotation, position that bring `model` (N, 3) nearest to `points` (N, 3) (Umeyama, PAMI 1991, with weights)."""
    share = (weights / weights.sum())[:, None]
    centre, target = (share * model).sum(0), (share * points).sum(0)
    a, b = model - centre, points - target
    u, d, v = np.linalg.svd((share * b).T @ a)
    keep = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ v))])
    rotation = (u * keep) @ v
    scale = float((d * keep).sum() / (share * a * a).sum())
    return scale, rotation, target - scale * rotation @ centre


def fit_head_pose(landmarks: Landmarks, model: Floats = MODEL) -> HeadPose:
    """Where the head is, from the points over bone; those that disagree count less (three rounds of Tukey-like weights)."""
    weights = np.ones(len(RIGID))
    scale, rotation, position = umeyama(model[RIGID], landmarks[RIGID], weights)
    for _ in range(3):
        off = np.linalg.norm(scale * model[RIGID] @ rotation.T + position - landmarks[RIGID], axis=1) / scale
        weights = 1.0 / (1.0 + (off / max(float(np.median(off)), 1e-4)) ** 2)
        scale, rotation, position = umeyama(model[RIGID], landmarks[RIGID], weights)
    return HeadPose(rotation, scale, position, (landmarks - position) @ rotation / scale)


def rotation_vector(rotation: Floats) -> Floats:
    """Rotation matrix (3, 3) -> rotation vector (3,), axis times angle in radians (Rodrigues)."""
    return np.asarray(cv2.Rodrigues(rotation)[0], np.float64).ravel()


def rotation_matrix(vector: Floats) -> Floats:
    """Rotation vector (3,), axis times angle in radians -> rotation matrix (3, 3) (Rodrigues)."""
    return np.asarray(cv2.Rodrigues(np.asarray(vector, np.float64))[0], np.float64)


def angle_between(one: Floats, other: Floats) -> float:
    """The angle of the turn from one rotation (3, 3) to the other, radians."""
    return float(np.linalg.norm(rotation_vector(one @ other.T)))


def view_angles(rotation: Floats) -> Floats:
    """Yaw (to the picture's right), pitch (down) and roll (clockwise), radians."""
    nose, right = -rotation[:, 2], rotation[:, 0]
    return np.array([np.arctan2(nose[0], -nose[2]), np.arctan2(nose[1], np.hypot(nose[0], nose[2])), np.arctan2(right[1], right[0])])


def measure_motion(landmarks: Landmarks, placed: HeadPose, displacement: Floats, width: int, height: int) -> Motion:
    """The driver's motion (without detail).

    Args:
        landmarks, placed, displacement: of the face, the head and the lattice (CONTROLS, 2), in pixels of an image of this size.
    """
    unit = max(width, height) * POSE_UNIT
    middle = np.array([width / 2, height / 2])
    place = (placed.position[:2] - middle) / unit
    pose = np.concatenate([rotation_vector(placed.rotation), place, [np.log(placed.scale / unit)], displacement.ravel() / unit])
    shape = (landmarks - placed.position) @ placed.rotation / placed.scale
    return Motion(pose, (shape - MODEL).ravel(), view_angles(placed.rotation), landmarks[:, :2].copy())


def expression_weights() -> Floats:
    """(478, 3): how far a point follows the driver's. The forehead's rim and the bridge of the nose are bone; depth is the noisiest."""
    y = TEMPLATE[:, 1]
    brows = TEMPLATE[[105, 334], 1].mean()
    weights = np.clip((y - (brows - 0.18)) / 0.12, 0, 1)
    weights[OVAL] = np.clip((y[OVAL] - TEMPLATE[2, 1]) / 0.25, 0, 1)
    weights[NOSE] *= 0.35
    return np.asarray(np.stack([weights, weights, 0.6 * weights], 1))


WEIGHTS = expression_weights()
LOWER_FACE = np.clip((TEMPLATE[:, 1] - TEMPLATE[4, 1]) / 0.08, 0, 1)[:, None]


@dataclass(frozen=True, eq=False)
class Likeness:
    """What of a portrait the retargeting needs: its placed face, its eyes, and how far it may move.

    Attributes:
        room: left, top, right, bottom: how far the face may shift, face widths.
        turn: least and greatest yaw change, radians.
    """

    placed: HeadPose
    eyes: Eyes
    room: Floats
    turn: tuple[float, float]
    observed: Motion


PITCH_LIMIT = np.radians(28)
ROLL_LIMIT = np.radians(50)
SCALE_LIMIT = 0.35
"""Log scale."""
NOISE = 0.005
"""Face widths: how far a landmark trembles; a change of this size is halved, a smaller one vanishes."""
NECK_LIMIT = 0.5
"""Face widths: the head never shifts farther than this from where the chest has gone: a neck does not tear."""
CHEST = BODY * (np.abs(LATTICE[:, 0]) < 1.7) * (LATTICE[:, 1] < 2.4)
CHEST = CHEST / CHEST.sum()
"""(CONTROLS,): the weights of the mean over the chest."""
BODY_LIMIT = 0.7
"""Face widths: the lattice never moves farther."""


def soft_limit(value: float, low: float, high: float) -> float:
    """value, held between low < 0 < high: unchanged up to 60 % of the limit, then ever slower."""
    limit = high if value > 0 else -low
    if limit <= 1e-6:
        return 0.0
    size, knee = abs(value), 0.6 * limit
    if size > knee:
        size = knee + (limit - knee) * np.tanh((size - knee) / (limit - knee))
    return float(np.copysign(size, value))


def turn_limits(yaw: float) -> tuple[float, float]:
    """How far a portrait that already looks aside by `yaw` may turn (radians): little towards the side that the photo does not show."""
    aside = abs(yaw)
    back = np.radians(42) * max(0.4, 1 - aside / np.radians(50))
    away = max(np.radians(9), np.radians(42) - 0.8 * aside)
    return (-float(back), float(away)) if yaw > 0 else (-float(away), float(back))


def width_ratio(shape: Floats) -> float:
    """Width of the mouth, face widths."""
    return float(np.linalg.norm(shape[61] - shape[291]))


def retarget_motion(likeness: Likeness, reference: Motion, driving: Motion, tuning: Tuning) -> Motion:
    """The avatar's motion for the driver's since the reference (module docstring); `detail` passes through."""
    if not tuning.relative:
        reference = absolute_reference(likeness, driving)
    gain = tuning.gain
    rest, now = MODEL + reference.expression.reshape(COUNT, 3), MODEL + driving.expression.reshape(COUNT, 3)
    turned = rotation_matrix(driving.pose[:3]) @ rotation_matrix(reference.pose[:3]).T
    rotation = rotation_vector(turned) * gain
    rotation = np.array(
        [
            soft_limit(rotation[0], -PITCH_LIMIT, PITCH_LIMIT),
            # the rotation vector's y turns the nose to the picture's left when positive
            -soft_limit(-rotation[1], *likeness.turn),
            soft_limit(rotation[2], -ROLL_LIMIT, ROLL_LIMIT),
        ]
    )
    per_width = gain / np.exp(reference.pose[5])
    shift = (driving.pose[3:5] - reference.pose[3:5]) * per_width
    lattice = (driving.pose[6:] - reference.pose[6:]) * per_width
    if lattice.size == 2:  # recorded when the body was known to shift as a whole only
        lattice = lattice_shift(lattice)
    left, top, right, bottom = likeness.room
    shift = np.array([soft_limit(shift[0], -left, right), soft_limit(shift[1], -top, bottom)])
    lattice = BODY_LIMIT * np.tanh(lattice / BODY_LIMIT)
    body = CHEST @ lattice.reshape(CONTROLS, 2)
    shift = np.array([at + soft_limit(amount - at, -NECK_LIMIT, NECK_LIMIT) for amount, at in zip(shift, body, strict=True)])
    scale = soft_limit((driving.pose[5] - reference.pose[5]) * gain, -SCALE_LIMIT, SCALE_LIMIT)

    change = now - with_opening_of(rest, likeness.placed.shape)
    size = np.square(change).sum(1, keepdims=True)
    change *= size / (size + NOISE**2) * WEIGHTS * gain
    width = np.clip(width_ratio(likeness.placed.shape) / width_ratio(rest), 0.75, 1.25)
    change *= 1 + (width - 1) * LOWER_FACE
    eyes = retarget_eyes(likeness.eyes, measure_eyes(rest), measure_eyes(now), gain)
    return Motion(
        np.concatenate([rotation, shift, [scale], lattice]),
        np.concatenate([change.ravel(), eyes]),
        view_angles(rotation_matrix(rotation) @ likeness.placed.rotation),
        driving.points,
        driving.detail,
    )


AJAR = 0.012
"""Face widths: lips this far apart may be shut; only larger differences of two mouths' openings count in full."""
JAW = 0.75
"""The lower lip's part of an opening."""
_lip_line = (TEMPLATE[UPPER_LIP] + TEMPLATE[LOWER_LIP]) / 2 - ORIGIN
_below_lips = MODEL[:, 1] - np.interp(MODEL[:, 0], _lip_line[:, 0], _lip_line[:, 1])
_inner_lips = np.isin(np.arange(COUNT), np.concatenate([UPPER_LIP, LOWER_LIP]))
_down = np.isin(np.arange(COUNT), LOWER_LIP) | (~_inner_lips & (_below_lips > 0))
OPENS = np.where(
    _down,
    JAW * np.where(_below_lips < 0.12, 1.0, np.clip(1.3 - 2.5 * _below_lips, 0.0, 1.0)),
    -(1 - JAW) * np.clip(1 + _below_lips / 0.14, 0, 1),
)
"""(478,): how far down each point goes as the lips part by 1 straight below or above it; the nose stays, the chin follows the lower lip."""
OPENS[MODEL[:, 1] < MODEL[2, 1]] = 0  # from the base of the nose up nothing opens


def lip_gaps(shape: Floats) -> Floats:
    """How far the lips' inner edges are apart (11,), from the picture's left corner to the right one, face widths; shape (478, 3)."""
    return np.asarray(np.maximum(shape[LOWER_LIP, 1] - shape[UPPER_LIP, 1], 0.0))


def with_opening_of(rest: Floats, portrait: Floats) -> Floats:
    """The driver's face at rest (478, 3), with the lips as far apart as the portrait's (478, 3) in its own face widths.

    What lips do is then absolute: shut is shut and open is open on both, whatever the mouth did in the reference frame.
    """
    more = lip_gaps(rest) - lip_gaps(portrait)
    more = more * more**2 / (more**2 + AJAR**2)
    if np.abs(more).max() < 1e-4:
        return rest
    across = (rest[UPPER_LIP, 0] + rest[LOWER_LIP, 0]) / 2
    order = np.argsort(across)
    closer = rest.copy()
    closer[:, 1] -= OPENS * np.interp(rest[:, 0], across[order], more[order])
    return closer


def pose_distance(likeness: Likeness, driving: Motion) -> float:
    """How unlike the portrait's own pose and expression the driver's are: a sixth of a turn, or lips 0.15 face widths off, count 1."""
    turned = rotation_matrix(driving.pose[:3]) @ likeness.placed.rotation.T
    unlike = (driving.expression - likeness.observed.expression).reshape(COUNT, 3) * WEIGHTS
    lips = np.concatenate([UPPER_LIP, LOWER_LIP])
    own, theirs = likeness.eyes.opening, measure_eyes(MODEL + driving.expression.reshape(COUNT, 3)).opening
    return float(
        np.linalg.norm(rotation_vector(turned)) / (np.pi / 3)
        + np.linalg.norm(unlike[lips, :2], axis=1).mean() / 0.15
        + np.abs(theirs / np.maximum(own, 0.05) - 1).mean() / 2
    )


def absolute_reference(likeness: Likeness, driving: Motion) -> Motion:
    """The reference that makes the avatar look where the driver looks, with the driver's expression as it is, staying in place."""
    return Motion(np.concatenate([likeness.observed.pose[:3], driving.pose[3:]]), np.zeros_like(driving.expression))


def neutral_vectors(observed: Motion) -> Motion:
    """The avatar's motion that changes nothing."""
    return Motion(np.zeros(POSE_SIZE), np.zeros(COUNT * 3 + EYES_SIZE), observed.view.copy())


def pose_face(likeness: Likeness, motion: Motion) -> tuple[Floats, Floats, Floats]:
    """The portrait's face for an avatar's motion: points (478, 3) in pixels before the lids are set, its shape, and the eyes' numbers."""
    change, eyes = motion.expression[: COUNT * 3].reshape(COUNT, 3), motion.expression[COUNT * 3 :]
    placed = likeness.placed
    shape = part_lips(placed.shape + change)
    rotation = rotation_matrix(motion.pose[:3])
    scale = placed.scale * np.exp(motion.pose[5])
    shift = np.append(motion.pose[3:5], 0.0) * placed.scale
    return scale * shape @ (rotation @ placed.rotation).T + placed.position + shift, shape, eyes


def part_lips(shape: Floats) -> Floats:
    """Lips may touch but not cross."""
    upper, lower = UPPER_LIP[1:-1], LOWER_LIP[1:-1]
    crossed = shape[upper, 1] > shape[lower, 1]
    if crossed.any():
        shape = shape.copy()
        middle = (shape[upper[crossed]] + shape[lower[crossed]]) / 2
        shape[upper[crossed]] = middle
        shape[lower[crossed]] = middle
    return shape
