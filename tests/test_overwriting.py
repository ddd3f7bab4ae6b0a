"""Nothing that is read is ever written, whatever the command."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image as PILImage
from rendering_fixtures import ADA, PERFORMANCE, run_render, write_opening

import livepuppet as lp
from livepuppet.cli import main, options
from livepuppet.errors import OutputExistsError, UsageError
from livepuppet.files import existing_files, is_same_file, refuse_existing, refuse_overwriting


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


def existing(folder: Path) -> dict[str, list[str | Path]]:
    """Commands that would overwrite `there`, by what it is."""
    live: list[str | Path] = ["--avatar", ADA, "--camera", "demo", "--seconds", "1", "--size", "128x128"]
    render: list[str | Path] = ["render", "--avatar", ADA, "--driving", PERFORMANCE, "--end", "0.2", "--output"]
    bench: list[str | Path] = ["bench", "--camera", "demo"]
    return {
        "there.mp4": [*live, "--output", folder / "there.mp4"],
        "there.json": [*live, "--output", "none", "--stats", folder / "there.json"],
        "again.mp4": [*render, folder / "again.mp4"],
        "there.npz": [*render, folder / "o.mp4", "--motion", folder / "there.npz"],
        "x_00007.png": [*render, folder / "x_%05d.png"],
        "timecodes.txt": [*render, folder / "y_%05d.png"],
        "bench.json": [*bench, "--json", folder / "bench.json"],
        "bench.png": [*bench, "--plot", folder / "bench.png"],
        "bench.mp4": [*bench, "--output", folder / "bench.mp4"],
        "safe.png": ["protect", ADA, "--output", folder / "safe.png"],
        "safe-report.png": ["protect", ADA, "--output", folder / "safe.jpg"],
        "seen.png": ["cameras", "--preview", folder / "seen.png"],
    }


@pytest.mark.parametrize("name", existing(Path()))
def test_nothing_that_is_there_is_overwritten_unasked(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).write_bytes(b"somebody's")
    assert main([str(word) for word in existing(tmp_path)[name]]) == 2
    said = capsys.readouterr().err.splitlines()
    assert "exist" in said[-1] and "--overwrite" in said[-1] and name in said[-1]
    assert os.listdir(tmp_path) == [name] and (tmp_path / name).read_bytes() == b"somebody's"


def test_python_asks_for_it_too(tmp_path: Path) -> None:
    (tmp_path / "o.mp4").write_bytes(b"somebody's")
    for attempt in (
        lambda: lp.open_sink(tmp_path / "o.mp4"),
        lambda: lp.render(ADA, PERFORMANCE, tmp_path / "o.mp4"),
        lambda: lp.protect(ADA, tmp_path / "o.png", sheet=tmp_path / "o.mp4"),
    ):
        with pytest.raises((OutputExistsError, UsageError)):
            attempt()
    assert (tmp_path / "o.mp4").read_bytes() == b"somebody's"
    with lp.open_sink(tmp_path / "o.mp4", overwrite=True) as sink:
        sink.write(lp.load_portrait(ADA)[:256, :256].copy())
        assert (tmp_path / "o.mp4").read_bytes() == b"somebody's"
    assert (tmp_path / "o.mp4").stat().st_size > 100 and os.listdir(tmp_path) == ["o.mp4"]


@pytest.mark.parametrize(("answer", "allowed"), [("y\n", True), ("Yes\n", True), ("\n", False), ("", False), ("n\n", False)])
def test_on_a_terminal_a_question_is_asked(
    tmp_path: Path, answer: str, allowed: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "o.mp4").write_bytes(b"x")
    master, slave = os.openpty()
    with os.fdopen(slave, "r+b", buffering=0) as terminal, os.fdopen(master, "r+b", buffering=0) as person:
        person.write(answer.encode() or b"\x04")  # Ctrl-D
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(terminal))
        monkeypatch.setattr("sys.stderr.isatty", lambda: True)
        written = [("output", tmp_path / "o.mp4")]
        if allowed:
            assert options.confirm_overwriting(written, False)
        else:
            with pytest.raises(OutputExistsError):
                options.confirm_overwriting(written, False)
    assert "o.mp4 exists. Overwrite? [y/N]" in capsys.readouterr().err


def test_what_can_be_lost(tmp_path: Path) -> None:
    refuse_existing([("output", tmp_path / "o.mp4"), ("stats", None), ("json", Path(os.devnull))])
    with pytest.raises(UsageError, match="is a folder"):
        refuse_existing([("output", tmp_path)], overwrite=True)
    for name in ("x_1.png", "x_22.png", "x_a.png"):
        (tmp_path / name).touch()
    assert [path.name for path in existing_files(tmp_path / "x_%d.png")] == ["x_1.png", "x_22.png"]
    with pytest.raises(OutputExistsError, match=r"x_1\.png and .*x_22\.png exist"):
        refuse_existing([("output", tmp_path / "x_%d.png")])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["bench", "--camera", "demo", "--plot", "p.txt"], "let it end in"),
        (["bench", "--camera", "demo", "--json", "p.txt"], "let it end in .json"),
        (["bench", "--camera", "demo", "--json", "nowhere/p.json"], "there is not a folder"),
        (["--camera", "demo", "--stats", "s.jpg"], "let it end in .json"),
        (["--camera", "demo", "--output", "none", "--stats", "nowhere/s.json"], "there is not a folder"),
        (["--camera", "demo", "--output", "nowhere/o.mp4"], "there is not a folder"),
        (["protect", str(ADA), "--output", "p.txt"], "give a name ending in"),
        (["protect", str(ADA), "--output", "p.png", "--sheet", "s.txt"], "give a name ending in"),
        (["cameras", "--preview", "p.txt"], "let it end in .png"),
    ],
)
def test_wrong_names_fail_at_once(
    tmp_path: Path, words: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) in {1, 2}
    said = capsys.readouterr().err
    assert says in said and "measuring" not in said and os.listdir(tmp_path) == []


def test_protecting_a_picture_of_nobody_fails_at_once(tmp_path: Path) -> None:
    PILImage.new("RGB", (300, 300), (90, 120, 80)).save(tmp_path / "grass.png")
    with pytest.raises(lp.NoFaceError, match="nothing to protect"):
        lp.protect(tmp_path / "grass.png", tmp_path / "safe.png", model="none")
    assert os.listdir(tmp_path) == ["grass.png"]
