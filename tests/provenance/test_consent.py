"""The sentence on consent is said once per user, never for the portraits that came along, and never in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from livepuppet.cli import main
from livepuppet.provenance.consent import consent_line
from livepuppet.vision.portrait import shipped_avatars


def test_said_once(tmp_path: Path) -> None:
    own = tmp_path / "somebody.jpg"
    first = consent_line(own, tmp_path / "data")
    assert first is not None and "consent" in first and "\n" not in first
    assert consent_line(own, tmp_path / "data") is None
    assert consent_line(tmp_path / "another.jpg", tmp_path / "data") is None


def test_shipped_portraits_neither_need_it_nor_use_it_up(tmp_path: Path) -> None:
    avatars = shipped_avatars()
    assert avatars and all(consent_line(avatar, tmp_path / "data") is None for avatar in avatars)
    assert consent_line(tmp_path / "somebody.jpg", tmp_path / "data") is not None


def test_a_copy_of_a_shipped_portrait_is_one_too(tmp_path: Path) -> None:
    copy = tmp_path / shipped_avatars()[0].name
    copy.write_bytes(shipped_avatars()[0].read_bytes())
    assert consent_line(copy, tmp_path / "data") is None
    copy.write_bytes(shipped_avatars()[1].read_bytes())
    assert consent_line(copy, tmp_path / "data") is not None


def test_nothing_about_the_portrait_is_recorded(tmp_path: Path) -> None:
    consent_line(tmp_path / "somebody.jpg", tmp_path / "data")
    assert [(path.name, path.stat().st_size) for path in (tmp_path / "data").iterdir()] == [("consent-shown", 0)]


def test_a_folder_that_cannot_be_written_does_not_stop_anybody(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    assert consent_line(tmp_path / "somebody.jpg", blocked) is not None
    assert consent_line(tmp_path / "somebody.jpg", blocked / "below") is not None


def test_about_fits_a_page_and_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["about"]) == 0
    page = capsys.readouterr().out
    lines = page.splitlines()
    assert len(lines) < 60 and max(map(len, lines)) <= 100
    assert "livepuppet verify" in page and "consent" in page and "invisible mark" in page
