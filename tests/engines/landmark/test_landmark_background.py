"""Behind the person: what is known stays, what is hidden goes on, and a head cut off by the photo is closed."""

from __future__ import annotations

from importlib.resources import files

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from livepuppet.engines.landmark import background
from livepuppet.engines.landmark.background import (
    build_background_plate,
    continue_behind,
    find_strands,
    head_dome,
    person_outline,
    trusted_background,
)
from livepuppet.engines.landmark.raster import build_grid
from livepuppet.types import Image
from livepuppet.vision.inpainting import fill_background
from livepuppet.vision.mediapipe_models import carries_models

STRIPES = np.ascontiguousarray(np.broadcast_to((np.arange(300) // 10 % 2 * 160 + 40).astype(np.uint8)[None, :, None], (240, 300, 3)))


def hole() -> NDArray[np.uint8]:
    mask = np.zeros((240, 300), np.uint8)
    cv2.circle(mask, (150, 130), 60, (1,), -1)
    return mask


def test_what_is_known_is_kept_exactly() -> None:
    for filled in (fill_background(STRIPES, hole()), continue_behind(STRIPES, hole(), 120.0)):
        assert np.array_equal(filled[hole() == 0], STRIPES[hole() == 0])
        assert filled.dtype == np.uint8


def test_a_flat_wall_goes_on_flat() -> None:
    wall = np.full((240, 300, 3), (90, 120, 150), np.uint8)
    assert np.abs(continue_behind(wall, hole(), 120.0).astype(int) - wall).max() <= 1


def test_texture_goes_on_at_the_outline() -> None:
    rim = hole() - cv2.erode(hole(), np.ones((25, 25), np.uint8))
    assert continue_behind(STRIPES, hole(), 120.0)[rim > 0].std() > 1.5 * fill_background(STRIPES, hole())[rim > 0].std()


@pytest.mark.parametrize("mask", [np.zeros((240, 300), np.uint8), np.ones((240, 300), np.uint8)], ids=["nothing", "everything"])
def test_nothing_or_everything_may_be_hidden(mask: NDArray[np.uint8]) -> None:
    filled = continue_behind(STRIPES, mask, 120.0)
    assert filled.shape == STRIPES.shape
    assert np.array_equal(filled, STRIPES) == (not mask.any())


def test_a_head_cut_off_gets_its_cap_and_a_touched_edge_does_not() -> None:
    wide, narrow = np.zeros(200, np.float32), np.zeros(200, np.float32)
    wide[50:150], narrow[95:105] = 1, 1
    cap = head_dome(wide, 100.0)
    assert cap[-1].max() > 0.9 and cap[0].max() == 0
    assert (cap > 0.5).sum(0)[100] > (cap > 0.5).sum(0)[60] > 0, "an arch"
    assert (head_dome(narrow, 100.0) > 0.5).sum() == 0
    assert head_dome(np.zeros(200, np.float32), 100.0).max() == 0


def test_the_outline_takes_in_strands_of_the_same_colour_but_nobody_else() -> None:
    image = np.full((256, 256, 3), 200, np.uint8)
    likely = np.zeros((256, 256), np.float32)
    cv2.ellipse(image, (128, 150), (50, 70), 0, 0, 360, (60, 40, 30), -1)
    cv2.ellipse(likely, (128, 150), (50, 70), 0, 0, 360, (1.0,), -1)
    cv2.ellipse(image, (128, 78), (20, 8), 0, 0, 360, (60, 40, 30), -1)  # a tuft that the model missed
    cv2.circle(likely, (20, 20), 10, (1.0,), -1)  # somebody far away
    hull = np.array([[100, 130], [156, 130], [128, 190]], np.int32)
    person = person_outline(image, likely, hull, 100.0)
    assert person[74, 128] == 1
    assert person[20, 20] == 0
    assert person[150, 30] == 0


def head_with_strands(background: Image) -> tuple[Image, NDArray[np.uint8], NDArray[np.uint8]]:
    """A dark head with three dark strands at its side, the outline that leaves them out, and the strands: all on this background."""
    image, person, hairs = background.copy(), np.zeros(background.shape[:2], np.uint8), np.zeros(background.shape[:2], np.uint8)
    cv2.circle(person, (150, 130), 60, (1,), -1)
    for rise in (-30, 0, 30):
        cv2.line(hairs, (200, 130 + rise // 2), (222, 130 + rise), (1,), 1)
    hairs[person > 0] = 0
    image[(person | hairs) > 0] = (60, 40, 30)
    return image, person, hairs


MIDDLE = np.array([150.0, 130.0])


def test_single_strands_belong_to_the_person() -> None:
    image, person, hairs = head_with_strands(np.full((240, 300, 3), (170, 180, 190), np.uint8))
    cv2.line(image, (40, 20), (60, 20), (60, 40, 30), 1)  # a crack in the wall, far from the head
    found = find_strands(image, person, MIDDLE, 100.0)
    assert found[hairs > 0].mean() > 0.9
    assert found[15:25, 30:70].sum() == 0
    assert found[cv2.dilate(person | hairs, np.ones((7, 7), np.uint8)) == 0].sum() == 0, "nothing but them"
    clean = fill_background(image, person | found)
    assert np.abs(clean[hairs > 0].astype(int) - (170, 180, 190)).max() < 25, "nothing of them stays on the wall"


def test_a_wall_full_of_thin_lines_keeps_them() -> None:
    wall = np.full((240, 300, 3), (170, 180, 190), np.uint8)
    wall[::6] = (80, 60, 50)
    image, person, _ = head_with_strands(wall)
    assert find_strands(image, person, MIDDLE, 100.0).mean() < 0.003


def test_a_wall_of_the_hairs_colour_tells_no_strands() -> None:
    image, person, _ = head_with_strands(np.full((240, 300, 3), (63, 43, 33), np.uint8))
    assert find_strands(image, person, MIDDLE, 100.0).sum() < 40


@pytest.mark.parametrize("value", [0, 1], ids=["nobody", "everything"])
def test_without_an_outline_there_are_no_strands(value: int) -> None:
    assert find_strands(STRIPES, np.full((240, 300), value, np.uint8), MIDDLE, 100.0).sum() == 0


def test_trust_is_the_share_of_the_face_that_was_seen() -> None:
    hull = np.array([[10, 10], [30, 10], [30, 30], [10, 30]], np.int32)
    likely = np.zeros((40, 40), np.float32)
    assert trusted_background(likely, hull) == 0
    likely[:, 20:] = 1
    assert trusted_background(likely, hull) == pytest.approx(0.5, abs=0.06)


@pytest.mark.skipif(not carries_models(), reason="the segmentation model is inside MediaPipe 0.10.21 only")
def test_a_portrait_is_parted_from_its_background() -> None:
    picture = cv2.imread(str(files("livepuppet") / "assets/avatars/chidi.jpg"))
    image: Image = np.asarray(cv2.cvtColor(cv2.resize(np.asarray(picture), (400, 400)), cv2.COLOR_BGR2RGB), np.uint8)
    grid = build_grid(400, 400)
    hull = np.array([[130, 150], [270, 150], [250, 290], [150, 290]], np.int32)
    backdrop = build_background_plate(image, hull, 150.0, grid)
    assert backdrop.person is not None
    middle = backdrop.share[backdrop.above + 100, 100]
    assert middle == 1 and backdrop.share[backdrop.above + 3, 3] == 0
    assert backdrop.matte[200, 200] == 255 and backdrop.matte[5, 5] == 0
    assert np.abs(backdrop.plate[200, 200].astype(int) - image[200, 200]).max() > 30, "the face is gone from the plate"
    assert backdrop.fall == 1.0


@pytest.mark.skipif(not carries_models(), reason="the segmentation model is inside MediaPipe 0.10.21 only")
def test_behind_a_large_portrait_is_what_a_smaller_one_has_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worked out on a reduced copy, laid behind at full size: the known stays exact, the hidden and the person's outline hardly differ."""
    picture = cv2.imread(str(files("livepuppet") / "assets/avatars/chidi.jpg"))
    image: Image = np.asarray(cv2.cvtColor(cv2.resize(np.asarray(picture), (800, 800)), cv2.COLOR_BGR2RGB), np.uint8)
    grid = build_grid(800, 800)
    hull = np.array([[260, 300], [540, 300], [500, 580], [300, 580]], np.int32)
    whole = build_background_plate(image, hull, 300.0, grid)
    monkeypatch.setattr(background, "PLATE_SIDE_PX", 400)
    reduced = build_background_plate(image, hull, 300.0, grid)
    assert whole.person is not None and reduced.person is not None
    assert reduced.plate.shape == image.shape and reduced.above == whole.above
    same_person = reduced.share.shape == whole.share.shape
    assert same_person and np.abs(reduced.share - whole.share).mean() < 0.02
    assert np.abs(reduced.matte.astype(int) - whole.matte).mean() < 5
    assert np.abs(reduced.plate.astype(int) - whole.plate).mean() < 4
    wall = np.s_[20:200, 20:120]
    assert np.array_equal(reduced.plate[wall], image[wall])
