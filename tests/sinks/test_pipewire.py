"""The PipeWire camera against a real PipeWire service and a real reader (GStreamer); skipped where those are not installed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from livepuppet.devices import list_virtual_cameras
from livepuppet.errors import SinkError
from livepuppet.sinks.virtual_camera import VirtualCamera, spa
from livepuppet.sinks.virtual_camera.pipewire import library, pipewire_obstacle
from livepuppet.types import Frame, Image, Size

READER = Path(__file__).parents[1] / "pipewire_reader.py"
SYSTEM_PYTHON = "/usr/bin/python3"
COLOUR = (200, 120, 40)


def test_a_pod_is_padded_and_counts_its_body() -> None:
    assert spa.pod_number(5) == b"\4\0\0\0\4\0\0\0\5\0\0\0\0\0\0\0"
    assert spa.rectangle(640, 480) == b"\x08\0\0\0\x0a\0\0\0\x80\2\0\0\xe0\1\0\0"
    for pod in (spa.pod_video_format(1280, 720, (30, 1)), spa.buffers(1280, 720)):
        assert len(pod) % 8 == 0
        assert int.from_bytes(pod[:4], "little") == len(pod) - 8


@pytest.mark.skipif(sys.platform != "linux" or library() is None, reason="libpipewire is not installed")
def test_without_the_service_one_line_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert pipewire_obstacle() == "PipeWire is not running in this session"
    with pytest.raises(SinkError, match="no PipeWire camera: PipeWire is not running"):
        VirtualCamera("pipewire").open((320, 240), 30, lossless=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert "no desktop session" in pipewire_obstacle()


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A PipeWire of the test's own, with a session manager; nothing of the desktop's is touched."""
    missing = [name for name in ("dbus-daemon", "pipewire", "wireplumber") if shutil.which(name) is None]
    if missing or library() is None:
        pytest.skip(f"not installed: {', '.join(missing) or 'libpipewire'}")
    probe = subprocess.run(["gst-inspect-1.0", "pipewiresrc"], capture_output=True) if shutil.which("gst-inspect-1.0") else None
    if probe is None or probe.returncode or subprocess.run([SYSTEM_PYTHON, "-c", "import gi"], capture_output=True).returncode:
        pytest.skip("GStreamer with its PipeWire plugin and Python bindings is not installed")
    tmp_path.chmod(0o700)
    for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    bus = f"unix:path={tmp_path}/bus"
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus)
    log = (tmp_path / "log").open("wb")
    commands = (["dbus-daemon", "--session", f"--address={bus}", "--nofork"], ["pipewire"], ["wireplumber"])
    sockets = (tmp_path / "bus", tmp_path / "pipewire-0", None)
    running: list[subprocess.Popen[bytes]] = []
    try:
        for command, socket in zip(commands, sockets, strict=True):
            running.append(subprocess.Popen(command, stdout=log, stderr=log, env=dict(os.environ)))
            until = time.monotonic() + 15
            while socket is not None and not socket.exists() and time.monotonic() < until:
                time.sleep(0.05)
        yield
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait(10)
        log.close()


def numbered(number: int, size: Size) -> Image:
    """A plain picture with its number and the time of its making (ms) in blocks at the top left."""
    image = np.empty((size[1], size[0], 3), np.uint8)
    image[:] = COLOUR
    now = int(time.monotonic() * 1000) & 0xFFFFF
    for row, value, count in ((0, number, 10), (16, now, 20)):
        for place in range(count):
            image[row : row + 16, 16 * place : 16 * place + 16] = 255 if value >> place & 1 else 0
    return image


@pytest.mark.usefixtures("service")
def test_a_reader_gets_every_frame_in_order_with_its_colours() -> None:
    """Each frame as soon as the reader has seen the one before, so that nothing here depends on the machine's speed."""
    size, total = (640, 480), 90
    sink = VirtualCamera("pipewire")
    sink.open(size, 30, lossless=False)
    seen: list[list[int]] = []
    try:
        with subprocess.Popen([SYSTEM_PYTHON, str(READER), "60"], stdout=subprocess.PIPE, text=True) as reader:
            try:
                assert reader.stdout is not None
                assert reader.stdout.readline(), "the reader saw nothing"  # the starting picture
                begin = time.monotonic()
                for number in range(1, total + 1):
                    sink.write(Frame(numbered(number, size), number, time.monotonic()))
                    while not seen or seen[-1][0] != number:
                        line = reader.stdout.readline()
                        assert line, f"the reader ended before frame {number}"
                        seen.append([int(word) for word in line.split()])
                took = time.monotonic() - begin
            finally:
                reader.terminate()
    finally:
        sink.close()
    puppet = [line for line in seen if 1 <= line[0] <= total]
    numbers = [line[0] for line in puppet]
    assert numbers == sorted(numbers) and set(numbers) == set(range(1, total + 1))
    for image in puppet:
        assert max(abs(got - meant) for got, meant in zip(image[2:5], COLOUR, strict=True)) <= 4
        assert tuple(image[5:]) == size
    firsts = {line[0]: line[1] for line in reversed(puppet)}
    ages = sorted(firsts.values())
    print(
        f"\nPipeWire to GStreamer: {len(firsts)} of {total} frames in order, {len(puppet) - total} repeated, {total / took:.0f} fps, "
        f"write to read median {ages[total // 2]} ms, longest {ages[-1]} ms"
    )


@pytest.mark.usefixtures("service")
def test_without_v4l2loopback_pipewire_is_chosen_and_a_lost_service_is_said(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    if list_virtual_cameras():
        pytest.skip("this computer has a v4l2loopback camera")
    caplog.set_level("INFO", "livepuppet")
    sink = VirtualCamera()
    sink.open((321, 241), 30, lossless=False)
    assert "through PipeWire" in caplog.text
    users = subprocess.run(["pgrep", "-P", str(os.getpid()), "-x", "pipewire"], capture_output=True, text=True, check=True)
    os.kill(int(users.stdout), signal.SIGTERM)
    until = time.monotonic() + 10
    with pytest.raises(SinkError, match="PipeWire camera was lost"):
        while time.monotonic() < until:
            sink.write(Frame(numbered(1, (321, 241)), 0, time.monotonic()))
            time.sleep(0.05)
    sink.close()
