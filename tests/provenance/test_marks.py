"""What every finished frame goes through: label and mark, in any combination, never in place."""

from __future__ import annotations

import numpy as np
import pytest

from livepuppet.errors import UsageError
from livepuppet.provenance.label import CORNERS, DEFAULT_TEXT, Corner, draw_label
from livepuppet.provenance.marks import Mark
from livepuppet.provenance.watermark.reader import Reader

GREY = np.full((480, 640, 3), 128, np.uint8)


def changed(corner: Corner = "bottom-right", text: str = DEFAULT_TEXT) -> tuple[float, float, float]:
    """Middle row and column of what the label covers, and the part of the picture it covers."""
    covered = (draw_label(GREY, text, corner) != GREY).any(2)
    rows, columns = np.nonzero(covered)
    return float(rows.mean()), float(columns.mean()), float(covered.mean())


@pytest.mark.parametrize("corner", CORNERS)
def test_label_is_small_and_where_it_was_asked_for(corner: Corner) -> None:
    row, column, part = changed(corner)
    assert (row < 240) == corner.startswith("top") and (column < 320) == corner.endswith("left")
    assert 0.002 < part < 0.03


def test_letters_are_bright_on_a_dark_strip() -> None:
    for ground in (0, 128, 255):
        labelled = draw_label(np.full((720, 1280, 3), ground, np.uint8), DEFAULT_TEXT)
        corner = labelled[-40:, -250:]
        assert corner.max() > 220 and (corner < 130).mean() > 0.2


def test_a_long_label_fits_into_a_small_picture() -> None:
    small = np.full((128, 128, 3), 128, np.uint8)
    labelled = draw_label(small, "x" * 60)
    assert (labelled != small).any() and (labelled[:, :2] == small[:, :2]).all()


def test_other_scripts_are_drawn() -> None:
    assert changed(text="создано искусственно")[2] > 0.005


@pytest.mark.parametrize(("text", "says"), [("", "empty"), ("  ", "empty"), ("a" * 61, "at most 60"), ("\U000f0000", "no installed font")])
def test_labels_that_cannot_be_drawn_are_refused_at_once(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Mark(label=text)


def test_nothing_asked_for_changes_nothing() -> None:
    assert Mark(watermark=False).apply(GREY) is GREY


def test_marked_and_labelled_picture_reads_as_the_session() -> None:
    before = GREY.copy()
    mark = Mark(4711, label=DEFAULT_TEXT, corner="top-left")
    marked = mark.apply(GREY)
    assert (before == GREY).all()
    reader = Reader()
    reader.add(marked)
    assert reader.read().session_id == 4711
    assert marked[:30, :200].max() > 220


def test_sessions_are_drawn_at_random() -> None:
    assert len({Mark().session_id for _ in range(20)}) > 10


def test_one_mark_takes_frames_of_changing_size() -> None:
    mark = Mark(5)
    for size in ((256, 256, 3), (480, 640, 3), (256, 256, 3)):
        assert mark.apply(np.zeros(size, np.uint8)).shape == size


def test_pictures_too_small_for_the_mark_are_not_said_to_carry_it(caplog: pytest.LogCaptureFixture) -> None:
    mark = Mark(5)
    for _ in range(3):
        mark.apply(np.zeros((120, 160, 3), np.uint8))
    assert not mark.watermark
    assert [record.levelname for record in caplog.records] == ["WARNING"] and "too small for the invisible mark" in caplog.text
