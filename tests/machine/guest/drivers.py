"""Runs inside the emulated machine (see ../check): our sink and our source against real kernel drivers, v4l2loopback and vivid."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from livepuppet.devices import find_camera, list_cameras, list_devices, list_virtual
from livepuppet.errors import SinkError, SourceError, UsageError
from livepuppet.interfaces import Frame, Image, Size
from livepuppet.sinks.virtual_camera import VirtualCamera
from livepuppet.sinks.virtual_camera.still import starting
from livepuppet.sources import camera
from livepuppet.sources.camera import CameraSource

PUPPET = "/dev/video10"
COLOUR = (200, 120, 40)
DIGITS = 8
VIVID = Path("/sys/bus/platform/drivers/vivid")


def numbered(number: int, size: Size) -> Image:
    """A plain picture whose top left carries its number as black and white blocks."""
    picture = np.empty((size[1], size[0], 3), np.uint8)
    picture[:] = COLOUR
    for digit in range(DIGITS):
        picture[:16, 16 * digit : 16 * digit + 16] = 255 if number >> digit & 1 else 0
    return picture


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
    size, fps, total = (640, 480), 12.0, 48
    with virtual_camera(size, fps) as sink, reader() as capture:
        ages: dict[int, float] = {}
        written: dict[int, float] = {}

        def write() -> None:
            begin = time.monotonic() + 0.3
            for number in range(1, total + 1):
                time.sleep(max(0.0, begin + number / fps - time.monotonic()))
                written[number] = time.monotonic()
                sink.write(Frame(numbered(number, size), number, written[number]))

        writer = threading.Thread(target=write)
        writer.start()
        seen: list[int] = []
        while not seen or seen[-1] < total:
            fine, picture = capture.read()
            assert fine
            number = number_in(picture)
            if number in written and number not in ages:
                ages[number] = time.monotonic() - written[number]
                assert np.abs(picture[200:].reshape(-1, 3).mean(axis=0) - COLOUR[::-1]).max() < 3
            seen.append(number)
        writer.join()
    first = next(place for place, number in enumerate(seen) if number in written)
    puppet = seen[first:]
    assert puppet == sorted(puppet)
    missed = total - len(set(puppet))
    repeats = len(puppet) - len(set(puppet))
    latency = sorted(ages.values())
    print(
        f"\nv4l2loopback -> cv2.VideoCapture: {len(set(puppet))} of {total} frames in order, {missed} missed, {repeats} repeated, "
        f"write to read median {1000 * latency[len(latency) // 2]:.0f} ms, longest {1000 * latency[-1]:.0f} ms"
    )
    assert missed <= total // 10


def test_a_program_that_opens_early_sees_the_starting_picture_again_and_again() -> None:
    size = (640, 480)
    with virtual_camera(size), reader() as capture:
        for _ in range(3):
            fine, picture = capture.read()
            assert fine
            assert np.abs(picture.astype(int) - starting(size)[:, :, ::-1]).mean() < 4


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
            pictures = [capture.read()[1] for _ in range(4)]
            assert pictures[-1].shape == (size[1] // 2 * 2, size[0] // 2 * 2, 3)
            assert number_in(pictures[-1]) == 5


def test_a_size_that_a_reader_holds_is_refused_in_one_line() -> None:
    with virtual_camera((320, 240)), reader() as capture:
        assert capture.read()[0]
        with pytest.raises(SinkError) as refusal, virtual_camera((640, 480)):
            pass
    print("\n", refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("ending", ["raise RuntimeError('crash')", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_crash_frees_the_device(ending: str) -> None:
    program = f"from livepuppet.sinks.virtual_camera import VirtualCamera as V; V().open((320, 240), 15, lossless=False); {ending}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    with virtual_camera((640, 480)), reader() as capture:
        assert capture.read()[0]


def test_virtual_cameras_are_found_by_name() -> None:
    assert [(found.name, found.path) for found in list_virtual()] == [("livepuppet", "/dev/video10"), ("second", "/dev/video11")]
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
    program = "import cv2, time; c = cv2.VideoCapture('/dev/video0', cv2.CAP_V4L2); print(c.read()[0], flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None and holder.stdout.readline() == "True\n"
            with pytest.raises(SourceError, match=rf"is being used by \S+ \({holder.pid}\)") as refusal:
                CameraSource(0)
            print("\n", refusal.value)
        finally:
            holder.kill()


def test_every_pixel_format_gives_the_same_picture_or_one_clear_line() -> None:
    device = find_camera(0)
    formats = list(dict.fromkeys(mode.pixels for mode in device.modes))
    picture: dict[str, Image] = {}
    refused: dict[str, str] = {}
    for pixels in formats:
        capture = cv2.VideoCapture()
        wanted = next(mode for mode in device.modes if mode.pixels == pixels and mode.size == (320, 180))
        if not capture.open(device.target, cv2.CAP_V4L2, camera.exact(wanted, 30)):
            refused[pixels] = "not opened"
            continue
        fine = capture.grab()
        fine, raw = capture.retrieve() if fine else (False, None)
        got = camera.as_bgr(raw, camera.capture_size(capture)) if fine and raw is not None else None
        if got is None:
            refused[pixels] = "no picture" if raw is None else camera.describe(raw)
        else:
            picture[pixels] = got
        capture.release()
    reference = picture["YUYV"].astype(int)
    apart = {
        pixels: float(np.median(np.abs(got.astype(int) - reference))) if got.shape == reference.shape else -1.0
        for pixels, got in picture.items()
    }
    print("\n", apart)
    print(refused)
