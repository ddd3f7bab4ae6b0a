"""The z-buffer and the subdivision against what geometry says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from livepuppet.synthetic import raster
from livepuppet.synthetic.raster import depth_map, rasterize
from livepuppet.synthetic.subdivision import catmull_clark

SQUARE = torch.tensor([[0, 1, 2], [0, 2, 3]])


def square(left: float, top: float, right: float, bottom: float, depth: float = 1.0) -> torch.Tensor:
    return torch.tensor([[left, top, depth], [right, top, depth], [right, bottom, depth], [left, bottom, depth]])


def test_a_rectangle_covers_exactly_the_pixels_whose_centres_lie_inside() -> None:
    seen = rasterize(square(2.6, 1.2, 7.4, 4.6), SQUARE, 8, 10)
    covered = torch.zeros(8, 10, dtype=torch.bool)
    covered.view(-1)[seen.pixel] = True
    expected = torch.zeros(8, 10, dtype=torch.bool)
    expected[1:5, 3:7] = True  # centres 1.5 … 4.5 and 3.5 … 6.5
    assert torch.equal(covered, expected)


def test_two_triangles_of_one_square_leave_no_gap_and_no_overlap() -> None:
    generator = torch.Generator().manual_seed(3)
    points = torch.cat([torch.rand(60, 2, generator=generator) * 40, torch.rand(60, 1, generator=generator) + 1], 1)
    triangles = torch.randint(0, 60, (80, 3), generator=generator)
    triangles = triangles[
        (triangles[:, 0] != triangles[:, 1]) & (triangles[:, 1] != triangles[:, 2]) & (triangles[:, 0] != triangles[:, 2])
    ]
    seen = rasterize(points, triangles, 40, 40)
    assert len(torch.unique(seen.pixel)) == len(seen.pixel)
    assert float(seen.weights.min()) > -1e-4
    x = seen.at(torch.cat([points[:, :2] / points[:, 2:], 1 / points[:, 2:]], 1), triangles)
    assert torch.isfinite(x).all()


def test_the_nearest_surface_wins_whatever_the_order() -> None:
    points = torch.cat([square(0, 0, 8, 8, 2.0), square(2, 2, 6, 6, 1.0)])
    front, back = SQUARE + 4, SQUARE
    for triangles, front_ids in ((torch.cat([back, front]), {2, 3}), (torch.cat([front, back]), {0, 1})):
        seen = rasterize(points, triangles, 8, 8)
        picture = torch.full((64,), -1)
        picture[seen.pixel] = seen.triangle
        assert set(picture.view(8, 8)[2:6, 2:6].flatten().tolist()) <= front_ids
        assert not set(picture.view(8, 8)[0].tolist()) & front_ids
        depth = depth_map(seen, 8, 8)
        assert depth[3, 3] == pytest.approx(1.0) and depth[0, 0] == pytest.approx(2.0)


def test_weights_are_those_on_the_surface_and_not_on_the_screen() -> None:
    """A plane that leans away, seen by a pinhole: interpolated world positions must project back to the pixel they were seen at."""
    world = torch.tensor([[-1.0, -1, 2], [1, -1, 6], [1, 1, 6], [-1, 1, 2]])
    screen = torch.cat([16 + 20 * world[:, :2] / world[:, 2:], world[:, 2:]], 1)
    seen = rasterize(screen, SQUARE, 32, 32)
    place = seen.at(world, SQUARE)
    again = 16 + 20 * place[:, :2] / place[:, 2:]
    pixel = torch.stack([seen.pixel % 32 + 0.5, seen.pixel // 32 + 0.5], 1)
    assert len(seen.pixel) > 100
    assert (again - pixel).abs().max() < 1e-3
    assert (seen.depth - place[:, 2]).abs().max() < 1e-3


def test_holes_and_backs() -> None:
    points = square(0, 0, 8, 8)
    none = rasterize(points, SQUARE, 8, 8, one_sided=torch.tensor([True, True]))
    both = rasterize(points, SQUARE.flip(1), 8, 8, one_sided=torch.tensor([True, True]))
    assert len(none.pixel) == 0 and len(both.pixel) == 64
    half = rasterize(points, SQUARE, 8, 8, keep=lambda triangle, weights: triangle == 0)
    assert 0 < len(half.pixel) < 64 and set(half.triangle.tolist()) == {0}


def test_cutting_the_work_in_pieces_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(1)
    points = torch.cat([torch.rand(90, 2, generator=generator) * 64, torch.rand(90, 1, generator=generator) + 1], 1)
    triangles = torch.arange(90).view(30, 3)
    whole = rasterize(points, triangles, 64, 64)
    monkeypatch.setattr(raster, "FRAGMENTS_AT_ONCE", 300)
    pieces = rasterize(points, triangles, 64, 64)
    assert torch.equal(whole.pixel, pieces.pixel) and torch.equal(whole.triangle, pieces.triangle)


def test_nothing_to_draw() -> None:
    seen = rasterize(square(20, 20, 30, 30), SQUARE, 8, 8)
    assert len(seen.pixel) == 0
    assert (depth_map(seen, 8, 8, far=7.0) == 7.0).all()


CUBE = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])


def test_a_cube_subdivides_as_catmull_and_clark_say() -> None:
    corners = torch.tensor([[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)], dtype=torch.float64)
    matrix, quads = catmull_clark(CUBE, 8)
    points = torch.sparse.mm(matrix, corners)
    assert points.shape == (8 + 12 + 6, 3) and quads.shape == (24, 4)
    assert torch.allclose(points[:8], corners * 5 / 9)  # (face mean 1/3 + 2 * edge mean 2/3 + 0) / 3
    assert torch.allclose(points[8:20].abs().sort(1).values, torch.tensor([0.0, 0.75, 0.75], dtype=torch.float64).expand(12, 3))
    assert torch.allclose(points[20:].abs().sum(1), torch.ones(6, dtype=torch.float64))
    assert torch.allclose(matrix.to_dense().sum(1), torch.ones(26, dtype=torch.float64))
    directed = {(int(q[i]), int(q[(i + 1) % 4])) for q in quads for i in range(4)}
    assert len(directed) == 96 and all((b, a) in directed for a, b in directed)  # closed, and all faces turn the same way


def test_an_open_border_stays_a_border() -> None:
    grid = torch.tensor([[x, y, 0.0] for y in range(3) for x in range(3)], dtype=torch.float64)
    quads = np.array([[0, 1, 4, 3], [1, 2, 5, 4], [3, 4, 7, 6], [4, 5, 8, 7]])
    points = torch.sparse.mm(catmull_clark(quads, 9)[0], grid)
    assert torch.allclose(points[1], grid[1]) and torch.allclose(points[4], grid[4])  # middle of a straight border; centre
    assert float(points[:, :2].min()) >= 0 and float(points[:, :2].max()) <= 2
    assert torch.allclose(points[0], torch.tensor([0.125, 0.125, 0.0], dtype=torch.float64))  # a corner rounds off: (6 c + n0 + n1) / 8
