"""The public names, the parts table and the error tree."""

from __future__ import annotations

import pytest

import livepuppet
from livepuppet import errors
from livepuppet.errors import MissingPartError, UsageError
from livepuppet.factory import open_sink, open_source, output_size, parse_size
from livepuppet.files import free_name
from livepuppet.registry import PARTS, find_part


def test_every_public_name_can_be_had_and_the_list_is_sorted() -> None:
    assert livepuppet.__all__ == sorted(livepuppet.__all__)
    for name in livepuppet.__all__:
        assert getattr(livepuppet, name) is not None
    assert dir(livepuppet) == sorted(livepuppet.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonesuch'"):
        _ = livepuppet.nonesuch


def test_every_part_in_the_table_exists_and_has_its_kind_s_members() -> None:
    members = {
        "engine": {"prepare", "observe", "transfer", "render", "close"},
        "source": {"read", "close"},
        "sink": {"open", "write", "close"},
    }
    for kind, names in PARTS.items():
        for name in names:
            try:
                part = find_part(kind, name)
            except MissingPartError as error:
                assert "pip install" in str(error)
                continue
            assert members[kind] <= set(dir(part)), name


def test_an_unknown_part_names_the_known_ones() -> None:
    with pytest.raises(MissingPartError, match="landmark"):
        find_part("engine", "steam")


def test_the_error_tree_is_as_drawn() -> None:
    drawing = errors.__doc__ or ""
    for name, error in vars(errors).items():
        if isinstance(error, type) and issubclass(error, errors.LivepuppetError):
            assert name in drawing
            assert error.exit_code == (2 if issubclass(error, UsageError) else 1)


@pytest.mark.parametrize("text", ["1280", "x", "12x", "axb", "1280x720x3", "-5x9", "63x64", "4097x100", "²x²"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="size"):
        parse_size(text)


def test_sizes() -> None:
    assert parse_size("1280x720") == (1280, 720) and parse_size("641X481") == (640, 480)
    assert output_size(None, ["virtual"]) == (1280, 720) and output_size(None, ["window"]) is None
    assert output_size((640, 480), ["virtual"]) == (640, 480)


def test_what_a_person_writes_is_understood_or_refused() -> None:
    with pytest.raises(UsageError, match="no such video"):
        open_source("nowhere.mp4")
    with pytest.raises(UsageError, match="ending in"):
        open_sink("video.txt")
    with pytest.raises(UsageError):
        open_sink("file")
    assert open_sink("none").name and open_sink("video.mp4").live is False


def test_no_recording_is_overwritten_unasked(tmp_path: object) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path))
    for expected in ("video.mp4", "video-2.mp4", "video-3.mp4"):
        path = free_name(folder / "video.mp4")
        assert path.name == expected
        path.touch()
