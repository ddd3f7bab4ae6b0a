"""Nothing that is read is ever written, whatever the command."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from rendering_fixtures import ADA, run_render, write_opening

from livepuppet.cli import main
from livepuppet.errors import UsageError
from livepuppet.files import is_same_file, refuse_overwriting


def test_one_file_by_other_names(tmp_path: Path) -> None:
    one = tmp_path / "a.mp4"
    one.write_bytes(b"x")
    os.link(one, tmp_path / "hard.mp4")
    (tmp_path / "soft.mp4").symlink_to(one)
    for other in (one, tmp_path / "hard.mp4", tmp_path / "soft.mp4", tmp_path / "." / "a.mp4"):
        assert is_same_file(other, one)
    assert not is_same_file(tmp_path / "b.mp4", one)
    assert is_same_file(tmp_path / "x_%05d.png", tmp_path / "x_00017.png")
    assert not is_same_file(tmp_path / "x_%05d.png", tmp_path / "y_00017.png")


def test_what_is_read_or_written_already_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    with pytest.raises(UsageError, match="would be lost") as refusal:
        refuse_overwriting([tmp_path / "a.jpg"], [("output", tmp_path / "o.mp4"), ("motion", tmp_path / "a.jpg")])
    assert refusal.value.parameter == "motion"
    with pytest.raises(UsageError, match="written twice"):
        refuse_overwriting([], [("output", tmp_path / "o.mp4"), ("stats", tmp_path / "o.mp4")])
    refuse_overwriting([tmp_path / "a.jpg"], [("output", tmp_path / "o.mp4"), ("motion", None)])


def destructive(folder: Path) -> dict[str, list[str | Path]]:
    talk, avatar = folder / "talk.mp4", folder / "avatar.jpg"
    live: list[str | Path] = ["--avatar", avatar, "--seconds", "1", "--size", "128x128"]
    render: list[str | Path] = ["render", "--driving", talk, "--output"]
    return {
        "the camera's video": [*live, "--camera", talk, "--output", talk],
        "the avatar as statistics": [*live, "--camera", "demo", "--output", "none", "--stats", avatar],
        "statistics over the output": [*live, "--camera", "demo", "--output", folder / "o.mp4", "--stats", folder / "o.mp4"],
        "the driving video": [*render, talk, "--avatar", avatar],
        "the driving video as motion": [*render, folder / "o.mp4", "--avatar", avatar, "--motion", talk],
        "the avatar as motion": [*render, folder / "o.mp4", "--avatar", avatar, "--motion", avatar],
        "a numbered picture": [*render, folder / "x_%05d.png", "--avatar", folder / "x_00001.png"],
    }


@pytest.mark.parametrize("kind", destructive(Path()))
def test_no_command_destroys_what_it_reads(tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_opening(tmp_path / "talk.mp4", 0.3)
    shutil.copy(ADA, tmp_path / "avatar.jpg")
    shutil.copy(ADA, tmp_path / "x_00001.png")
    before = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.iterdir()}
    assert main([str(word) for word in destructive(tmp_path)[kind]]) == 2
    said = capsys.readouterr().err
    assert "would be lost" in said or "written twice" in said
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.iterdir()} == before


def test_a_row_that_would_destroy_another_row_s_input_fails_before_anything_begins(tmp_path: Path) -> None:
    write_opening(tmp_path / "talk.mp4", 0.3)
    shutil.copy(ADA, tmp_path / "avatar.jpg")
    other = write_opening(tmp_path / "other.mp4", 0.3)
    (tmp_path / "jobs.csv").write_text(f"avatar,driving,output\navatar.jpg,talk.mp4,o.mp4\navatar.jpg,{other},talk.mp4\n")
    before = (tmp_path / "talk.mp4").read_bytes()
    assert run_render("--jobs", tmp_path / "jobs.csv", "--size", "64x64", "--end", "0.2", "--workers", "1") == 1
    assert (tmp_path / "talk.mp4").read_bytes() == before and (tmp_path / "o.mp4").is_file()
    assert "would be lost" in (tmp_path / "jobs.summary.csv").read_text()
