"""Triangles -> where each pixel of the picture comes from.

Computed on a coarse grid and interpolated: between vertices it is affine anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.interfaces import Floats

Field: TypeAlias = NDArray[np.float32]
"""A value per place of the grid, or per pixel (h, w)."""

GRID_LONG_SIDE = 320
"""The grid's longer side at most."""


SLIVER = 0.5
"""Triangles of less than half this area, px, are not drawn: their affine map is noise and they cover nothing."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Sampling places of an output picture: x, y (h, w) in pixels, `step` pixels apart, with one more all around than the picture needs."""

    x: Field
    y: Field
    step: int
    width: int
    height: int


def build_grid(width: int, height: int) -> Grid:
    """The grid for a picture of this size in pixels."""
    step = max(2, -(-max(width, height) // GRID_LONG_SIDE))
    columns, rows = -(-width // step) + 2, -(-height // step) + 2
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    first = (step - 1) / 2 - step
    return Grid(x * step + first, y * step + first, step, width, height)


def to_grid(x: Field, y: Field, grid: Grid) -> tuple[Field, Field]:
    """Places in pixels as places in an array that lies on the grid."""
    first = np.float32((grid.step - 1) / 2 - grid.step)
    return (x - first) / np.float32(grid.step), (y - first) / np.float32(grid.step)


def triangle_ids(points: Floats, triangles: NDArray[np.int32], upright: Floats, hidden: list[range], grid: Grid) -> NDArray[np.int32]:
    """Which triangle covers each place of the grid: far ones first, so that near ones lie on top; len(triangles) where there is none.

    upright (T,): the sign of each triangle's area in the portrait; those turned over lie at the back. hidden: triangles left out.
    """
    corners = points[triangles]
    depth = corners[:, :, 2].mean(1)
    area = areas(corners) * upright
    depth = np.where(area <= 0, depth + 1e5, depth)
    depth[np.abs(area) < SLIVER] = np.inf
    for part in hidden:
        depth[part.start : part.stop] = np.inf
    ids = np.full(grid.x.shape, len(triangles), np.int32)
    places = np.round(((corners[:, :, :2] + 0.5) / grid.step + 0.5) * 16).astype(np.int32)
    for i in np.argsort(-depth, kind="stable"):
        if depth[i] != np.inf:
            cv2.fillConvexPoly(ids, places[i], (int(i),), lineType=8, shift=4)
    return ids


def areas(corners: Floats) -> Floats:
    """Twice the signed area of triangles (T, 3, 2 or 3) in the picture's plane."""
    e, g = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray(e[:, 0] * g[:, 1] - e[:, 1] * g[:, 0])


def affines(posed: Floats, rest: Floats, triangles: NDArray[np.int32]) -> Floats:
    """(T + 1, 6): per triangle x' = a x + b y + c, y' = d x + e y + f from the posed picture to the portrait; the last changes nothing."""
    to, of = posed[triangles][:, :, :2], rest[triangles][:, :, :2]
    e, g = to[:, 1] - to[:, 0], to[:, 2] - to[:, 0]
    area = e[:, 0] * g[:, 1] - e[:, 1] * g[:, 0]
    area = np.where(np.abs(area) < 1e-2, 1e-2, area)
    inverse = np.stack([np.stack([g[:, 1], -g[:, 0]], 1), np.stack([-e[:, 1], e[:, 0]], 1)], 1) / area[:, None, None]
    linear = np.stack([of[:, 1] - of[:, 0], of[:, 2] - of[:, 0]], 2) @ inverse
    offset = of[:, 0] - np.einsum("nij,nj->ni", linear, to[:, 0])
    out = np.concatenate([linear[:, 0], offset[:, :1], linear[:, 1], offset[:, 1:]], 1)
    return np.concatenate([out, [[1, 0, 0, 0, 1, 0]]])


def sample_affines(ids: NDArray[np.int32], table: Floats, grid: Grid) -> tuple[Field, Field]:
    """The maps x', y' on the grid."""
    each = table.astype(np.float32)[ids]
    x = each[..., 0] * grid.x + each[..., 1] * grid.y + each[..., 2]
    y = each[..., 3] * grid.x + each[..., 4] * grid.y + each[..., 5]
    return x, y


def enlarge(values: Field, grid: Grid) -> Field:
    """Grid values at every pixel."""
    size = values.shape[1] * grid.step, values.shape[0] * grid.step
    full = cv2.resize(values, size, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(full[grid.step : grid.step + grid.height, grid.step : grid.step + grid.width])


def soften(values: Field) -> Field:
    """The mean over 3 x 3 places: takes the kinks out of the triangles' edges."""
    return np.asarray(cv2.blur(values, (3, 3)), dtype=np.float32)
