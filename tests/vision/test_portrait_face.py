"""Which face of a portrait moves, and that it is upright."""

from __future__ import annotations

import logging

import cv2
import numpy as np
import pytest

from livepuppet.errors import NoFaceError, UsageError
from livepuppet.types import Image
from livepuppet.vision.orientation import turned
from livepuppet.vision.portrait import ASSETS, load_portrait
from livepuppet.vision.portrait_face import find_portrait_face


@pytest.fixture(scope="module")
def couple() -> Image:
    """Bruno, small, on the left; Dara on the right."""
    image = np.full((500, 900, 3), 120, np.uint8)
    for name, side, left in (("bruno", 300, 20), ("dara", 480, 400)):
        image[10 : 10 + side, left : left + side] = cv2.resize(load_portrait(ASSETS / f"avatars/{name}.jpg"), (side, side))
    return image


def test_the_largest_face_moves_or_the_one_that_is_asked_for(couple: Image, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "livepuppet"):
        image, largest = find_portrait_face(couple)
    assert image is couple and largest[:, 0].mean() > 450
    assert "2 faces" in caplog.text and caplog.records[-1].__dict__["parameter"] == "avatar_face"
    assert np.array_equal(find_portrait_face(couple, 1)[1], largest)
    assert find_portrait_face(couple, 2)[1][:, 0].mean() < 320
    with pytest.raises(UsageError, match="no face 3") as caught:
        find_portrait_face(couple, 3)
    assert caught.value.parameter == "avatar_face"


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_portrait_that_lies_or_hangs_is_turned_and_it_is_said(quarters: int, caplog: pytest.LogCaptureFixture) -> None:
    portrait = load_portrait(ASSETS / "avatars/ada.jpg", 480)
    with caplog.at_level(logging.INFO, "livepuppet"):
        image, landmarks = find_portrait_face(turned(portrait, quarters))
    assert np.array_equal(image, portrait) and landmarks[152, 1] > landmarks[10, 1]
    assert sum("turned by" in record.getMessage() for record in caplog.records) == 1


def test_nobody_in_the_portrait() -> None:
    with pytest.raises(NoFaceError, match="no face found"):
        find_portrait_face(np.full((300, 300, 3), 90, np.uint8))
