"""How what surrounds a face moves: as a part of the head's turning and shifting, plus the displacement of a lattice.

Hair, ears, neck, shoulders and clothes follow the head by shares that fall off with the distance from the face and differ above it (hair,
hats), beside it (ears, long hair) and below it (neck, shoulders). What they do besides is the displacement of a coarse lattice around the
face (free-form deformation, Sederberg and Parry, SIGGRAPH 1986): measured on the driver, carried over to the portrait.

Places of the lattice are in a face's own measure: half its rim's width across and half its height down, about the rim's middle, upright in
the picture. So a wide driver moves the shoulders of a narrow portrait where shoulders are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from livepuppet.engines.landmark.face_model import CHIN, FOREHEAD, LEFT_EDGE, OVAL, RIGHT_EDGE
from livepuppet.types import Floats

COLUMNS, ROWS = 9, 9
LEFT, TOP, RIGHT, BOTTOM = -3.2, -2.0, 3.2, 2.8
"""The lattice's edges, in half rims."""
CONTROLS = COLUMNS * ROWS
_down, _across = np.meshgrid(np.linspace(TOP, BOTTOM, ROWS), np.linspace(LEFT, RIGHT, COLUMNS), indexing="ij")
LATTICE: Floats = np.stack([_across.ravel(), _down.ravel()], 1)
"""(CONTROLS, 2): the places of the control points, row by row, in half rims."""


@dataclass(frozen=True)
class Ring:
    """What surrounds the face at one distance.

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
class FaceMeasure:
    """The measure of one face in a picture: centre (2,) and half its rim's size (2,), pixels; `width` is a face width in pixels."""

    centre: Floats
    half: Floats
    width: float

    def __call__(self, points: Floats) -> Floats:
        """Points (N, 2 or 3) in pixels as places in half rims (N, 2)."""
        return np.asarray((points[:, :2] - self.centre) / self.half)

    def pixels(self, places: Floats) -> Floats:
        """Places (N, 2) in half rims as pixels."""
        return np.asarray(places * self.half + self.centre)


def rim_measure(face: Floats) -> FaceMeasure:
    """face: landmarks (478, 3) in pixels."""
    centre = face[OVAL, :2].mean(0)
    width = float(np.linalg.norm(face[LEFT_EDGE] - face[RIGHT_EDGE]))
    tall = float(np.linalg.norm(face[CHIN] - face[FOREHEAD]))
    return FaceMeasure(centre, np.array([max(width, 0.6 * tall), max(tall, 0.8 * width)]) / 2, max(width, 0.6 * tall))


FADE = {"over": (1.0, 1.7), "below": (0.9, 1.4)}
"""Distances from the rim's middle, in half rims, at which the lattice begins to count and counts in full: the face itself is the mesh's,
and ears and hairline must not come apart from it."""


def lattice_counts(places: Floats) -> Floats:
    """(N,): how much of the lattice's displacement applies at places (N, 2)."""
    distance = np.linalg.norm(places, axis=1)
    below = smooth(np.clip((places[:, 1] / np.maximum(distance, 1e-6) - 0.3) / 0.45, 0, 1))
    over, under = (smooth(np.clip((distance - low) / (high - low), 0, 1)) for low, high in FADE.values())
    return np.asarray(over + below * (under - over))


def lattice_weights(places: Floats) -> Floats:
    """(N, CONTROLS): what each control point counts at places (N, 2), bilinear; beyond the lattice its edge goes on."""
    column = np.clip((places[:, 0] - LEFT) / (RIGHT - LEFT) * (COLUMNS - 1), 0, COLUMNS - 1)
    row = np.clip((places[:, 1] - TOP) / (BOTTOM - TOP) * (ROWS - 1), 0, ROWS - 1)
    across = np.maximum(1 - np.abs(column[:, None] - np.arange(COLUMNS)), 0)
    down = np.maximum(1 - np.abs(row[:, None] - np.arange(ROWS)), 0)
    return np.asarray((down[:, :, None] * across[:, None, :]).reshape(len(places), CONTROLS))


@dataclass(frozen=True, eq=False)
class HeadShares:
    """How points around a face follow its head: depth (N,) pixels, turning and shifting (N,), both 0 … 1."""

    depth: Floats
    turning: Floats
    shifting: Floats


def head_shares(points: Floats, face: Floats) -> HeadShares:
    """How points (N, 2), pixels of the picture in which the face has the landmarks (478, 3), follow that face's head."""
    measure = rim_measure(face)
    rim = face[OVAL] - np.append(measure.centre, 0.0)
    out = points - measure.centre
    around = np.arctan2(rim[:, 1], rim[:, 0])
    order = np.argsort(around)
    angle = np.arctan2(out[:, 1], out[:, 0])
    reach, depth = (
        np.interp(angle, around[order], values[order], period=2 * np.pi) for values in (np.linalg.norm(rim[:, :2], axis=1), rim[:, 2])
    )
    size = np.linalg.norm(out, axis=1) / np.maximum(reach, 1e-6)
    above, beside, below = directions(out, down_of(face))
    sizes = np.array([1.0, *(ring.size for ring in RINGS)])
    shares = [
        sum(
            part * np.interp(size, sizes, [1.0, *(getattr(ring, name)[kind] for ring in RINGS)])
            for name, part in (("above", above), ("beside", beside), ("below", below))
        )
        for kind in (0, 1)
    ]
    behind = np.interp(size, sizes, [0.0, *(ring.behind for ring in RINGS)]) * (1 - EARS * beside * (size < EAR_SIZE))
    return HeadShares(depth + measure.width * behind, np.asarray(shares[0]), np.asarray(shares[1]))


def directions(out: Floats, down: Floats) -> tuple[Floats, Floats, Floats]:
    """How far points (N, 2), relative to the face's middle, are above, beside and below the face; each (N,), together 1."""
    slope = out @ down / np.maximum(np.linalg.norm(out, axis=1), 1e-6)
    below, above = smooth(np.clip((slope - 0.3) / 0.45, 0, 1)), smooth(np.clip((-slope - 0.2) / 0.5, 0, 1))
    return above, 1 - below - above, below


def smooth(x: Floats) -> Floats:
    """0 … 1 -> 0 … 1 with level ends (smoothstep)."""
    return np.asarray(x * x * (3 - 2 * x))


def down_of(face: Floats) -> Floats:
    """The direction from forehead to chin in the picture (2,), length 1."""
    along = face[CHIN, :2] - face[FOREHEAD, :2]
    return np.asarray(along / max(float(np.linalg.norm(along)), 1e-6))


def body_shares() -> Floats:
    """(CONTROLS,): 1 where the lattice lies over shoulders and chest, 0 from the mouth up."""
    return smooth(np.clip((LATTICE[:, 1] - 0.7) / 0.7, 0, 1))


BODY = body_shares()


def lattice_shift(shift: Floats) -> Floats:
    """The lattice's displacement (2 · CONTROLS,) for a body that shifts as a whole by `shift` (2,)."""
    return np.asarray(BODY[:, None] * shift).ravel()
