"""What a finished picture can be handed to so that other programs see a camera: one small class per kind of virtual camera."""

from __future__ import annotations

import logging
import os
import sys
from typing import Protocol

from livepuppet.devices import list_virtual
from livepuppet.devices.device import Device
from livepuppet.errors import SinkError
from livepuppet.interfaces import Image, Size

log = logging.getLogger("livepuppet.virtual_camera")

INSTALL = "livepuppet virtual-camera install"
MAC_SIZE = (1280, 720)
"""The only size OBS's camera extension shows properly."""


class Outlet(Protocol):
    """An open virtual camera."""

    name: str
    """What people look for in the list of cameras of their meeting program."""
    size: Size
    """What it takes, even numbers."""

    def send(self, image: Image) -> None:
        """Hand over one picture of `size`, RGB. Raises SinkError."""

    def close(self) -> None:
        """Free the device. May be called twice."""


def accepted_size(size: Size) -> Size:
    """The size the virtual camera is opened with for pictures of this size: its formats share colours between neighbouring pixels."""
    if sys.platform == "darwin":
        return MAC_SIZE
    return max(2, size[0] - size[0] % 2), max(2, size[1] - size[1] % 2)


class Pyvirtualcam:
    """v4l2loopback on Linux, OBS or Unity Capture on Windows, OBS on macOS."""

    def __init__(self, size: Size, fps: float, device: str | None) -> None:
        import pyvirtualcam

        self.size = accepted_size(size)
        self._claim = None
        shown = ""
        if sys.platform == "linux":
            from livepuppet.sinks.virtual_camera.claim import Claim

            chosen = choose_loopback(device)
            device, shown = chosen.path, chosen.label
            self._claim = Claim(chosen.path)
        backend = device if device in pyvirtualcam.camera.BACKENDS else None
        try:
            self._camera = pyvirtualcam.Camera(
                width=self.size[0], height=self.size[1], fps=max(1.0, fps), device=None if backend else device, backend=backend
            )
        except (RuntimeError, ValueError) as error:
            self._release()
            raise SinkError(refusal(device, str(error))) from error
        self.name = shown or str(self._camera.device)
        self._sent = False
        self._open = True

    def send(self, image: Image) -> None:
        try:
            self._camera.send(image)
            if not self._sent and self._claim is not None:
                self._claim.mark()
            self._sent = True
        except (RuntimeError, OSError) as error:
            raise SinkError(f"virtual camera '{self.name}' takes no more pictures: {one_line(str(error))}") from error

    def close(self) -> None:
        if self._open:
            self._open = False
            self._camera.close()
            self._release()

    def _release(self) -> None:
        if self._claim is not None:
            self._claim.close()


def choose_loopback(device: str | None) -> Device:
    """The v4l2loopback device meant: by path, number or name; None takes the one called livepuppet, or else the first.

    Raises SinkError naming the ones that are there.
    """
    present = list_virtual()
    if not present:
        raise SinkError(f"no virtual camera on this machine: {INSTALL}")
    if device is None:
        return min(present, key=lambda found: ("livepuppet" not in found.name.casefold(), found.index))
    wanted = device.casefold()
    for found in present:
        if wanted in {found.path, str(found.index), found.name.casefold(), found.label.casefold()} or found.path == os.path.realpath(
            device
        ):
            return found
    names = ", ".join(f'{found.path} "{found.label}"' for found in present)
    raise SinkError(f"no virtual camera '{device}': there is {names}")


def refusal(device: str | None, reason: str) -> str:
    """pyvirtualcam's refusal as one line with the way out."""
    reason = one_line(reason)
    if sys.platform == "linux":
        if "format" in reason.casefold() or "busy" in reason.casefold():
            return f"virtual camera {device} is in use at another size: close the programs that show it, then try again ({reason})"
        return f"virtual camera {device} cannot be opened ({reason}): {INSTALL}"
    return f"no virtual camera can be used ({reason}): {INSTALL}"


def one_line(text: str) -> str:
    return "; ".join(part.strip() for part in text.splitlines() if part.strip())


def open_outlet(size: Size, fps: float, device: str | None) -> Outlet:
    """The virtual camera that is meant, or the best one there is. Raises SinkError with the command that brings one."""
    return Pyvirtualcam(size, fps, device)
