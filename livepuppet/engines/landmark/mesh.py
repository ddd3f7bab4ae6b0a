"""The portrait as a net of triangles: the face, six rings around it for hair, ears, neck and shoulders, and how they move together."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.engines.landmark.face_model import COUNT, EYES, LID_FOLD, LOWER_LID, MOUTH, OVAL, TRIANGLES, UPPER_LID
from livepuppet.engines.landmark.lattice import (
    CONTROLS,
    EAR_SIZE,
    EARS,
    RINGS,
    directions,
    down_of,
    lattice_counts,
    lattice_weights,
    rim_measure,
)
from livepuppet.engines.landmark.retarget import Likeness, pose_face, rotation_matrix
from livepuppet.types import Floats, Motion


@dataclass(frozen=True, eq=False)
class WarpMesh:
    """A portrait's triangles, built once.

    points (V, 3): where they are in the portrait, pixels; the first 478 are the face. triangles (T, 3), ordered skin, rings, eyes, mouth.

    Attributes:
        eyes, mouth, collar: the ranges of those triangles; the collar joins the face's rim to the first ring.
        turning, shifting, chin (R, 1): how far ring points follow.
        lattice (R, CONTROLS): what the lattice's control points count for them.
        rims (R,): their points on the face's rim.
        outline (36, 2): the face's outline in the portrait where the rim is, pixels; farther out where a turned cheek hides the rim.
    """

    points: Floats
    triangles: NDArray[np.int32]
    eyes: tuple[range, range]
    mouth: range
    collar: range
    turning: Floats
    shifting: Floats
    lattice: Floats
    chin: Floats
    rims: NDArray[np.int64]
    outline: Floats


def build_warp_mesh(face: Floats) -> WarpMesh:
    """face: landmarks (478, 3) in pixels."""
    width = float(np.linalg.norm(face[OVAL].max(0) - face[OVAL].min(0)) / 1.6)
    centre = face[OVAL].mean(0)
    out = face[OVAL] - centre
    above, beside, below = directions(out[:, :2], down_of(face))
    measure = rim_measure(face)
    beyond = silhouette_ratio(face, centre[:2], out[:, :2])[:, None]
    points, turning, shifting, lattice, chin = [], [], [], [], []
    for ring in RINGS:
        at = centre + ring.size * out * np.c_[beyond, beyond, np.ones_like(beyond)]
        at[:, 2] = face[OVAL, 2] + width * ring.behind * (1 - EARS * beside * (ring.size < EAR_SIZE))
        points.append(at)
        turning.append(ring.above[0] * above + ring.beside[0] * beside + ring.below[0] * below)
        shifting.append(ring.above[1] * above + ring.beside[1] * beside + ring.below[1] * below)
        lattice.append(lattice_weights(measure(at)) * lattice_counts(measure(at))[:, None] * (ring.size < RINGS[-1].size))
        chin.append(np.full(len(OVAL), ring.chin))
    skin_and_rings = np.concatenate([TRIANGLES, ring_triangles()])
    ends = np.cumsum([len(skin_and_rings), len(EYES[0]), len(EYES[1]), len(MOUTH)])
    return WarpMesh(
        points=np.concatenate([face, *points]),
        triangles=np.concatenate([skin_and_rings, EYES[0], EYES[1], MOUTH]).astype(np.int32),
        eyes=(range(ends[0], ends[1]), range(ends[1], ends[2])),
        mouth=range(ends[2], ends[3]),
        collar=range(len(TRIANGLES), len(TRIANGLES) + 2 * len(OVAL)),
        turning=np.concatenate(turning)[:, None],
        shifting=np.concatenate(shifting)[:, None],
        lattice=np.concatenate(lattice),
        chin=np.concatenate(chin)[:, None],
        rims=np.tile(OVAL, len(RINGS)),
        outline=centre[:2] + 1.01 * beyond * out[:, :2],
    )


def outline_sources(net: WarpMesh) -> Floats:
    """Where the collar's triangles take their pixels from (V, 3): outside the face's outline, never from a cheek that hides the rim."""
    out = net.points.copy()
    out[OVAL, :2] = net.outline
    return out


def silhouette_ratio(face: Floats, centre: Floats, out: Floats) -> Floats:
    """How much farther than the rim (36, 2; relative to the centre) the face's outline lies in the rim's directions (36,), at least 1."""
    hull = cv2.convexHull(face[:COUNT, :2].astype(np.float32))[:, 0].astype(np.float64) - centre
    reach = np.zeros(len(out))
    for one, other in zip(hull, np.roll(hull, -1, axis=0), strict=True):
        along = other - one
        crossed = out[:, 0] * along[1] - out[:, 1] * along[0]
        crossed = np.where(np.abs(crossed) < 1e-9, 1e-9, crossed)
        times = (one[0] * along[1] - one[1] * along[0]) / crossed
        part = (one[0] * out[:, 1] - one[1] * out[:, 0]) / crossed
        reach = np.maximum(reach, np.where((part >= -1e-6) & (part <= 1 + 1e-6) & (times > 0), times, 0))
    return np.maximum(reach, 1.0)


def ring_triangles() -> NDArray[np.int32]:
    """Two triangles per rim point and ring."""
    count = len(OVAL)

    def point(ring: int, i: int) -> int:
        return int(OVAL[i % count]) if ring == 0 else COUNT + (ring - 1) * count + i % count

    out = []
    for ring in range(len(RINGS)):
        for i in range(count):
            out.append((point(ring, i), point(ring + 1, i), point(ring, i + 1)))
            out.append((point(ring, i + 1), point(ring + 1, i), point(ring + 1, i + 1)))
    return np.array(out, dtype=np.int32)


LID_RISE = 0.15
"""How far the lower lid rises when the eye closes, as a share of the opening."""
FOLD_FOLLOWS = 0.4
"""How far the skin above the upper lid comes down with it: a lid unfolds rather than stretches."""
LID_OVERLAP = 0.06
"""Share of the opening by which a closed upper lid laps over the lower one, so that no white shows."""


@dataclass(frozen=True, eq=False)
class PosedMesh:
    """The net for one motion. points (V, 3) pixels; shape (478, 3) the face in its own frame; closing (2,), gaze (2, 2) of the eyes."""

    points: Floats
    shape: Floats
    closing: Floats
    gaze: Floats


def pose_warp_mesh(net: WarpMesh, likeness: Likeness, motion: Motion) -> PosedMesh:
    """Move the net."""
    face, shape, eyes = pose_face(likeness, motion)
    placed = likeness.placed
    rotation = rotation_matrix(motion.pose[:3])
    scale = float(np.exp(motion.pose[5]))
    face = set_lids(face, net.points[:COUNT], likeness, rotation, scale, eyes[:2])
    ring = net.points[COUNT:]
    turned = scale * (ring - placed.position) @ rotation.T + placed.position
    shift = np.append(motion.pose[3:5], 0.0) * placed.scale
    bent = np.c_[net.lattice @ motion.pose[6:].reshape(CONTROLS, 2) * placed.scale, np.zeros(len(ring))]
    change = (shape - placed.shape)[net.rims] @ (rotation @ placed.rotation).T * (placed.scale * scale)
    moved = ring + net.turning * (turned - ring) + net.shifting * shift + bent + net.chin * change
    return PosedMesh(np.concatenate([face, moved]), shape, eyes[:2], eyes[2:].reshape(2, 2))


def set_lids(face: Floats, rest: Floats, likeness: Likeness, rotation: Floats, scale: float, closing: Floats) -> Floats:
    """Close the lids: between the corners they stand where the portrait's stood, brought together by `closing` (1 = shut)."""
    face = face.copy()
    for upper, lower, fold, shut in zip(UPPER_LID, LOWER_LID, LID_FOLD, closing, strict=True):
        corners = face[[upper[0], upper[-1]]].mean(0) - scale * rotation @ rest[[upper[0], upper[-1]]].mean(0)
        low = scale * rest[lower[1:-1]] @ rotation.T + corners
        high = scale * rest[upper[1:-1]] @ rotation.T + corners
        gap = high - low
        if shut > 0:
            low = low + gap * shut * LID_RISE
            high = low + gap * (1 - shut * (1 + LID_OVERLAP * (shut > 0.9)) if shut > 0.9 else 1 - shut)
        else:
            high, low = high - gap * shut * 0.7, low + gap * shut * 0.3
        if shut > 0:
            face[fold] += FOLD_FOLLOWS * (high - (scale * rest[upper[1:-1]] @ rotation.T + corners))
        face[lower[1:-1]], face[upper[1:-1]] = low, high
    return face
