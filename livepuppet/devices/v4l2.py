"""Linux: what each /dev/video* is and offers, asked of the kernel itself (Video4Linux2 ioctls and sysfs), without opening a stream.

Structures and numbers: linux/videodev2.h (the kernel's userspace interface, unchanged since 3.4 for what is used here).
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from livepuppet.devices.device import Device, Mode

CLASS = Path("/sys/class/video4linux")
BUFFER_TYPES = {0x1: 1, 0x1000: 9}
"""Capability bit -> buffer type: VIDEO_CAPTURE, VIDEO_CAPTURE_MPLANE."""
CAPTURE = 0x1 | 0x1000
OUTPUT = 0x2 | 0x2000
MEMORY_TO_MEMORY = 0x8000 | 0x4000
DEVICE_CAPS = 0x80000000
BIG_ENDIAN = 0x80000000
DISCRETE = 1
LOOPBACK_DRIVERS = {"v4l2 loopback", "akvcam"}
USUAL_SIZES = ((640, 480), (1280, 720), (1920, 1080))
"""Asked for where a driver offers a range instead of a list."""
ITEMS_AT_MOST = 256


def request(number: int, size: int, *, writes: bool) -> int:
    """The ioctl request code of 'V' `number` for a structure of `size` bytes (asm-generic/ioctl.h)."""
    return ((3 if writes else 2) << 30) | (size << 16) | (ord("V") << 8) | number


class Capability(NamedTuple):
    """struct v4l2_capability."""

    driver: str
    card: str
    bus: str
    capabilities: int


def capability(descriptor: int) -> Capability:
    layout = struct.Struct("16s32s32sIII12x")
    answer = bytearray(layout.size)
    fcntl.ioctl(descriptor, request(0, layout.size, writes=False), answer)
    driver, card, bus, _, everything, own = layout.unpack(answer)
    texts = [text.split(b"\0")[0].decode("utf-8", "replace").strip() for text in (driver, card, bus)]
    return Capability(texts[0], texts[1], texts[2], own if everything & DEVICE_CAPS else everything)


def listing(descriptor: int, number: int, layout: struct.Struct, *question: int) -> Iterator[tuple[int, ...]]:
    """Ask item 0, 1, 2 … of an enumerating ioctl until the driver says there is no more; `question` follows the index."""
    for index in range(ITEMS_AT_MOST):
        asked = struct.pack(f"{1 + len(question)}I", index, *question)
        answer = bytearray(asked.ljust(layout.size, b"\0"))
        try:
            fcntl.ioctl(descriptor, request(number, layout.size, writes=True), answer)
        except OSError:
            return
        yield layout.unpack(answer)


def pixel_formats(descriptor: int, buffer_type: int) -> Iterator[int]:
    for item in listing(descriptor, 2, struct.Struct("12x32xI16x"), buffer_type):
        yield item[0]


def sizes(descriptor: int, pixels: int) -> Iterator[tuple[int, int]]:
    for kind, *numbers in listing(descriptor, 74, struct.Struct("8xI6I8x"), pixels):
        if kind == DISCRETE:
            yield numbers[0], numbers[1]
            continue
        least_w, most_w, _, least_h, most_h, _ = numbers
        usual = [(w, h) for w, h in USUAL_SIZES if least_w <= w <= most_w and least_h <= h <= most_h]
        yield from usual or [(most_w, most_h)]
        return


def rates(descriptor: int, pixels: int, size: tuple[int, int]) -> Iterator[float]:
    """Frames per second, the driver's frame intervals turned over."""
    for kind, *numbers in listing(descriptor, 75, struct.Struct("16xI6I8x"), pixels, *size):
        numerator, denominator = numbers[0], numbers[1]
        if numerator and denominator:
            yield denominator / numerator
        if kind != DISCRETE:  # a range: the shortest interval is its first
            return


def modes(descriptor: int, buffer_type: int) -> Iterator[Mode]:
    for pixels in pixel_formats(descriptor, buffer_type):
        if pixels & BIG_ENDIAN:
            continue  # no reader here takes them, and every camera that has one has the other
        fourcc = struct.pack("<I", pixels).decode("ascii", "replace")
        for size in sizes(descriptor, pixels):
            yield Mode(size=size, fps=max(rates(descriptor, pixels, size), default=0.0), pixels=fourcc)


def describe_device(node: Path) -> Device | None:
    """The device behind /sys/class/video4linux/videoN; None where it neither captures nor takes pictures (metadata nodes, codecs)."""
    path = f"/dev/{node.name}"
    index = int(node.name.removeprefix("video"))
    try:
        name = (node / "name").read_text().strip()
    except OSError:
        return None  # unplugged between the listing and now
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return Device(index=index, name=name, path=path, captures=True, obstacle=device_obstacle(path, error))
    try:
        about = capability(descriptor)
        kinds = [buffer_type for bit, buffer_type in BUFFER_TYPES.items() if about.capabilities & bit]
        loopback = about.driver in LOOPBACK_DRIVERS
        if about.capabilities & MEMORY_TO_MEMORY or not (kinds or loopback):
            return None
        offers = tuple(mode for kind in kinds for mode in modes(descriptor, kind))
    except OSError as error:
        return Device(index=index, name=name, path=path, captures=True, obstacle=device_obstacle(path, error))
    finally:
        os.close(descriptor)
    return Device(
        index=index,
        name=about.card or name,
        path=path,
        driver=about.driver,
        bus=about.bus,
        captures=bool(kinds) and (bool(offers) or not loopback),  # a loopback nobody feeds offers no format
        accepts=loopback,
        modes=offers,
    )


def seen_by_browsers(path: str) -> bool:
    """Whether a loopback that nobody feeds keeps quiet about capturing (exclusive_caps=1). Chrome and Zoom list no others."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return True  # unknown: nothing to complain of
    try:
        return not capability(descriptor).capabilities & CAPTURE
    finally:
        os.close(descriptor)


def device_obstacle(path: str, error: OSError) -> str:
    """Why the device cannot be opened, and what to do, in one line."""
    if isinstance(error, PermissionError):
        return f"no permission to open {path}: sudo usermod -aG video $USER, then log out and in again"
    holders = ", ".join(users(path))
    if holders:
        return f"{path} is being used by {holders}: close it there"
    return f"{path} cannot be opened ({error.strerror})"


def users(path: str) -> list[str]:
    """Names and process numbers of the programs that hold the device open, as far as this user may see them."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            if any(os.path.realpath(link) == path for link in (process / "fd").iterdir()):
                found.append(f"{(process / 'comm').read_text().strip()} ({process.name})")
        except OSError:
            continue  # another user's process, or one that has just ended
    return found


def list_v4l2_devices() -> list[Device]:
    """All that capture or can be written to, by number."""
    if not CLASS.is_dir():
        return []
    nodes = sorted((n for n in CLASS.glob("video*") if n.name[5:].isdigit()), key=lambda n: int(n.name[5:]))
    return [device for node in nodes if (device := describe_device(node)) is not None]
