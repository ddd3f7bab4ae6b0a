"""Keypoints with local affine frames as motions, and how the driver's become the avatar's.

The driver's motions are kept in the units of the camera picture (half its height, from its centre), not of the crop: then it does not
matter where the crop is, and a head that moves sideways moves the avatar's. The avatar's motions are in the units of its crop (-1 … 1).
Relative motion: Siarohin et al., NeurIPS 2019, equation 16, with displacements scaled by the square root of the ratio of the areas that the
avatar's and the driver's keypoints span.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from livepuppet.engines.fomm.crop import Crop
from livepuppet.engines.fomm.runtime.interface import Array
from livepuppet.types import Floats, Motion, Tuning

SHIFT_LIMIT = 0.25
"""How far the whole head may go, in half sides of the crop: further, and it would leave the square that is pasted back."""
POINT_LIMIT = 0.18
"""How far a keypoint may go against the others."""
KNEE = 0.6
"""Share of a limit up to which nothing is limited at all."""
STRETCH_LIMIT = 1.5
"""A local frame is stretched or squeezed at most so many times, and turned at most so far: beyond, pictures melt."""
TURN_LIMIT_RAD = np.radians(30.0)


@dataclass(frozen=True, slots=True)
class CropPlacement:
    """Where the crop was, in the units of the camera picture: what absolute motion needs."""

    centre: tuple[float, float]
    half: float


def motion_from_keypoints(value: Array, jacobian: Array, crop: Crop, width: int, height: int, view: Floats) -> Motion:
    """Keypoints in a crop of a camera picture -> the driver's motion."""
    middle = np.array([width / 2, height / 2])
    pixels = np.array([crop.x, crop.y]) + value[0].astype(np.float64) * crop.side / 2
    half = crop.side / height
    place = CropPlacement((float((crop.x - middle[0]) / middle[1]), float((crop.y - middle[1]) / middle[1])), half)
    frames = jacobian[0].astype(np.float64) * half
    return Motion(((pixels - middle) / middle[1]).ravel(), frames.ravel(), view, pixels, place)


def neutral_motion(value: Array, jacobian: Array, view: Floats) -> Motion:
    """The avatar's own keypoints: the motion that leaves it as it is."""
    return Motion(value[0].astype(np.float64).ravel(), jacobian[0].astype(np.float64).ravel(), view)


def keypoints_from_motion(motion: Motion) -> tuple[Array, Array]:
    """As the graphs take them: (1, K, 2) and (1, K, 2, 2), float32."""
    return motion.pose.astype(np.float32).reshape(1, -1, 2), motion.expression.astype(np.float32).reshape(1, -1, 2, 2)


def span(points: Floats) -> float:
    """Square root of the area of the points' convex hull;

    Args:
        points: (K, 2) or flat. At least a little, for fewer than three points.
    """
    hull = cv2.convexHull(points.reshape(-1, 2).astype(np.float32))
    return max(1e-3, float(np.sqrt(cv2.contourArea(hull))))


def transfer_motion(source: Motion, reference: Motion, driving: Motion, scale: float, tuning: Tuning) -> Motion:
    """The avatar's motion.

    Args:
        scale: span(source) / span(reference), which the caller keeps, as it changes with the reference only.
    """
    points, frames = source.pose.reshape(-1, 2), source.expression.reshape(-1, 2, 2)
    moved, turned = driving.pose.reshape(-1, 2), driving.expression.reshape(-1, 2, 2)
    if tuning.relative:
        step = scale * (moved - reference.pose.reshape(-1, 2))
        change = turned @ inverse_jacobian(reference.expression.reshape(-1, 2, 2))
    else:
        place = driving.detail if isinstance(driving.detail, CropPlacement) else CropPlacement((0.0, 0.0), 1.0)
        step = (moved - np.array(place.centre)) / place.half - points
        change = turned / place.half @ inverse_jacobian(frames)
    step, change = limit_motion(tuning.gain * step, np.eye(2) + tuning.gain * (change - np.eye(2)))
    view = source.view + tuning.gain * (driving.view - reference.view)
    return Motion((points + step).ravel(), (change @ frames).ravel(), view, driving.points, driving.detail)


