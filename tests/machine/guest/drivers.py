"""Runs inside the emulated machine (see ../check): our sink and our source against real kernel drivers, v4l2loopback and vivid."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from livepuppet.cli import main
from livepuppet.devices import find_camera, list_cameras, list_devices, list_virtual_cameras
from livepuppet.devices.choice import remembered_camera
from livepuppet.devices.device import READABLE
from livepuppet.devices.raw import as_bgr
from livepuppet.devices.v4l2 import request
from livepuppet.diagnostics.checks import check_cameras, check_virtual_cameras
from livepuppet.errors import SinkError, SourceError, UsageError
from livepuppet.sinks.virtual_camera import VirtualCamera
from livepuppet.sinks.virtual_camera.placeholder import starting_placeholder
from livepuppet.sources import camera
from livepuppet.sources.camera import CameraSource
from livepuppet.types import Frame, Image, Size

PUPPET = "/dev/video10"
COLOUR = (200, 120, 40)
DIGITS = 8
VIVID = Path("/sys/bus/platform/drivers/vivid")


def numbered(number: int, size: Size) -> Image:
    """A plain picture whose top left carries its number as black and white blocks."""
    image = np.empty((size[1], size[0], 3), np.uint8)
    image[:] = COLOUR
    for digit in range(DIGITS):
        image[:16, 16 * digit : 16 * digit + 16] = 255 if number >> digit & 1 else 0
    return image


def number_in(bgr: NDArray[Any]) -> int:
    return sum(int(bgr[8, 16 * digit + 8].mean() > 128) << digit for digit in range(DIGITS))


@contextmanager
def virtual_camera(size: Size, fps: float = 15.0, device: str | None = None) -> Iterator[VirtualCamera]:
    sink = VirtualCamera(device)
    sink.open(size, fps, lossless=False)
    try:
        yield sink
    finally:
        sink.close()


@contextmanager
def reader(path: str = PUPPET) -> Iterator[cv2.VideoCapture]:
    capture = cv2.VideoCapture(path, cv2.CAP_V4L2)
    assert capture.isOpened()
    try:
        yield capture
    finally:
        capture.release()


@contextmanager
def source(which: int | str | None, **wishes: object) -> Iterator[CameraSource]:
    opened = CameraSource(which, **wishes)  # type: ignore[arg-type]
    try:
        yield opened
    finally:
        opened.close()


def test_every_frame_reaches_a_reader_in_order_with_its_colours() -> None:
    """One frame after the other, each as soon as the reader has seen the one before: order and colours do not depend on speed."""
    size, total = (640, 480), 30
    seen: list[int] = []
    ages: list[float] = []
    with virtual_camera(size, 15) as sink, reader() as capture:
        assert capture.read()[0]
        started = time.monotonic()
        for number in range(1, total + 1):
            written = time.monotonic()
            sink.write(Frame(numbered(number, size), number, written))
            while not seen or seen[-1] != number:
                fine, image = capture.read()
                assert fine
                seen.append(number_in(image))
            ages.append(time.monotonic() - written)
            assert np.abs(image[200:].reshape(-1, 3).mean(axis=0) - COLOUR[::-1]).max() < 3
        took = time.monotonic() - started
    puppet = [number for number in seen if 1 <= number <= total]
    assert puppet == sorted(puppet) and set(puppet) == set(range(1, total + 1))
    print(
        f"\nv4l2loopback to cv2.VideoCapture: {total} of {total} frames in order, {len(puppet) - total} repeated, {total / took:.0f} fps, "
        f"write to read median {1000 * sorted(ages)[total // 2]:.0f} ms, longest {1000 * max(ages):.0f} ms"
    )


def test_a_burst_is_not_queued() -> None:
    """Thirty frames at once: the reader sees the last of them after no more pictures than the driver has buffers."""
    size = (320, 240)
    with virtual_camera(size) as sink, reader() as capture:
        assert capture.read()[0]
        for number in range(100, 130):
            sink.write(Frame(numbered(number, size), number, time.monotonic()))
        numbers: list[int] = []
        while not numbers or numbers[-1] != 129:
            numbers.append(number_in(capture.read()[1]))
            assert len(numbers) < 12
    print("\nafter a burst of 30:", numbers)
    burst = [number for number in numbers if number >= 100]
    assert burst == sorted(burst) and len(burst) < 8


def test_a_program_that_opens_early_sees_the_starting_picture_again_and_again() -> None:
    size = (640, 480)
    with virtual_camera(size), reader() as capture:
        for _ in range(3):
            fine, image = capture.read()
            assert fine
            assert np.abs(image.astype(int) - starting_placeholder(size)[:, :, ::-1]).mean() < 4


def test_the_last_frame_goes_on_while_nothing_new_comes() -> None:
    size = (640, 360)
    with virtual_camera(size) as sink, reader() as capture:
        sink.write(Frame(numbered(77, size), 0, time.monotonic()))
        numbers = [number_in(capture.read()[1]) for _ in range(12)]
    assert numbers[-8:] == [77] * 8


def test_another_size_next_time_and_odd_sizes() -> None:
    for size in ((641, 361), (320, 240), (1280, 720)):
        with virtual_camera(size) as sink, reader() as capture:
            sink.write(Frame(numbered(5, size), 0, time.monotonic()))
            images = [capture.read()[1] for _ in range(4)]
            assert images[-1].shape == (size[1] // 2 * 2, size[0] // 2 * 2, 3)
            assert number_in(images[-1]) == 5


def test_a_second_livepuppet_is_refused_and_a_size_that_a_reader_holds_is_kept() -> None:
    with virtual_camera((320, 240)), reader() as capture:
        assert capture.read()[0]
        with pytest.raises(SinkError, match="already running"), virtual_camera((320, 240)):
            pass
    with ExitStack() as meeting:
        with virtual_camera((320, 240)):
            capture = meeting.enter_context(reader())
            assert capture.read()[0]
        with virtual_camera((640, 480)) as sink:  # the meeting keeps its size: what comes now is fitted into it
            sink.write(Frame(np.full((480, 640, 3), 250, np.uint8), 0, time.monotonic()))
            images = [capture.read()[1] for _ in range(8)]
            assert images[-1].shape == (240, 320, 3) and images[-1].min() > 240
        with virtual_camera((320, 240)) as sink:  # and goes on with a livepuppet started again
            sink.write(Frame(numbered(9, (320, 240)), 0, time.monotonic()))
            assert 9 in [number_in(capture.read()[1]) for _ in range(8)]


def test_a_crash_frees_the_device() -> None:
    program = (
        "from livepuppet.sinks.virtual_camera import VirtualCamera as V\n"
        "V().open((320, 240), 15, lossless=False)\n"
        "raise RuntimeError('crash')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "RuntimeError: crash" in done.stderr
    with virtual_camera((640, 480)), reader() as capture:
        assert capture.read()[0]


def test_a_kill_frees_the_device() -> None:
    child = os.fork()
    if child == 0:
        VirtualCamera().open((320, 240), 15, lossless=False)
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    with virtual_camera((640, 480)), reader() as capture:
        assert capture.read()[0]


def test_virtual_cameras_are_found_by_name() -> None:
    assert [(found.name, found.path) for found in list_virtual_cameras()] == [("livepuppet", "/dev/video10"), ("second", "/dev/video11")]
    with virtual_camera((320, 240), device="second") as sink:
        assert "second" in sink.name
    with pytest.raises(SinkError, match='/dev/video10 "livepuppet"'), virtual_camera((320, 240), device="third"):
        pass


def test_cameras_are_found_by_number_name_and_file() -> None:
    labels = {found.index: found.label for found in list_devices()}
    assert labels == {0: "vivid (platform:vivid-000)", 1: "vivid (platform:vivid-001)", 10: "livepuppet", 11: "second"}
    assert find_camera("vivid-001").index == find_camera(1).index == find_camera("/dev/video1").index == 1
    with pytest.raises(UsageError, match="more than one"):
        find_camera("vivid")
    with pytest.raises(UsageError, match='0 "vivid'):
        find_camera("HD Webcam")


def test_auto_takes_a_real_camera_and_never_a_loopback() -> None:
    size = (320, 240)
    with virtual_camera(size) as sink:
        sink.write(Frame(numbered(1, size), 0, time.monotonic()))
        assert any(found.accepts for found in list_cameras())
        with source(None) as auto:
            assert auto.name.startswith("vivid")
            assert auto.read() is not None
        with unplugged():
            assert CameraSource.first() is None
            with pytest.raises(UsageError, match="no camera found"):
                CameraSource(None)
            with source("livepuppet") as asked_for:  # by name one may
                frame = asked_for.read()
                assert frame is not None and frame.image.shape == (240, 320, 3)


def test_the_commands_show_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    with virtual_camera((640, 360)) as sink:
        sink.write(Frame(numbered(3, (640, 360)), 0, time.monotonic()))
        assert main(["cameras", "--use", "vivid-001", "--preview", "/mnt/cameras.png"]) == 0
        listing = capsys.readouterr().out
        assert remembered_camera() == "vivid (platform:vivid-001)"
        with source(None) as auto:
            assert auto.name == "vivid (platform:vivid-001)"
        assert main(["cameras", "--use", "livepuppet"]) == 2
        assert "virtual camera" in capsys.readouterr().err
        found = [*check_cameras(), *check_virtual_cameras()]
    assert main(["cameras", "--forget"]) == 0 and remembered_camera() == ""
    capsys.readouterr()
    print(f"\n{listing}")
    for finding in found:
        print(finding.state, finding.text)
    assert "virtual camera, in use" in listing and "virtual camera, free" in listing
    assert any("exclusive_caps=1" in finding.text and "second" in finding.text for finding in found)
    assert "vivid (platform:vivid-001) *" in listing
    assert [finding.state for finding in found[:2]] == ["good", "good"]
    assert all(finding.facts["fps"] > 5 and not finding.facts["black"] for finding in found[:2])
    sheet = cv2.imread("/mnt/cameras.png")
    assert sheet is not None and sheet.std() > 20


@contextmanager
def unplugged() -> Iterator[None]:
    (VIVID / "unbind").write_text("vivid.0")
    try:
        yield
    finally:
        (VIVID / "bind").write_text("vivid.0")


def test_a_camera_that_is_unplugged_comes_back_and_the_count_goes_on() -> None:
    with source("vivid-000", size=(320, 180)) as webcam:
        before = webcam.read()
        assert before is not None and before.image.shape == (180, 320, 3) and webcam.trouble == ""
        with unplugged():
            until = time.monotonic() + 10
            while "is gone" not in webcam.trouble and time.monotonic() < until:
                time.sleep(0.05)
            print("\n", webcam.trouble)
            assert "is gone" in webcam.trouble
        last = before
        while last.captured_at < until - 10 or webcam.trouble:
            frame = webcam.read()
            assert frame is not None and frame.index > last.index
            last = frame
        assert last.image.std() > 20


def control(number: int, value: int) -> None:
    """Set one of vivid's own controls (VIDIOC_S_CTRL; numbers: drivers/media/test-drivers/vivid/vivid-ctrls.c)."""
    handle = os.open("/dev/video0", os.O_RDWR)
    fcntl.ioctl(handle, request(28, 8, writes=True), struct.pack("Ii", 0x00F0F000 + number, value))
    os.close(handle)


