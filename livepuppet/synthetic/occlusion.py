"""How much of the sky each point of the resting head sees: baked once, by looking at it from many sides."""

from __future__ import annotations

import torch
from torch import Tensor

from livepuppet.synthetic.raster import depth_map, rasterize

DIRECTIONS = 80
RESOLUTION = 192
CENTRE = (0.0, 6.6, 0.2)
RADIUS = 3.3
SLACK = 0.06
FAR = 20.0


def vertex_normals(points: Tensor, triangles: Tensor) -> Tensor:
    """Area-weighted unit normals: (V, 3), (T, 3) -> (V, 3)."""
    a, b, c = (points[triangles[:, i]] for i in range(3))
    face = torch.linalg.cross(b - a, c - a)
    out = torch.zeros_like(points)
    for i in range(3):
        out.index_add_(0, triangles[:, i], face)
    return torch.nn.functional.normalize(out, dim=-1)


def basis(direction: Tensor) -> tuple[Tensor, Tensor]:
    """Two unit vectors square to a unit direction and to each other."""
    helper = torch.tensor([0.0, 1.0, 0.0] if abs(float(direction[1])) < 0.9 else [1.0, 0.0, 0.0], device=direction.device)
    across = torch.nn.functional.normalize(torch.linalg.cross(helper, direction), dim=0)
    return across, torch.linalg.cross(direction, across)


def from_afar(points: Tensor, direction: Tensor, radius: float, resolution: int) -> Tensor:
    """Orthographic view from `direction`: (V, 3) around the origin -> (V, 3) pixels and depth."""
    across, up = basis(direction)
    scale = resolution / (2 * radius)
    return torch.stack([points @ across * scale + resolution / 2, points @ up * scale + resolution / 2, FAR - points @ direction], -1)


def bake_occlusion(points: Tensor, solid: Tensor, triangles: Tensor) -> Tensor:
    """Cosine-weighted share of the directions from which each vertex is seen, (V,) in 0 … 1.

    Args:
        points: (V, 3).
        solid: triangles that hide others.
        triangles: those that give the normals.
    """
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(DIRECTIONS, 3, generator=generator), dim=-1).to(points.device)
    normals = vertex_normals(points, triangles)
    centred = points - torch.tensor(CENTRE, device=points.device)
    seen, total = torch.zeros(len(points), device=points.device), torch.zeros(len(points), device=points.device)
    for direction in directions:
        view = from_afar(centred, direction, RADIUS, RESOLUTION)
        nearest = depth_map(rasterize(view, solid, RESOLUTION, RESOLUTION), RESOLUTION, RESOLUTION)
        column, row = (view[:, i].long().clamp(0, RESOLUTION - 1) for i in range(2))
        weight = (normals @ direction).clamp(min=0)
        seen += weight * (view[:, 2] < nearest[row, column] + SLACK)
        total += weight
    return (seen / total.clamp(min=1e-3)).clamp(0, 1)
