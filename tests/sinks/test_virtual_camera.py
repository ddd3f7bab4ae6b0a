"""The virtual camera without a device: its own pictures and what it says. With real drivers: tests/machine/guest/drivers.py."""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest

from livepuppet.devices import list_virtual_cameras
from livepuppet.errors import SinkError
from livepuppet.factory import make_sink, output_size
from livepuppet.sinks.virtual_camera import VirtualCamera
from livepuppet.sinks.virtual_camera.backends import accepted_size
from livepuppet.sinks.virtual_camera.placeholder import fit_within, starting_placeholder
from livepuppet.types import Frame


@pytest.mark.skipif(sys.platform != "linux", reason="other systems list no virtual cameras")
def test_without_a_device_one_line_names_the_command_that_brings_one() -> None:
    if list_virtual_cameras():
        pytest.skip("this computer has a virtual camera")
    sink = VirtualCamera()
    with pytest.raises(SinkError, match="livepuppet virtual-camera install") as refusal:
        sink.open((640, 480), 30, lossless=False)
    assert "\n" not in str(refusal.value)
    sink.close()
    sink.close()


def test_writing_before_opening_is_said() -> None:
    with pytest.raises(SinkError, match="not open"):
        VirtualCamera().write(Frame(np.zeros((4, 4, 3), np.uint8), 0, time.monotonic()))


def test_sizes_are_even() -> None:
    assert accepted_size((641, 361)) == ((1280, 720) if sys.platform == "darwin" else (640, 360))


def test_the_starting_picture_says_something_at_every_size() -> None:
    for size in ((1280, 720), (320, 240), (64, 64)):
        image = starting_placeholder(size)
        assert image.shape == (size[1], size[0], 3) and image.dtype == np.uint8
        assert len(np.unique(image.reshape(-1, 3), axis=0)) > 3


def test_pictures_are_fitted_whole_and_sharp() -> None:
    image = np.random.default_rng(1).integers(0, 255, (361, 641, 3), np.uint8)
    assert fit_within(image, (641, 361)) is image
    assert np.array_equal(fit_within(image, (640, 360)), image[:360, :640])
    wide = fit_within(np.full((100, 100, 3), 200, np.uint8), (320, 180))
    assert wide.shape == (180, 320, 3)
    assert (wide[:, :70] == 0).all() and (wide[:, 70:250] == 200).all() and (wide[:, 250:] == 0).all()


def test_a_virtual_camera_is_named_on_the_command_line() -> None:
    sink = make_sink("virtual:no such camera")
    assert isinstance(sink, VirtualCamera)
    with pytest.raises(SinkError):
        sink.open((640, 480), 30, lossless=False)
    assert output_size(None, ["virtual:obs"]) == output_size(None, ["window", "virtual"]) == (1280, 720)
    assert output_size(None, ["window", "video.mp4"]) is None


def test_macos_gets_the_one_size_it_shows_properly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert accepted_size((641, 361)) == (1280, 720)
    tall = fit_within(np.full((1024, 1024, 3), 200, np.uint8), accepted_size((1024, 1024)))
    assert tall.shape == (720, 1280, 3) and (tall[:, 280:1000] == 200).all() and (tall[:, :280] == 0).all()