def test_black_pictures_are_said_and_seeing_again_clears_it() -> None:
    pattern, text, black, colour_bars, everything, nothing = 0, 1, 5, 0, 0, 2
    with source(0, size=(320, 180)) as webcam:
        control(text, nothing)
        control(pattern, black)
        try:
            until = time.monotonic() + 20
            while "black" not in webcam.trouble and time.monotonic() < until:
                assert webcam.read() is not None
            print("\n", webcam.trouble)
            assert "sends black pictures" in webcam.trouble
        finally:
            control(pattern, colour_bars)
            control(text, everything)
        while "black" in webcam.trouble and time.monotonic() < until + 20:
            assert webcam.read() is not None
        assert "black" not in webcam.trouble


def test_read_gives_the_newest_picture_and_close_ends_a_waiting_read() -> None:
    with source(0, size=(320, 180)) as webcam:
        first = webcam.read()
        time.sleep(1.0)
        second = webcam.read()
        assert first is not None and second is not None
        age = time.monotonic() - second.captured_at
        print(f"\nafter a pause of 1 s: {second.index - first.index} frames on, {1000 * age:.0f} ms old")
        assert second.index > first.index + 2 and age < 0.5
    with source(0, size=(320, 180)) as webcam, unplugged():
        until = time.monotonic() + 10
        while not webcam.trouble and time.monotonic() < until:
            time.sleep(0.05)
        webcam._taken = webcam._count  # whatever came before the plug was pulled has been seen
        ended: list[Frame | None] = []
        waiting = threading.Thread(target=lambda: ended.append(webcam.read()))
        waiting.start()
        time.sleep(0.2)
        webcam.close()
        waiting.join(5)
        assert ended == [None]


