"""All faces of an image are found, large and small, on every Python; and it is known which way up they are."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from livepuppet.types import Image
from livepuppet.vision.face_detection import DetectedFace, FaceDetector, distant_faces, same_place, tiles
from livepuppet.vision.orientation import quarters_to_upright, turned
from livepuppet.vision.portrait import ASSETS, load_portrait

AVATARS = ASSETS / "avatars"


def crowd(sides: list[int], width: int = 640, height: int = 360) -> Image:
    """Portraits of these sides in a grey room, a hundred columns apart."""
    image = np.full((height, width, 3), 110, np.uint8)
    for k, (side, name) in enumerate(zip(sides, ("ada", "bruno", "chidi", "dara", "elin"), strict=False)):
        part = load_portrait(AVATARS / f"{name}.jpg", 400)
        left, top = 20 + 120 * k, 60 + 40 * (k % 2)
        image[top : top + side, left : left + side] = cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA)
    return image


@pytest.mark.parametrize("sides", [[110, 110, 110, 110, 110], [100, 120, 110]])
def test_everybody_is_found_and_nobody_else(sides: list[int]) -> None:
    with FaceDetector(distant=True) as detector:
        found = detector(crowd(sides))
    assert len(found) == len(sides)
    for k, face in enumerate(sorted(found, key=lambda face: face.x)):
        assert abs(face.x - (20 + 120 * k + sides[k] / 2)) < 0.15 * sides[k]
        assert 0.25 * sides[k] < face.side < 0.65 * sides[k] and abs(face.roll) < 0.5


def test_an_empty_room_has_no_faces() -> None:
    with FaceDetector(distant=True) as detector:
        assert detector(crowd([])) == []
    assert distant_faces(crowd([])) == []


def test_windows_round_distant_faces_show_them() -> None:
    (left, top, side), *more = distant_faces(crowd([90]))
    assert not more and left < 45 and left + side > 90 and top < 90 and top + side > 120


@pytest.mark.parametrize("size", [(640, 360), (360, 640), (480, 480), (1920, 1080), (90, 700)])
def test_squares_cover_the_image(size: tuple[int, int]) -> None:
    width, height = size
    covered = np.zeros((height, width), int)
    for left, top, side in tiles(width, height):
        assert left >= 0 and top >= 0 and left + side <= width and top + side <= height
        covered[top : top + side, left : left + side] += 1
    assert covered.min() >= 1


def test_boxes_of_one_face_are_one() -> None:
    points = np.zeros((4, 2))
    assert same_place(DetectedFace(10, 10, 20, 0.9, points), DetectedFace(15, 12, 24, 0.7, points))
    assert not same_place(DetectedFace(10, 10, 20, 0.9, points), DetectedFace(25, 10, 20, 0.7, points))
    moved = DetectedFace(10, 20, 4, 0.5, points + 1).moved(2.0, 100, 200)
    assert (moved.x, moved.y, moved.side) == (120, 240, 8) and np.allclose(moved.points, [102, 202])


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
@pytest.mark.parametrize("name", ["ada", "chidi", "dara", "bruno"])
def test_faces_that_lie_or_hang_are_turned_upright(name: str, quarters: int) -> None:
    portrait = load_portrait(AVATARS / f"{name}.jpg", 480)
    assert quarters_to_upright([turned(portrait, quarters)]) == -quarters % 4
    assert turned(portrait, 0) is portrait


@pytest.mark.parametrize("degrees", [-30, 20, 30])
def test_a_tilted_head_is_upright(degrees: int) -> None:
    portrait = load_portrait(AVATARS / "ada.jpg", 480)
    matrix = cv2.getRotationMatrix2D((portrait.shape[1] / 2, portrait.shape[0] / 2), degrees, 1.0)
    tilted = cv2.warpAffine(portrait, matrix, portrait.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    assert quarters_to_upright([np.asarray(tilted, np.uint8)]) == 0


def test_an_image_without_a_face_stays_as_it_is() -> None:
    assert quarters_to_upright([crowd([])]) == 0 and quarters_to_upright([]) == 0
