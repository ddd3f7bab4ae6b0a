"""What tests share: small videos that tell their frames apart, shared media beside the checkout, a screen, a full disk."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest

from livepuppet.types import Image, Size
from livepuppet.video.writer import VideoWriter, h264


def numbered_image(number: int, size: Size = (160, 120)) -> Image:
    """A recognisable frame: its number as eight light or dark bars on top, a red and a blue half below."""
    width, height = size
    image = np.zeros((height, width, 3), np.uint8)
    for bit in range(8):
        image[: height // 2, bit * width // 8 : (bit + 1) * width // 8] = 220 if number >> bit & 1 else 30
    image[height // 2 :, : width // 2] = (200, 30, 60)
    image[height // 2 :, width // 2 :] = (20, 60, 230)
    return image


def frame_number(image: Image) -> int:
    height, width = image.shape[:2]
    return sum(int(image[height // 4, (2 * bit + 1) * width // 16].mean() > 125) << bit for bit in range(8))


def write_numbered_video(path: Path, frames: int = 60, size: Size = (160, 120), step: int = 3000) -> Path:
    writer = VideoWriter(path, size, format=h264(path.suffix, "veryfast"), fps=90_000 / step)
    for i in range(frames):
        writer.write(numbered_image(i, size), i * step)
    writer.close()
    return path


def set_display_matrix(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Note in an MP4 how it is to be turned, as a phone does: x' = a x + c y, y' = b x + d y (ISO/IEC 14496-12, 6.2.2)."""
    data = path.read_bytes()
    at = data.rindex(b"tkhd") + 44
    a, b, c, d = matrix
    path.write_bytes(data[:at] + struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30) + data[at + 36 :])


def write_silent_audio(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44_100)
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44_100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


SHARED = Path(__file__).parents[2] / "shared"


def shared_path(relative: str) -> Path:
    """A file or folder beside the checkout that is not part of the project; skips the test where it is not there."""
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f"no ../shared/{relative} beside the checkout")
    return path


@contextmanager
def x_server() -> Iterator[str]:
    """A bare X server; its name for DISPLAY."""
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1400x900x24", "-nolisten", "tcp"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    with os.fdopen(reading) as pipe:
        number = pipe.readline().strip()
    try:
        yield f":{number}"
    finally:
        server.terminate()
        server.wait(10)


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """What a full disk does: writing past `size` bytes fails with OSError."""
    import resource  # Unix only

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
