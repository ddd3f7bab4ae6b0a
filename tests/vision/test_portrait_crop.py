"""Which part of a picture is shown, and that the landmarks move with it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from livepuppet.engines.landmark.retarget import MODEL
from livepuppet.types import Floats, Image
from livepuppet.vision.portrait_crop import crop_window, fit_portrait


def face(x: float, y: float, width: float) -> Floats:
    return np.asarray(MODEL * width + [x, y, 0])


def marked(width: int, height: int, points: Floats) -> Image:
    """A grey picture with a bright blot on the tip of the nose."""
    image = np.full((height, width, 3), 60, np.uint8)
    cv2.circle(image, (round(points[1, 0]), round(points[1, 1])), max(4, width // 60), (255, 255, 255), -1)
    return image


def blot(image: Image) -> Floats:
    rows, columns = np.nonzero(image[..., 0] > 180)
    return np.array([columns.mean(), rows.mean()])


@pytest.mark.parametrize("size", [None, (1280, 720), (480, 640), (300, 300), (1920, 1080)])
@pytest.mark.parametrize(
    ("width", "height", "place"), [(900, 1200, (450, 400, 260)), (1600, 900, (400, 420, 220)), (2600, 2600, (1300, 900, 800))]
)
def test_landmarks_stay_on_the_face(size: tuple[int, int] | None, width: int, height: int, place: tuple[int, int, int]) -> None:
    points = face(*place)
    image, moved = fit_portrait(marked(width, height, points), points, size)
    assert moved[1, :2] == pytest.approx(blot(image), abs=1.5)
    if size is None:
        assert max(image.shape) <= 1280 and image.shape[1] / image.shape[0] == pytest.approx(width / height, rel=0.01)
    else:
        assert image.shape == (size[1], size[0], 3)


def test_a_small_picture_keeps_its_pixels() -> None:
    points = face(150, 150, 90)
    image = marked(300, 300, points)
    shown, moved = fit_portrait(image, points, None)
    assert np.array_equal(shown, image) and np.array_equal(moved, points)


def test_a_wide_frame_crops_a_wide_picture_and_extends_a_narrow_one() -> None:
    left, top, reach_x, reach_y = crop_window(1600, 900, face(400, 420, 220), 16 / 9)
    assert (left, top) == (0, 0) and (reach_x, reach_y) == pytest.approx((1600, 900))
    left, _, reach_x, reach_y = crop_window(600, 900, face(300, 350, 220), 16 / 9)
    assert left < 0 and reach_x > 600 and reach_y <= 900


def test_a_crop_shows_head_and_shoulders_within_the_picture() -> None:
    points = face(500, 300, 160)
    left, top, reach_x, reach_y = crop_window(1000, 2000, points, 4 / 3)
    assert left >= 0 and top >= 0 and left + reach_x <= 1000 and top + reach_y <= 2000
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    assert left < low[0] and top < low[1] and high[0] < left + reach_x and high[1] + 100 < top + reach_y


def test_beside_a_narrow_picture_it_is_soft() -> None:
    points = face(200, 250, 150)
    noise = np.random.default_rng(4).integers(0, 255, (600, 400, 3)).astype(np.uint8)
    image, _ = fit_portrait(noise, points, (1280, 720))
    assert image[:, :150].std() < 0.4 * image[:, 500:780].std()
