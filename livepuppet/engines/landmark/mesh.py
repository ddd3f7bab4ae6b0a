"""The portrait as a net of triangles: the face, six rings around it for hair, ears, neck and shoulders, and how they move together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from livepuppet.engines.landmark.face_model import CHIN, COUNT, EYES, FOREHEAD, LID_FOLD, LOWER_LID, MOUTH, OVAL, TRIANGLES, UPPER_LID
from livepuppet.engines.landmark.retarget import Likeness, pose_face, rotation_matrix
from livepuppet.types import Floats, Motion


@dataclass(frozen=True)
class Ring:
    """One ring.

    Attributes:
        size: times the face's rim.
        behind: depth behind the rim, face widths.
        above, beside, below: how far it follows the head's turning and shifting over the forehead (hair, hats), at the ears (long hair) and
            under the chin.
        chin: its share of the rim's expression.
    """

    size: float
    behind: float
    above: tuple[float, float]
    beside: tuple[float, float]
    below: tuple[float, float]
    chin: float


RINGS = (
    Ring(1.14, 0.11, (1.0, 1.0), (1.0, 1.0), (0.75, 0.80), 0.70),
    Ring(1.4, 0.28, (1.0, 1.0), (1.0, 1.0), (0.20, 0.25), 0.20),
    Ring(1.8, 0.35, (1.0, 1.0), (0.8, 0.85), (0.02, 0.05), 0.0),
    Ring(2.4, 0.35, (0.95, 1.0), (0.35, 0.45), (0.0, 0.0), 0.0),
    Ring(3.4, 0.35, (0.5, 0.6), (0.0, 0.0), (0.0, 0.0), 0.0),
    Ring(4.6, 0.35, (0.0, 0.0), (0.0, 0.0), (0.0, 0.0), 0.0),
)


EARS, EAR_SIZE = 0.5, 1.6
"""Beside the face, rings smaller than the second lie this much less far behind it: ears stand beside the cheeks, hair behind them."""


@dataclass(frozen=True, eq=False)
class WarpMesh:
    """A portrait's triangles, built once.

    points (V, 3): where they are in the portrait, pixels; the first 478 are the face. triangles (T, 3), ordered skin, rings, eyes, mouth.

    Attributes:
        eyes, mouth: the ranges of those triangles. turning, shifting, body, chin (R, 1): how far ring points follow. rims (R,): their
            points on the face's rim.
    """

    points: Floats
    triangles: NDArray[np.int32]
    eyes: tuple[range, range]
    mouth: range
    turning: Floats
    shifting: Floats
    body: Floats
    chin: Floats
    rims: NDArray[np.int64]


def build_warp_mesh(face: Floats, down: Floats) -> WarpMesh:
    """face: landmarks (478, 3) in pixels; down (2,): the direction from forehead to chin in the picture, length 1."""
    width = float(np.linalg.norm(face[OVAL].max(0) - face[OVAL].min(0)) / 1.6)
    centre = face[OVAL].mean(0)
    out = face[OVAL] - centre
    slope = out[:, :2] @ down / np.maximum(np.linalg.norm(out[:, :2], axis=1), 1e-6)
    below, above = smooth(np.clip((slope - 0.15) / 0.5, 0, 1)), smooth(np.clip((-slope - 0.2) / 0.5, 0, 1))
    beside = 1 - below - above
    points, turning, shifting, body, chin = [], [], [], [], []
    for ring in RINGS:
        at = centre + ring.size * out
        at[:, 2] = face[OVAL, 2] + width * ring.behind * (1 - EARS * beside * (ring.size < EAR_SIZE))
        points.append(at)
        turning.append(ring.above[0] * above + ring.beside[0] * beside + ring.below[0] * below)
        shifting.append(ring.above[1] * above + ring.beside[1] * beside + ring.below[1] * below)
        body.append((1 - shifting[-1]) * below_chin(at, face, down) * (ring.size < RINGS[-1].size))
        chin.append(np.full(len(OVAL), ring.chin))
    skin_and_rings = np.concatenate([TRIANGLES, ring_triangles()])
    ends = np.cumsum([len(skin_and_rings), len(EYES[0]), len(EYES[1]), len(MOUTH)])
    return WarpMesh(
        points=np.concatenate([face, *points]),
        triangles=np.concatenate([skin_and_rings, EYES[0], EYES[1], MOUTH]).astype(np.int32),
        eyes=(range(ends[0], ends[1]), range(ends[1], ends[2])),
        mouth=range(ends[2], ends[3]),
        turning=np.concatenate(turning)[:, None],
        shifting=np.concatenate(shifting)[:, None],
        body=np.concatenate(body)[:, None],
        chin=np.concatenate(chin)[:, None],
        rims=np.tile(OVAL, len(RINGS)),
    )


def below_chin(points: Floats, face: Floats, down: Floats) -> Floats:
    """1 well below the chin, where there are shoulders and clothes; 0 from the mouth up (N,)."""
    height = float(np.linalg.norm(face[CHIN, :2] - face[FOREHEAD, :2]))
    return smooth(np.clip(((points[:, :2] - face[CHIN, :2]) @ down / height + 0.15) / 0.35, 0, 1))


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


def smooth(x: Floats) -> Floats:
    """0 … 1 -> 0 … 1 with level ends (smoothstep)."""
    return np.asarray(x * x * (3 - 2 * x))


def down_of(face: Floats) -> Floats:
    """The direction from forehead to chin in the picture (2,), length 1."""
    along = face[CHIN, :2] - face[FOREHEAD, :2]
    return np.asarray(along / max(float(np.linalg.norm(along)), 1e-6))


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
    shift, body = (np.append(motion.pose[i : i + 2], 0.0) * placed.scale for i in (3, 6))
    change = (shape - placed.shape)[net.rims] @ (rotation @ placed.rotation).T * (placed.scale * scale)
    moved = ring + net.turning * (turned - ring) + net.shifting * shift + net.body * body + net.chin * change
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