def test_a_camera_in_use_names_the_program() -> None:
    with subprocess.Popen(["cat", "/dev/video0"], stdout=subprocess.DEVNULL) as holder:
        try:
            time.sleep(1.0)
            with pytest.raises(SourceError, match=rf"is being used by cat \({holder.pid}\)") as refusal:
                CameraSource(0)
            print("\n", refusal.value)
        finally:
            holder.kill()


def test_every_pixel_format_gives_the_right_picture_or_one_clear_line() -> None:
    device = find_camera(0)
    one_each = {mode.pixels: mode for mode in device.modes if mode.size == (320, 180)}
    taken: dict[str, Image] = {}
    actual: dict[str, str] = {}
    for pixels, mode in one_each.items():
        only = replace(device, modes=(mode,))
        if pixels not in READABLE:
            with pytest.raises(SourceError, match=f"cannot be read here .{pixels.strip()}"):
                camera.open_capture(only, (320, 180), 30)
            continue
        capture = camera.open_capture(only, (320, 180), 30)
        try:
            for _ in range(2):  # vivid's first picture after a change of format may be an old one
                assert capture.grab()
            image = as_bgr(capture.retrieve()[1], camera.capture_size(capture))
            assert image is not None and image.shape == (180, 320, 3), pixels
            taken[pixels] = image
            actual[pixels] = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode()
        finally:
            capture.release()
    grey = {"GREY", "Y10 ", "Y12 ", "Y16 "}
    bars = taken["YUYV"][150:]  # below vivid's running text
    luma = cv2.cvtColor(cv2.cvtColor(bars, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    apart = {}
    for pixels, image in taken.items():
        meant = luma if pixels in grey else bars
        apart[pixels] = round(float(np.abs(image[150:].astype(int) - meant.astype(int)).mean()), 1)
    print(f"\n{len(taken)} of {len(one_each)} formats read, mean difference to YUYV (grey ones: to its luma): {apart}")
    assert actual == {pixels: pixels for pixels in taken}
    assert max(difference for pixels, difference in apart.items() if pixels not in grey) < 6
    assert max(apart[pixels] for pixels in grey) < 20  # video range: 16 is black and 235 white
    out = Path("/mnt/pixel_formats.png")
    cv2.imwrite(str(out), np.vstack([np.hstack((list(taken.values()) * 2)[row : row + 5]) for row in range(0, len(taken), 5)]))
