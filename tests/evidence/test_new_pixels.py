"""New pixels: a warped still has none, a face on which the light changes has some, and one that hardly moves tells nothing."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from livepuppet.evidence.new_pixels import LEAST_PAIRS, measure_new_pixels
from livepuppet.evidence.texture import SIDE_PX, FaceLayout, Texture
from livepuppet.vision.face_landmarks import Landmarks


@pytest.fixture(scope="module")
def layout() -> FaceLayout:
    return FaceLayout()


@pytest.fixture(scope="module")
def face(layout: FaceLayout) -> NDArray[np.float32]:
    """A face with pores and a soft shade, in the layout."""
    rng = np.random.default_rng(0)
    pores = cv2.GaussianBlur(rng.normal(0, 30, (SIDE_PX, SIDE_PX)).astype(np.float32), (0, 0), 2.0)
    shade = np.linspace(-25, 25, SIDE_PX, dtype=np.float32)[None]
    return np.where(layout.covered, 130 + pores + shade, 0).astype(np.float32)


def moving_shape(layout: FaceLayout, number: int) -> Landmarks:
    """The layout's own points with a smile that comes and goes."""
    points = np.concatenate([layout.points, np.zeros((478, 1))], 1)
    low = points[:, 1] > SIDE_PX * 0.6
    points[low, 0] += 6 * np.sin(number) * np.sign(points[low, 0] - SIDE_PX / 2)
    return np.asarray(points, dtype=np.float64)


def film(
    face: NDArray[np.float32], layout: FaceLayout, *, light: float, noise: float = 2.0, frames: int = 24
) -> list[tuple[int, Texture, Texture]]:
    """Frames two by two: the still shaken by a pixel, as landmarks are, noisy, and lit more from one side and then from the other."""
    rng = np.random.default_rng(1)
    across = np.linspace(-1, 1, SIDE_PX, dtype=np.float32)[None]

    def frame(number: int) -> Texture:
        shift = np.array([[1, 0, rng.normal(0, 0.7)], [0, 1, rng.normal(0, 0.7)]], dtype=np.float32)
        lit = face * (1 + light * np.sin(number / 3) * across)
        seen = cv2.warpAffine(lit, shift, (SIDE_PX, SIDE_PX)) + rng.normal(0, noise, face.shape)
        return np.where(layout.covered, np.clip(seen, 0, 255), 0).astype(np.uint8)

    return [(2 * i, frame(i), frame(i)) for i in range(frames)]


def test_a_warped_still_shows_nothing_new_and_changing_light_does(face: NDArray[np.float32], layout: FaceLayout) -> None:
    shapes = [moving_shape(layout, i) for i in range(60)]
    still = measure_new_pixels(film(face, layout, light=0.0), shapes, layout)
    lit = measure_new_pixels(film(face, layout, light=0.05), shapes, layout)
    assert still is not None and lit is not None
    assert still.change < 0.5
    assert lit.change > 3 * still.change
    assert 0.7 < lit.change < 2.0, "percent: a twentieth from side to side, seen over the middle of the face"


def test_noise_of_the_recording_is_not_taken_for_new_pixels(face: NDArray[np.float32], layout: FaceLayout) -> None:
    shapes = [moving_shape(layout, i) for i in range(60)]
    quiet, noisy = (measure_new_pixels(film(face, layout, light=0.0, noise=level), shapes, layout) for level in (0.5, 8.0))
    assert quiet is not None and noisy is not None
    assert noisy.noise > quiet.noise
    assert noisy.change < 0.6


def test_exposure_of_the_whole_face_is_not_new(face: NDArray[np.float32], layout: FaceLayout) -> None:
    shapes = [moving_shape(layout, i) for i in range(60)]
    pairs = [
        (number, *(np.clip(texture * gain, 0, 255).astype(np.uint8) for texture in two))
        for gain, (number, *two) in zip(np.linspace(0.8, 1.2, 24), film(face, layout, light=0.0), strict=True)
    ]
    exposed = measure_new_pixels(pairs, shapes, layout)
    assert exposed is not None and exposed.change < 1.0


def test_too_little_to_tell(face: NDArray[np.float32], layout: FaceLayout) -> None:
    pairs = film(face, layout, light=0.05)
    shapes = [moving_shape(layout, i) for i in range(60)]
    assert measure_new_pixels(pairs[: LEAST_PAIRS - 1], shapes, layout) is None
    assert measure_new_pixels(pairs, [shapes[0]] * 60, layout) is None, "a face that does not move"
