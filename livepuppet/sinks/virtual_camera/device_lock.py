"""One v4l2loopback device for one livepuppet, given back to the next whatever happens.

v4l2loopback before 0.13 (Debian 12, Ubuntu 22.04) with exclusive_caps=1 forgets that a device can be written to once a program has
written to it with write(), as pyvirtualcam does: until the module is loaded again nobody else can open it. It remembers when a
program that has said VIDIOC_STREAMON closes the device, so a second handle that has said it is kept open here: the kernel closes it
even when the process is killed.
"""

from __future__ import annotations

import fcntl
import logging
import os
import struct
from pathlib import Path

from livepuppet.devices.v4l2 import CAPTURE, OUTPUT, capability, request, users
from livepuppet.errors import SinkError
from livepuppet.types import Size

log = logging.getLogger("livepuppet.virtual_camera")

STREAM_ON = (1 << 30) | (request(18, 4, writes=False) & 0x3FFFFFFF)
"""VIDIOC_STREAMON, an int the kernel only reads."""
BUFFER_TYPE_OUTPUT = struct.pack("i", 2)
FORMAT = struct.Struct("I0P5I" if struct.calcsize("P") == 8 else "6I")
"""struct v4l2_format up to pix.bytesperline: type, width, height, pixelformat, field, bytesperline."""
FORMAT_SIZE = 200 + struct.calcsize("P")
MODULE_VERSION = Path("/sys/module/v4l2loopback/version")


def forgets() -> bool:
    """Whether the loaded module is one of those: they do not tell their version, or an early one."""
    try:
        numbers = MODULE_VERSION.read_text().strip().split(".")
        return (int(numbers[0]), int(numbers[1])) < (0, 13)
    except FileNotFoundError:
        return True
    except (OSError, ValueError, IndexError):
        return False


class DeviceLock:
    """Holds the device at `path` for this process.

    Raises:
        SinkError: naming who has it.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._handle = self._open()
        if forgets() and not capability(self._handle).capabilities & (CAPTURE | OUTPUT):
            log.debug("%s was left unusable by another program: mending it", path)
            self.mark()
            os.close(self._handle)
            self._handle = self._open()
        if not capability(self._handle).capabilities & OUTPUT:
            holders = ", ".join(users(path)) or "another program"
            self.close()
            raise SinkError(f"virtual camera {path} is being written to by {holders}: close that, or name another one (virtual:NAME)")

    def _open(self) -> int:
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except PermissionError as error:
            raise SinkError(f"no permission to write to {self.path}: sudo usermod -aG video $USER, then log out and in again") from error
        except OSError as error:
            raise SinkError(f"virtual camera {self.path} cannot be opened ({error.strerror})") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            raise SinkError(f"virtual camera {self.path} belongs to a livepuppet that is already running: close that one") from error
        return handle

    def format(self) -> tuple[Size, str]:
        """Size and FOURCC the device takes now: another than asked for while a reader that has seen the former one keeps it."""
        answer = bytearray(BUFFER_TYPE_OUTPUT.ljust(FORMAT_SIZE, b"\0"))
        fcntl.ioctl(self._handle, request(4, FORMAT_SIZE, writes=True), answer)
        _, wide, high, pixels, _, _ = FORMAT.unpack_from(answer)
        return (wide, high), struct.pack("<I", pixels).decode("ascii", "replace")

    def mark(self) -> None:
        """Say STREAMON on this handle; to be called after the first picture was written. Newer modules refuse, and need it not."""
        if forgets():
            try:
                fcntl.ioctl(self._handle, STREAM_ON, BUFFER_TYPE_OUTPUT)
            except OSError as error:
                log.debug("STREAMON on %s: %s", self.path, error)

    def close(self) -> None:
        """May be called twice."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
