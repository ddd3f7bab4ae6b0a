"""A z-buffer in plain PyTorch: the same code on CPU and CUDA, no custom kernel, no OpenGL.

Triangles are cut into one span per pixel row, spans into fragments (both by repeat_interleave); the nearest fragment of a pixel wins by one
scatter-min over (depth, triangle), so that the outcome does not depend on the order of execution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

DEPTH_STEPS = 2**20
"""Depth is compared in steps of 1 / DEPTH_STEPS of the unit of depth."""
TRIANGLE_BITS = 25
FRAGMENTS_AT_ONCE = 2_000_000
"""Bounds the memory: about 100 bytes per fragment."""

Keep = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Fragments:
    """What is seen: one entry per pixel that shows a surface.

    Attributes:
        pixel: int64 (N,), row * width + column, ascending.
        triangle: int64 (N,).
        weights: (N, 3), perspective-correct barycentric coordinates.
        depth: (N,).
    """

    pixel: Tensor
    triangle: Tensor
    weights: Tensor
    depth: Tensor

    def mix(self, corners: Tensor) -> Tensor:
        """Interpolate corner values (T, 3, C) -> (N, C)."""
        return (corners[self.triangle] * self.weights[..., None]).sum(1)

    def at(self, values: Tensor, triangles: Tensor) -> Tensor:
        """Interpolate vertex values (V, C) of the mesh `triangles` (T, 3) -> (N, C)."""
        return (values[triangles[self.triangle]] * self.weights[..., None]).sum(1)

    def chosen(self, which: Tensor) -> Fragments:
        return Fragments(self.pixel[which], self.triangle[which], self.weights[which], self.depth[which])


def edge_weights(corners: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Screen-space barycentric coordinates (N, 3) of points (N,) in triangles (N, 3, 2+)."""
    ax, ay, bx, by, cx, cy = (corners[:, i, j] for i in range(3) for j in range(2))
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    first = (bx - x) * (cy - y) - (by - y) * (cx - x)
    second = (cx - x) * (ay - y) - (cy - y) * (ax - x)
    return torch.stack([first, second, area - first - second], -1) / area[:, None]


def rasterize(
    points: Tensor,
    triangles: Tensor,
    height: int,
    width: int,
    *,
    one_sided: Tensor | None = None,
    keep: Keep | None = None,
) -> Fragments:
    """The visible fragments of one picture.

    Args:
        points: (V, 3), x and y in pixels, depth > 0 (smaller is nearer).
        triangles: (T, 3).
        one_sided: bool (T,), drop where seen from behind.
        keep: (triangle (N,), weights (N, 3)) -> bool (N,), lets holes be cut (strands of hair).
    """
    device = points.device
    corner = points[triangles]
    x, y, z = corner.unbind(-1)
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    top = (y.amin(-1) - 0.5).ceil().clamp(0, height)
    bottom = (y.amax(-1) - 0.5).floor().clamp(-1, height - 1)
    usable = (bottom >= top) & (z.amin(-1) > 1e-3) & (area.abs() > 1e-9) & (x.amax(-1) > 0) & (x.amin(-1) < width)
    if one_sided is not None:
        usable &= (area < 0) | ~one_sided  # y points down, so an outward face has negative area
    index = usable.nonzero()[:, 0]
    rows = (bottom - top + 1)[index].long()
    owner = torch.repeat_interleave(index, rows)
    first = torch.repeat_interleave(top[index].long() - (rows.cumsum(0) - rows), rows)
    row = first + torch.arange(len(owner), device=device)
    left, right = row_span(x[owner], y[owner], row + 0.5)
    start = (left - 0.5).ceil().clamp(0, width).long()
    length = ((right - 0.5).floor().clamp(-1, width - 1).long() - start + 1).clamp(min=0)

    empty = torch.iinfo(torch.int64).max
    nearest = torch.full((height * width,), empty, dtype=torch.int64, device=device)
    for part in chunks(length):
        count = length[part]
        span = torch.repeat_interleave(torch.arange(len(count), device=device), count)
        within = torch.arange(len(span), device=device) - torch.repeat_interleave(count.cumsum(0) - count, count)
        column, line, triangle = start[part][span] + within, row[part][span], owner[part][span]
        weights = edge_weights(corner[triangle], column + 0.5, line + 0.5)
        inverse = (weights / z[triangle]).sum(-1).clamp(min=1e-6)
        pixel = line * width + column
        if keep is not None:
            kept = keep(triangle, perspective(weights, z[triangle])).nonzero()[:, 0]
            inverse, pixel, triangle = inverse[kept], pixel[kept], triangle[kept]
        key = ((DEPTH_STEPS / inverse).long().clamp(0, 2 ** (62 - TRIANGLE_BITS)) << TRIANGLE_BITS) | triangle
        nearest.scatter_reduce_(0, pixel, key, "amin")

    pixel = (nearest != empty).nonzero()[:, 0]
    triangle = nearest[pixel] & (2**TRIANGLE_BITS - 1)
    weights = edge_weights(corner[triangle], pixel % width + 0.5, pixel // width + 0.5)
    depth = 1 / (weights / z[triangle]).sum(-1).clamp(min=1e-6)
    return Fragments(pixel, triangle, perspective(weights, z[triangle]), depth)


def perspective(weights: Tensor, depth: Tensor) -> Tensor:
    """Screen-space weights -> weights on the surface."""
    true = weights / depth
    return true / true.sum(-1, keepdim=True)


def row_span(x: Tensor, y: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """Where the horizontal line `at` (R,) enters and leaves each triangle with corners x, y (R, 3); an empty span has left > right."""
    left, right = torch.full_like(at, 1e9), torch.full_like(at, -1e9)
    for i in range(3):
        j = (i + 1) % 3
        crosses = (y[:, i] <= at) != (y[:, j] <= at)
        rise = torch.where(crosses, y[:, j] - y[:, i], torch.ones_like(at))
        where = x[:, i] + (at - y[:, i]) * (x[:, j] - x[:, i]) / rise
        left = torch.where(crosses, torch.minimum(left, where), left)
        right = torch.where(crosses, torch.maximum(right, where), right)
    return left, right


def chunks(length: Tensor) -> list[slice]:
    """Slices of the spans that hold at most about FRAGMENTS_AT_ONCE fragments each."""
    if not len(length):
        return []
    total = length.cumsum(0)
    pieces = int(total[-1]) // FRAGMENTS_AT_ONCE + 1
    marks = torch.arange(1, pieces, device=length.device) * FRAGMENTS_AT_ONCE
    cuts = [0, *torch.searchsorted(total, marks).tolist(), len(length)]
    return [slice(a, b) for a, b in pairwise(cuts) if b > a]


def depth_map(fragments: Fragments, height: int, width: int, *, far: float = 1e4) -> Tensor:
    """Depth of the nearest surface, (height, width); `far` where there is none."""
    out = torch.full((height * width,), far, device=fragments.depth.device)
    out[fragments.pixel] = fragments.depth
    return out.view(height, width)
