"""The inside of a mouth: cut from the driver, brought under the portrait's light, or made from its palette."""

from __future__ import annotations

import numpy as np
import pytest

from livepuppet.engines.landmark.mouth import (
    LIPS,
    colourfulness,
    cut_mouth,
    draw_interior,
    lip_map,
    match_colours,
    mouth_opening,
    mouth_presence,
    paint_mouth,
    skin_colour,
)
from livepuppet.engines.landmark.retarget import MODEL
from livepuppet.types import Floats

SKIN = np.array([200.0, 150.0, 130.0])
GREY = np.full(3, 150.0)


def face(open_by: float = 0.0, scale: float = 200.0, x: float = 200.0, y: float = 200.0) -> Floats:
    shape = MODEL.copy()
    shape[[95, 88, 178, 87, 14, 317, 402, 318, 324], 1] += open_by
    return np.asarray(shape * scale + [x, y, 0])


def test_the_mouth_is_cut_out_with_its_lips() -> None:
    image = np.random.default_rng(1).integers(0, 255, (480, 480, 3)).astype(np.uint8)
    points = face(0.1)
    cut = cut_mouth(image, points)
    assert cut is not None
    x, y = np.round(cut.lips[0]).astype(int)
    there_x, there_y = np.round(points[LIPS[0], :2]).astype(int)
    assert np.array_equal(cut.pixels[y, x], image[there_y, there_x])


def test_a_mouth_outside_the_picture_is_none() -> None:
    assert cut_mouth(np.zeros((100, 100, 3), np.uint8), face(0.1, x=900.0)) is None


def test_the_skin_is_not_swayed_by_one_odd_patch() -> None:
    image = np.full((480, 480, 3), SKIN, np.uint8)
    x, y = np.round(face()[50, :2]).astype(int)
    image[y - 8 : y + 8, x - 8 : x + 8] = 0
    assert skin_colour(image, face()) == pytest.approx(SKIN, abs=1)


def test_the_same_light_changes_nothing() -> None:
    taken = np.random.default_rng(2).integers(0, 250, (20, 30, 3)).astype(np.uint8)
    assert np.abs(match_colours(taken, SKIN, SKIN) - taken).max() < 1


def test_a_darker_warmer_portrait_darkens_and_warms_the_mouth() -> None:
    teeth = np.full((4, 4, 3), 200, np.uint8)
    out = match_colours(teeth, np.array([180.0, 150, 140]), np.array([110.0, 70, 40])).mean((0, 1))
    assert out.mean() < 160
    assert out[0] > out[1] > out[2]


def test_black_and_white_portraits_get_black_and_white_mouths() -> None:
    tongue = np.full((4, 4, 3), (180, 60, 60), np.uint8)
    assert colourfulness(match_colours(tongue, SKIN, GREY).mean((0, 1))) < 0.2
    assert colourfulness(draw_interior(face(0.15)[LIPS, :2] - [130, 230], (140, 100), GREY).mean((0, 1))) < 0.05
    assert colourfulness(draw_interior(face(0.15)[LIPS, :2] - [130, 230], (140, 100), SKIN).mean((0, 1))) > 0.1


def test_the_driver_s_lips_come_to_lie_on_the_avatar_s() -> None:
    target = face(0.15)[LIPS, :2] - [100, 200]
    source = face(0.08, scale=90.0, x=90.0, y=40.0)[LIPS, :2]
    x, y = lip_map(target, source, (200, 190))
    for at, wanted in zip(target, source, strict=True):
        column, row = np.round(at).astype(int)
        assert abs(x[row, column] - wanted[0]) < 2.5 and abs(y[row, column] - wanted[1]) < 2.5


def test_the_inside_shows_only_where_lips_are_wider_apart_than_in_the_portrait() -> None:
    closed, wide = face(0.0) / 200, face(0.2) / 200
    assert mouth_presence(closed, closed) == 0 and mouth_presence(wide, wide) == 0
    assert mouth_presence(wide, closed) == 1
    assert mouth_opening(wide) > mouth_opening(closed)


@pytest.mark.parametrize("choice", ["driver", "avatar"])
def test_painting_stays_inside_the_lips(choice: str) -> None:
    out = np.full((480, 480, 3), SKIN, np.uint8)
    points = face(0.15)
    driver = cut_mouth(np.full((480, 480, 3), (120, 40, 40), np.uint8), points)
    paint_mouth(out, points, 200.0, SKIN, driver, choice, 1.0)  # type: ignore[arg-type]
    changed = np.argwhere((out != SKIN.astype(np.uint8)).any(2))
    low, high = points[LIPS, 1::-1].min(0) - 6, points[LIPS, 1::-1].max(0) + 6
    assert len(changed) > 500
    assert (changed >= low).all() and (changed <= high).all()


def test_painting_beyond_the_picture_is_harmless() -> None:
    out = np.zeros((100, 100, 3), np.uint8)
    paint_mouth(out, face(0.15, x=900.0), 200.0, SKIN, None, "avatar", 1.0)
    assert not out.any()
