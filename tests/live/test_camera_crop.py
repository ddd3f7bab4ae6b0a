"""Geometry: the camera crop stays inside, keeps the shape, and costs nothing at rest."""

from __future__ import annotations

import numpy as np
import pytest

from livepuppet.live.camera_crop import CameraCrop


@pytest.mark.parametrize("zoom", [1.0, 1.3, 4.0])
@pytest.mark.parametrize("x", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("size", [(640, 480), (641, 359), (3, 2)])
def test_the_crop_lies_inside_and_keeps_the_shape(zoom: float, x: float, size: tuple[int, int]) -> None:
    x0, y0, x1, y1 = CameraCrop(zoom, x, -x).box(size)
    assert 0 <= x0 < x1 <= size[0] and 0 <= y0 < y1 <= size[1]
    assert abs((x1 - x0) / size[0] - (y1 - y0) / size[1]) <= 1 / min(size)


def test_no_zoom_is_the_same_array() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    assert CameraCrop(1.0, 1.0, 1.0).cut(image) is image


def test_cut_takes_the_marked_corner() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    image[:50, 100:] = 255
    assert CameraCrop(2.0, 1.0, -1.0).cut(image).min() == 255
