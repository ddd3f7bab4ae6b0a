"""The camera source without a camera: what it says, which mode it asks for, and what it makes of odd pictures.

With real drivers it is tested in tests/machine/guest/drivers.py.
"""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest

from livepuppet.devices import Device, Mode, list_cameras
from livepuppet.devices.choice import file, forget_camera, remember_camera, remembered_camera
from livepuppet.devices.raw import as_bgr
from livepuppet.errors import UsageError
from livepuppet.sources.camera import BACKENDS, CameraSource, attempts


@pytest.fixture
def no_camera() -> None:
    if list_cameras():
        pytest.skip("this computer has a camera")


@pytest.mark.usefixtures("no_camera")
def test_without_a_camera_auto_is_none_and_a_wish_is_an_error() -> None:
    assert CameraSource.first() is None
    for which in (None, 0, "HD Webcam", "/dev/video0"):
        with pytest.raises(UsageError, match="no camera"):
            CameraSource(which)


def image(wide: int = 8, high: int = 6, channels: int = 3) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(3).integers(0, 255, (high, wide, channels), np.uint8)


def test_pictures_of_one_long_row_are_unrolled() -> None:
    bgr = image()
    for padding in (0, 4):
        lines = np.pad(bgr.reshape(6, -1), ((0, 0), (0, padding)))
        assert np.array_equal(as_bgr(lines.reshape(1, -1), (8, 6)), bgr)  # type: ignore[arg-type]
    grey = image(400, 6, 1)
    unrolled = as_bgr(grey.reshape(1, -1), (400, 6))
    assert unrolled is not None and np.array_equal(unrolled, np.repeat(grey, 3, axis=2))


def test_grey_and_four_channel_pictures_become_three_channels() -> None:
    grey = image(channels=1)[:, :, 0]
    assert np.array_equal(as_bgr(grey, (8, 6))[:, :, 2], grey)  # type: ignore[index]
    four = image(channels=4)
    assert np.array_equal(as_bgr(four, (8, 6)), four[:, :, :3])  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(1, 921601), (1, 7), (5,), (4, 4, 2), (1, 1, 3)])
def test_what_is_no_picture_is_not_taken_for_one(shape: tuple[int, ...]) -> None:
    assert as_bgr(np.zeros(shape, np.uint8), (640, 480)) is None


def webcam(*modes: tuple[int, int, float, str]) -> Device:
    return Device(index=0, name="webcam", modes=tuple(Mode((wide, high), fps, pixels) for wide, high, fps, pixels in modes))


def test_the_mode_asked_for_keeps_the_rate_then_the_size_then_the_format() -> None:
    usual = webcam((640, 480, 30, "YUYV"), (1280, 720, 10, "YUYV"), (640, 480, 30, "MJPG"), (1280, 720, 30, "MJPG"))
    assert usual.best_mode((1280, 720), 30) == Mode((1280, 720), 30, "MJPG")
    assert usual.best_mode((640, 480), 30) == Mode((640, 480), 30, "MJPG")
    assert usual.best_mode(None, 30) == Mode((1280, 720), 30, "MJPG")
    old = webcam((640, 480, 30, "YUYV"), (1280, 720, 10, "YUYV"))
    assert old.best_mode((1280, 720), 30) == Mode((640, 480), 30, "YUYV")
    assert webcam((640, 480, 30, "H264"), (640, 480, 15, "YUYV")).best_mode((640, 480), 30) == Mode((640, 480), 15, "YUYV")
    assert webcam().best_mode((640, 480), 30) is None


def test_the_choice_is_remembered_until_forgotten(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEPUPPET_CONFIG", f"{tmp_path}/deep/folder")
    assert remembered_camera() == "" and not forget_camera()
    remember_camera("HD Webcam")
    remember_camera("Gute Kamera (usb-0000:00:14.0-2)")
    assert remembered_camera() == "Gute Kamera (usb-0000:00:14.0-2)"
    assert forget_camera() and remembered_camera() == "" and not forget_camera()


def test_a_damaged_note_is_said_and_does_no_harm(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LIVEPUPPET_CONFIG", str(tmp_path))
    file().write_text("{")
    assert remembered_camera() == ""
    assert "how to forget it" in caplog.text
    file().write_text('["a list"]')
    assert remembered_camera() == ""


def test_on_windows_all_wishes_go_in_at_opening_and_fewer_of_them_if_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    first, *others = attempts(Device(0, "webcam"), (1280, 720), 30)
    mjpg = cv2.VideoWriter.fourcc(*"MJPG")
    size = [cv2.CAP_PROP_FRAME_WIDTH, 1280, cv2.CAP_PROP_FRAME_HEIGHT, 720]
    assert first == [cv2.CAP_PROP_FOURCC, mjpg, *size, cv2.CAP_PROP_FPS, 30]
    assert others == [[*size, cv2.CAP_PROP_FPS, 30], size, []]
    assert BACKENDS["win32"][0] == cv2.CAP_DSHOW
    monkeypatch.setattr(sys, "platform", "darwin")
    assert attempts(Device(0, "webcam"), (1280, 720), 30) == [size, []]
    assert attempts(Device(0, "webcam"), None, 30) == [[]]
