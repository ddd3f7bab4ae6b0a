"""Triangles become maps: what stays stays exactly, what moves moves by the known amount, and only the outline is blended."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from livepuppet.engines.landmark.raster import (
    Grid,
    affines,
    areas,
    build_grid,
    compose_map,
    enlarge_map,
    sample_affines,
    soften_map,
    stretch_to_edge,
    tile_extremes,
    to_grid,
    triangle_ids,
)
from livepuppet.types import Floats, Image

SQUARE = np.array([[40.0, 30, 0], [200, 30, 0], [200, 150, 0], [40, 150, 0]])
TRIANGLES = np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32)


def picture(width: int, height: int) -> Image:
    return np.random.default_rng(5).integers(0, 255, (height, width, 3)).astype(np.uint8)


def maps(posed: Floats, grid: Grid) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
    upright = np.sign(areas(SQUARE[TRIANGLES]))
    ids = triangle_ids(posed, TRIANGLES, upright, [], grid)
    x, y = sample_affines(ids, affines(posed, SQUARE, TRIANGLES), grid)
    return x, y, ids


@pytest.mark.parametrize("size", [(240, 180), (241, 179), (1024, 500)])
def test_a_net_at_rest_maps_every_pixel_to_itself(size: tuple[int, int]) -> None:
    grid = build_grid(*size)
    x, y, _ = maps(SQUARE, grid)
    full = enlarge_map(soften_map(x), grid), enlarge_map(soften_map(y), grid)
    at = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
    assert np.abs(full[0] - at[1]).max() < 0.01 and np.abs(full[1] - at[0]).max() < 0.01


def test_a_moved_net_maps_back_by_its_motion() -> None:
    grid = build_grid(240, 180)
    x, y, ids = maps(SQUARE + np.array([7.0, -4.0, 0.0]), grid)
    inside = ids < len(TRIANGLES)
    assert np.allclose((grid.x - x)[inside], 7, atol=1e-3) and np.allclose((grid.y - y)[inside], -4, atol=1e-3)
    assert np.array_equal(x[~inside], grid.x[~inside])


def test_near_triangles_cover_far_ones_and_hidden_ones_are_left_out() -> None:
    grid = build_grid(240, 180)
    points = np.concatenate([SQUARE[:3], SQUARE[:3] + np.array([0.0, 0.0, 50.0])])
    triangles = np.array([[3, 4, 5], [0, 1, 2]], dtype=np.int32)
    upright = np.sign(areas(points[triangles]))
    assert set(np.unique(triangle_ids(points, triangles, upright, [], grid))) == {1, 2}
    assert set(np.unique(triangle_ids(points, triangles, upright, [range(1, 2)], grid))) == {0, 2}


def test_slivers_and_what_lies_outside_are_not_drawn() -> None:
    grid = build_grid(240, 180)
    flat = np.array([[40.0, 30, 0], [200, 30, 0], [120, 30.001, 0], [900, 900, 0], [950, 900, 0], [900, 950, 0]])
    triangles = np.array([[0, 1, 2], [3, 4, 5]], dtype=np.int32)
    assert (triangle_ids(flat, triangles, np.ones(2), [], grid) == 2).all()


def test_places_on_the_grid_are_its_own_indices() -> None:
    grid = build_grid(300, 200)
    across, down = to_grid(grid.x, grid.y, grid)
    assert np.array_equal(across[0], np.arange(grid.x.shape[1])) and np.array_equal(down[:, 0], np.arange(grid.x.shape[0]))


@pytest.mark.parametrize("size", [(400, 300), (411, 307)])
def test_parts_of_a_picture_are_those_of_the_whole(size: tuple[int, int]) -> None:
    grid = build_grid(*size)
    values = np.random.default_rng(1).random(grid.x.shape).astype(np.float32)
    whole = enlarge_map(values, grid)
    assert whole.shape == size[::-1]
    part = enlarge_map(values, grid, slice(20, 60), slice(10, 999))
    assert np.allclose(part, whole[20 * grid.step : 60 * grid.step, 10 * grid.step :], atol=1e-5)


@pytest.mark.parametrize("size", [(400, 300), (411, 307)])
def test_composing_tiles_equals_blending_everything(size: tuple[int, int]) -> None:
    grid = build_grid(*size)
    image, plate = picture(*size), picture(*size)[::-1].copy()
    x, y = np.meshgrid(np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32))
    alpha = np.clip((110 - np.hypot(x - size[0] / 2, y - size[1] / 2)) / 20, 0, 1)
    matte = np.rint(alpha * 255).astype(np.uint8)
    share = np.clip((110 - np.hypot(grid.x - size[0] / 2, grid.y - size[1] / 2)) / 20, 0, 1).astype(np.float32)
    out = compose_map(image, matte, grid.x, grid.y, share, plate, grid).astype(int)
    expected = image * alpha[..., None] + plate * (1 - alpha[..., None])
    assert np.abs(out - expected).max() <= 2.5
    assert np.array_equal(out[:20], plate[:20])


def test_above_the_picture_only_the_share_counts() -> None:
    grid = build_grid(200, 100)
    image, plate = picture(200, 100), picture(200, 100)[::-1].copy()
    share = np.where(grid.y < 10, np.float32(0), np.float32(1))
    out = compose_map(image, np.full((100, 200), 255, np.uint8), grid.x, grid.y - 20, share, plate, grid)
    assert np.array_equal(out[:8], plate[:8]), "nothing of the mirrored head above it"
    assert np.abs(out[25:95].astype(int) - image[5:75]).max() <= 1


def test_without_a_person_there_is_only_the_plate() -> None:
    grid = build_grid(200, 100)
    image, plate = picture(200, 100), picture(200, 100)[::-1].copy()
    matte = np.zeros((100, 200), np.uint8)
    assert np.array_equal(compose_map(image, matte, grid.x, grid.y, np.zeros(grid.x.shape, np.float32), plate, grid), plate)


def test_the_extremes_of_a_tile_see_its_neighbours() -> None:
    share = np.zeros((18, 18), np.float32)
    share[9, 9] = 1
    most, least = tile_extremes(share, 8)
    assert most.shape == (2, 2) and least.max() == 0
    assert most[0, 0] == 1 and most[1, 1] == 1, "the place lies at the corner of all four"


@pytest.mark.parametrize("shift", [2, 14])
def test_a_picture_that_moves_up_from_the_lower_edge_is_drawn_out_to_it(shift: int) -> None:
    grid = build_grid(400, 300)
    y = grid.y + np.float32(shift)
    stretch_to_edge(y, grid)
    inner = enlarge_map(y, grid)
    assert inner.max() <= 300 and np.diff(inner, axis=0).min() > 0.2, "it reaches the edge and nothing folds over"
    assert inner[150, 200] == pytest.approx(150 + shift, abs=0.1)


def test_a_picture_that_moves_down_is_left_alone() -> None:
    grid = build_grid(400, 300)
    y = grid.y - np.float32(9)
    stretch_to_edge(y, grid)
    assert np.array_equal(y, grid.y - np.float32(9))