def limit_motion(step: Floats, change: Floats) -> tuple[Floats, Floats]:
    """Displacements (K, 2) and changes of the local frames (K, 2, 2) within what the model can draw; small ones exactly as they are."""
    shift = step.mean(axis=0, keepdims=True)
    own = step - shift
    step = saturate(shift, SHIFT_LIMIT) + saturate(own, POINT_LIMIT)
    # Angle and singular values of a 2 x 2 matrix in closed form: NumPy's general routines would cost more than all the rest.
    a, b, c, d = change[:, 0, 0], change[:, 0, 1], change[:, 1, 0], change[:, 1, 1]
    turning, shearing = np.hypot(a + d, c - b) / 2, np.hypot(a - d, c + b) / 2
    angle = np.arctan2(c - b, a + d)
    most, least = turning + shearing, turning - shearing  # least < 0: turned inside out
    fine = (most <= STRETCH_LIMIT) & (least >= 1 / STRETCH_LIMIT) & (np.abs(angle) <= TURN_LIMIT_RAD)
    if fine.all():
        return step, change
    _, stretch, right = np.linalg.svd(change)
    kept = np.clip(stretch, 1 / STRETCH_LIMIT, STRETCH_LIMIT)
    angle = np.clip(angle, -TURN_LIMIT_RAD, TURN_LIMIT_RAD)
    cos, sin = np.cos(angle), np.sin(angle)
    rotation = np.stack((np.stack((cos, -sin), -1), np.stack((sin, cos), -1)), -2)
    bounded = rotation @ (right.transpose(0, 2, 1) * kept[:, None, :]) @ right
    bounded[least <= 0] = np.eye(2)  # a frame turned inside out is a mistake of the detector, never a face
    return step, np.where(fine[:, None, None], change, bounded)


def saturate(vectors: Floats, limit: float) -> Floats:
    """(K, 2) vectors no longer than `limit`: exact up to the knee, then ever slower."""
    knee = KNEE * limit
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    room = limit - knee
    bounded = np.where(length > knee, knee + room * np.tanh((length - knee) / room), length)
    return np.asarray(vectors * np.where(length > knee, bounded / np.maximum(length, 1e-9), 1.0))


def inverse_jacobian(frames: Floats) -> Floats:
    """Inverses of (K, 2, 2); a singular frame counts as the identity."""
    a, b, c, d = frames[:, 0, 0], frames[:, 0, 1], frames[:, 1, 0], frames[:, 1, 1]
    determinant = a * d - b * c
    singular = np.abs(determinant) < 1e-9
    adjugate = np.stack((np.stack((d, -b), -1), np.stack((-c, a), -1)), -2)
    return np.where(singular[:, None, None], np.eye(2), adjugate / np.where(singular, 1.0, determinant)[:, None, None])


def motion_distance(source: Motion, driving: Motion) -> float:
    """How different the two arrangements of keypoints are, whatever their place and size; 1 = a fifth of their span on average."""

    def arranged(motion: Motion) -> Floats:
        points = motion.pose.reshape(-1, 2)
        return np.asarray((points - points.mean(axis=0)) / span(points))

    return 5 * float(np.linalg.norm(arranged(source) - arranged(driving), axis=1).mean())


def idle(source: Motion, seconds: float) -> Motion:
    """Breathing and a slow sway: under two hundredths of the crop and one degree; the periods never meet."""
    breath, first, second = np.sin(2 * np.pi * seconds * np.array([0.23, 0.071, 0.113]))
    angle = np.radians(0.5 * first + 0.2 * breath)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = source.pose.reshape(-1, 2)
    pivot = np.array([points[:, 0].mean(), 1.0])  # the neck: heads nod and tilt from below
    moved = (points - pivot) @ rotation.T + pivot + np.array([0.008 * second, 0.006 * breath])
    return Motion(moved.ravel(), (rotation @ source.expression.reshape(-1, 2, 2)).ravel(), source.view)


def view_of(landmarks: Floats) -> Floats:
    """Yaw, pitch and roll in radians of a face's (478, 3) landmarks, from the plane through forehead, chin and the eyes' outer corners."""
    forehead, chin, left, right = landmarks[[10, 152, 33, 263]]
    across, down = right - left, chin - forehead
    away = np.cross(across, down)
    x, y, z = -away / max(1e-9, float(np.linalg.norm(away)))
    return np.array([np.arctan2(x, -z), np.arctan2(y, np.hypot(x, z)), np.arctan2(across[1], across[0])])
