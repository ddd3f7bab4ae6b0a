"""Triangles -> where each pixel of the picture comes from.

Computed on a coarse grid and interpolated: between vertices it is affine anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.types import Floats, Image

Field: TypeAlias = NDArray[np.float32]
"""A value per place of the grid, or per pixel (h, w)."""

WHOLE = slice(None)

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

    upright (T,): the sign of each triangle's area in the portrait; those turned over lie at the back.

    Args:
        hidden: triangles left out.
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
    outside = (places.max(1) < 0).any(1) | (places.min(1) > np.array(ids.shape[::-1]) * 16).any(1)
    depth[outside] = np.inf
    order = np.argsort(-depth, kind="stable")
    order = order[depth[order] != np.inf]
    for i, place in zip(order.tolist(), places[order], strict=True):
        cv2.fillConvexPoly(ids, place, (i,), lineType=8, shift=4)
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


def enlarge_map(values: Field, grid: Grid, rows: slice = WHOLE, columns: slice = WHOLE) -> Field:
    """Grid values at every pixel, or at those of a part of the picture given in cells of the grid (0 = the picture's first)."""
    top, bottom, _ = rows.indices(-(-grid.height // grid.step))
    left, right, _ = columns.indices(-(-grid.width // grid.step))
    step = grid.step
    cells = values[top : bottom + 2, left : right + 2]  # one more on each side, to interpolate from
    full = cv2.resize(cells, (cells.shape[1] * step, cells.shape[0] * step), interpolation=cv2.INTER_LINEAR)
    height, width = min(bottom * step, grid.height) - top * step, min(right * step, grid.width) - left * step
    return np.asarray(full[step : step + height, step : step + width], dtype=np.float32)


TILE_PX = 80
"""About the side of a tile, see `compose`."""


def compose_map(person: Image, matte: NDArray[np.uint8], x: Field, y: Field, share: Field, plate: Image, grid: Grid) -> Image:
    """The picture: the person's colours sampled at x, y (on the grid), laid over the plate where their matte (H, W) is below 255.

    Work is done where it shows: one remap over the box that moves, and blending only in the tiles that the matte's edge runs through.

    Args:
        share: about the matte there, on the grid; it alone counts above the photo's upper edge.
    """
    tile = max(1, TILE_PX // grid.step)
    most, least = tile_extremes(share, tile)
    rows, columns = np.flatnonzero(most.max(1) > 0), np.flatnonzero(most.max(0) > 0)
    out = plate.copy()
    if not len(rows):
        return out
    top, bottom, left, right = rows[0] * tile, (rows[-1] + 1) * tile, columns[0] * tile, (columns[-1] + 1) * tile
    box = slice(top, bottom), slice(left, right)
    full_x, full_y = enlarge_map(x, grid, *box), enlarge_map(y, grid, *box)
    moved = sample_image(person, full_x, full_y)
    kind = np.where(most <= 0, 0, np.where(least >= 1, 1, 2))  # plate, image, both
    step = grid.step
    for row in range(rows[0], rows[-1] + 1):
        runs = np.flatnonzero(np.diff(kind[row], prepend=-1, append=-1))
        for start, end in pairwise(runs.tolist()):
            if kind[row, start] == 0:
                continue
            high, wide = slice(row * tile, (row + 1) * tile), slice(start * tile, end * tile)
            there = out[high.start * step : high.stop * step, wide.start * step : wide.stop * step]
            y0, x0 = (high.start - top) * step, (wide.start - left) * step
            part = slice(y0, y0 + there.shape[0]), slice(x0, x0 + there.shape[1])
            here = moved[part]
            if kind[row, start] == 1:
                there[:] = here
            else:
                weight = sample_image(matte, full_x[part], full_y[part]).astype(np.float32) * np.float32(1 / 255)
                over = full_y[part] < 0
                if over.any():
                    weight[over] = enlarge_map(share, grid, high, wide)[over]
                there[:] = cv2.blendLinear(here, there, weight, 1 - weight)
    return out


def tile_extremes(share: Field, tile: int) -> tuple[Field, Field]:
    """The greatest and the least share in and around each tile of `tile` cells."""
    around = np.ones((3, 3), np.uint8)
    both = []
    for values in (cv2.dilate(share, around), -cv2.erode(share, around)):
        inner = values[1:-1, 1:-1]
        short = -inner.shape[0] % tile, -inner.shape[1] % tile
        padded = np.pad(inner, ((0, short[0]), (0, short[1])), mode="edge")
        both.append(padded.reshape(padded.shape[0] // tile, tile, -1, tile).max((1, 3)))
    return both[0], -both[1]


def sample_image(image: Image, x: Field, y: Field) -> Image:
    """The image (H, W, channels) at these places (h, w); beyond its edges it is mirrored."""
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101), dtype=np.uint8)


def soften_map(values: Field) -> Field:
    """The mean over 3 x 3 places: takes the kinks out of the triangles' edges. The outermost places, which have no neighbours, stay."""
    out = np.asarray(cv2.blur(values, (3, 3)), dtype=np.float32)
    out[0], out[-1], out[:, 0], out[:, -1] = values[0], values[-1], values[:, 0], values[:, -1]
    return out


STRETCH = (3.0, 0.2)
"""How far upwards, as a multiple of what is missing at the lower edge and at most as a share of the height, the picture is drawn out."""


def stretch_to_edge(y: Field, grid: Grid) -> None:
    """Let the lower edge show what the image has there, where its content has moved up from it (in place).

    A body that the photo cuts off is drawn out a little instead of going on as its own mirror image.
    """
    missing = np.maximum(y[-2] - (grid.height - 1), 0)
    if not missing.any():
        return
    times, most = STRETCH
    reach = int(min(most * len(y), np.ceil(times * missing.max() / grid.step)) + 2)
    missing = np.minimum(missing, (reach - 2) * grid.step / times)
    share = np.clip((np.arange(reach, dtype=np.float32) + 1) / max(reach - 2, 1), 0, 1)
    y[-reach:] -= (share * share * (3 - 2 * share))[:, None] * missing
