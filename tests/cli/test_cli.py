"""The command line, run as a person runs it: exit codes, one line for every mistake, videos that play."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image as PILImage

from livepuppet.cli import main
from livepuppet.types import Image
from livepuppet.vision.portrait import shipped_avatars

ADA = str(shipped_avatars()[0])


def environment() -> dict[str, str]:
    """No screen, whatever the machine has."""
    return {name: value for name, value in os.environ.items() if name not in {"DISPLAY", "WAYLAND_DISPLAY"}}


def livepuppet(*arguments: str, cwd: Path, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "livepuppet", *arguments]
    path = str(Path(__file__).parents[2])
    return subprocess.run(
        command, cwd=cwd, env=environment() | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=timeout, check=False
    )


def frames_of(path: Path) -> list[Image]:
    with av.open(str(path)) as film:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in film.decode(video=0)]


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """What a newcomer does on a machine without camera and screen (three seconds of it)."""
    folder = tmp_path_factory.mktemp("first")
    return folder, livepuppet("--avatar", ADA, "--camera", "demo", "--seconds", "3", "--stats", "s.json", cwd=folder)


def test_the_first_run_writes_a_film_in_which_the_portrait_moves(first_run: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, result = first_run
    assert result.returncode == 0, result.stderr
    assert "no screen found: writing livepuppet.mp4" in result.stderr
    images = frames_of(folder / "livepuppet.mp4")
    assert len(images) == 90
    assert images[0].shape == (1024, 1024, 3)
    portrait = np.asarray(PILImage.open(ADA))
    assert float(np.abs(images[0].astype(int) - portrait).mean()) < 4  # before the reference: the portrait, but for the codec
    assert max(float(np.abs(image.astype(int) - images[0]).mean()) for image in images) > 1.5


def test_statistics_say_what_was_measured_and_where_it_ran(first_run: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, _ = first_run
    numbers = json.loads((folder / "s.json").read_text())
    assert numbers["delivered"] == 90 and numbers["dropped"] == 0
    assert numbers["latency"]["p95"] >= numbers["latency"]["p50"] > 0
    assert {"observe", "transfer", "render"} <= set(numbers["stages"])
    assert numbers["about"]["engine"] == "landmark" and "cpu" in numbers["about"]["device"].lower()
    assert numbers["startup_s"] > 0


def test_a_recording_is_not_overwritten_unasked(first_run: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, _ = first_run
    before = (folder / "livepuppet.mp4").read_bytes()
    result = livepuppet("--camera", "demo", "--frames", "3", "--size", "256x256", cwd=folder)
    assert result.returncode == 0 and (folder / "livepuppet.mp4").read_bytes() == before
    assert len(frames_of(folder / "livepuppet-2.mp4")) == 3


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_stopping_leaves_a_playable_film(tmp_path: Path, stop: signal.Signals) -> None:
    command = [sys.executable, "-m", "livepuppet", "--camera", "demo", "--size", "256x256", "--frames", "100000", "--output", "o.mp4"]
    path = str(Path(__file__).parents[2])
    running = subprocess.Popen(command, cwd=tmp_path, env=environment() | {"PYTHONPATH": path}, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while time.monotonic() < until and not ((tmp_path / "o.mp4").exists() and (tmp_path / "o.mp4").stat().st_size > 20_000):
        time.sleep(0.1)
    running.send_signal(stop)
    try:
        _, said = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 0, said
    assert "stopped" in said and "Traceback" not in said
    assert len(frames_of(tmp_path / "o.mp4")) > 5


MISTAKES = {
    "a size that is none": (["--size", "big"], 2, "WIDTHxHEIGHT"),
    "a tiny size": (["--size", "10x10"], 2, "64x64"),
    "no such avatar": (["--avatar", "nobody.jpg"], 2, "no such picture"),
    "no picture": (["--avatar", "text.jpg"], 2, "text.jpg"),
    "no face": (["--avatar", "wall.png"], 2, "face"),
    "no such video": (["--camera", "missing.mp4"], 2, "no such video"),
    "a video without pictures": (["--camera", "text.mp4"], 2, "text.mp4"),
    "no such camera": (["--camera", "77"], 2, "77"),
    "a camera of that name": (["--camera", "Nonesuch Cam"], 2, "Nonesuch Cam"),
    "a window without a screen": (["--output", "window"], 2, "no screen"),
    "an output that is none": (["--output", "video.txt"], 2, "ending in"),
    "an output in no folder": (["--output", "no/such/folder/video.mp4"], 1, "video.mp4"),
    "no seconds": (["--seconds", "0"], 2, "more than 0"),
    "not a number": (["--gain", "nan"], 2, "number"),
    "too much gain": (["--gain", "7"], 2, "0 to 2"),
    "no such engine": (["--engine", "steam"], 2, "landmark"),
    "an unknown option": (["--frobnicate"], 2, "frobnicate"),
    "statistics in no folder": (["--stats", "no/such/s.json"], 2, "s.json"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_clear_line_and_an_exit_code(tmp_path: Path, mistake: str) -> None:
    arguments, code, says = MISTAKES[mistake]
    (tmp_path / "text.jpg").write_text("this is no picture")
    (tmp_path / "text.mp4").write_text("this is not a video")
    PILImage.fromarray(np.full((200, 200, 3), 90, np.uint8)).save(tmp_path / "wall.png")
    usual = {"--camera": "demo", "--frames": "1", "--output": "none", "--size": "256x256"}
    taken = {"--seconds": "--frames"}.get(arguments[0], arguments[0])
    filled = [word for option, value in usual.items() if option not in {arguments[0], taken} for word in (option, value)]
    result = livepuppet(*filled, *arguments, cwd=tmp_path)
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    line = result.stderr.strip().splitlines()[-1]
    assert says in line and len(line) < 400, result.stderr


def test_verbose_shows_the_traceback(tmp_path: Path) -> None:
    result = livepuppet("--avatar", "nobody.jpg", "--camera", "demo", "--output", "none", "--verbose", cwd=tmp_path)
    assert result.returncode == 2 and "Traceback" in result.stderr


def test_help_is_a_page_with_examples_and_every_option(tmp_path: Path) -> None:
    result = livepuppet("--help", cwd=tmp_path)
    assert result.returncode == 0
    for option in [
        "--avatar",
        "--camera",
        "--output",
        "--size",
        "--fps",
        "--mirror",
        "--engine",
        "--seconds",
        "--frames",
        "--stats",
        "--verbose",
        "--version",
    ]:
        assert option in result.stdout
    assert "examples:" in result.stdout and max(map(len, result.stdout.splitlines())) <= 120


def test_version(tmp_path: Path) -> None:
    from livepuppet import __version__

    assert livepuppet("--version", cwd=tmp_path).stdout.strip() == f"livepuppet {__version__}"


SLIPS = {
    "an option": (["--avatr", "a.jpg"], "did you mean --avatar?"),
    "an option of a command": (["render", "--drivng=x.mp4"], "did you mean --driving?"),
    "a command": (["rendr", "--avatar", "a.jpg"], "did you mean 'livepuppet render'?"),
    "a choice": (["--engine", "landmrk"], "did you mean landmark?"),
    "a picture without its option": (["portrait.png"], "livepuppet --avatar portrait.png"),
    "a folder without its option": (["people"], "livepuppet --avatar people"),
    "a video without its option": (["clip.mp4"], "livepuppet --camera clip.mp4"),
    "a picture that is not there": (["nope.jpg"], "no such picture: nope.jpg"),
    "nothing like anything": (["qqqq"], "livepuppet --help lists them"),
    "a word too many": (["doctor", "please"], "unexpected argument 'please'"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_of_the_pen_is_answered_with_what_was_meant(
    tmp_path: Path, slip: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "people").mkdir()
    PILImage.fromarray(np.full((20, 20, 3), 90, np.uint8)).save(tmp_path / "portrait.png")
    (tmp_path / "clip.mp4").write_bytes(b"x")
    arguments, says = SLIPS[slip]
    try:
        code = main(arguments)
    except SystemExit as stop:
        code = int(stop.code or 0)
    said = capsys.readouterr().err
    assert code == 2 and says in said and len(said.splitlines()) == 1
