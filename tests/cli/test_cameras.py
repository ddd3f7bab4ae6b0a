"""`livepuppet cameras` on whatever this computer has; with real drivers: tests/machine/guest/drivers.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from livepuppet.cli import main
from livepuppet.cli.cameras import kind, offered_modes
from livepuppet.devices import Device, Mode, list_cameras
from livepuppet.devices.choice import remember_camera, remembered_camera


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEPUPPET_CONFIG", str(tmp_path / "config"))


def test_the_list_names_what_there_is_or_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cameras"]) == 0
    printed = capsys.readouterr().out
    cameras = list_cameras()
    assert all(camera.name in printed for camera in cameras)
    assert cameras or "livepuppet --camera demo" in printed
    assert main(["cameras", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["remembered"] == ""


def test_an_unknown_camera_cannot_be_chosen_and_a_choice_can_be_forgotten(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cameras", "--use", "a camera nobody has"]) == 2
    assert "no camera 'a camera nobody has'" in capsys.readouterr().err
    remember_camera("HD Webcam")
    main(["cameras", "--json"])
    assert json.loads(capsys.readouterr().out)["remembered"] == "HD Webcam"
    assert main(["cameras", "--forget"]) == 0
    assert remembered_camera() == ""


def test_a_preview_that_is_no_picture_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["cameras", "--preview", str(tmp_path / "sheet.txt")]) == 2
    assert ".png" in capsys.readouterr().err


def test_what_a_camera_offers_is_said_by_size_fastest_first() -> None:
    modes = [((640, 480), 30.0, "YUYV"), ((1280, 720), 10.0, "YUYV"), ((1280, 720), 30.0, "MJPG"), ((1920, 1080), 30.0, "H264")]
    webcam = Device(0, "webcam", modes=tuple(Mode(*mode) for mode in modes))
    assert offered_modes(webcam) == ["1280x720 at 30 (MJPG)", "640x480 at 30 (YUYV)"]
    assert offered_modes(webcam, most=1) == ["1280x720 at 30 (MJPG)", "..."]
    assert kind(webcam) == "camera"
    assert kind(Device(1, "loop", accepts=True, captures=False)) == "virtual camera, free"
