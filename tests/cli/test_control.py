"""`livepuppet control` drives a running session from a shell, and `--control` says what it lacks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from studio_fixtures import RunningStudio, photo

from livepuppet.cli import main

ROOT = Path(__file__).parents[2]


def test_settings_are_set_moved_and_read(studio: RunningStudio, capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for words in (
        ["freeze", "on"],
        ["freeze"],
        ["freeze", "toggle"],
        ["gain", "up"],
        ["gain", "0.5"],
        ["gain"],
        ["avatar", "next"],
        ["label", "up"],
        ["label"],
        ["reference"],
    ):
        assert main(["control", *words]) == 0
        said.append(capsys.readouterr().out.strip())
    assert said == ["", "on", "moving again", "motion 110%", "motion 50%", "0.5", "avatar 2/3: p1", "label: up", "up", "new reference"]


def test_the_whole_state_for_people_and_for_programs(studio: RunningStudio, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["control"]) == 0
    page = capsys.readouterr().out
    assert "smoothing" in page and "p0, p1, p2" in page
    assert main(["control", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["mouth"] == "driver"


def test_a_photo_is_added(studio: RunningStudio, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "me.png").write_bytes(photo())
    assert main(["control", "add", str(tmp_path / "me.png")]) == 0
    assert capsys.readouterr().out == "me is added\n"
    assert main(["control", "avatar", "me"]) == 0


MISTAKES = {
    "no such setting": (["nonesuch", "1"], 2, "settings are avatar"),
    "a value out of range": (["gain", "9"], 2, "from 0 to 2"),
    "no photo": (["add"], 2, "which photo"),
    "no such file": (["add", "nobody.jpg"], 2, "cannot read nobody.jpg"),
    "an action with a value": (["quit", "now"], 2, "takes no value"),
    "no such session": (["freeze", "on", "--session", "1"], 2, "process 1"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_mistake_is_one_line(studio: RunningStudio, capsys: pytest.CaptureFixture[str], mistake: str) -> None:
    words, code, part = MISTAKES[mistake]
    assert main(["control", *words]) == code
    said = capsys.readouterr().err
    assert part in said and said.count("\n") == 1


def test_no_session_is_one_line(own_folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["control", "freeze", "on"]) == 2
    assert "livepuppet studio" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--control", "0", "--camera", "demo"], ["studio", "--no-open"]])
@pytest.mark.parametrize("package", ["fastapi", "uvicorn", "websockets"])
def test_without_the_extra_it_says_what_to_install(words: list[str], package: str, tmp_path: Path) -> None:
    program = f"import sys; sys.modules[{package!r}] = None; from livepuppet.cli import main; sys.exit(main({words!r}))"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith(f"livepuppet: the control interface needs the package {package}: pip install")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("address", ["x", "1:2:3", "99999"])
def test_a_wrong_address_is_one_line(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--control", address, "--camera", "demo", "--output", "none"]) == 2
    assert "PORT or HOST:PORT" in capsys.readouterr().err
