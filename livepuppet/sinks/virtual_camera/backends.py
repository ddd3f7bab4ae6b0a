"""What a finished picture can be handed to so that other programs see a camera: one small class per kind of virtual camera."""

from __future__ import annotations

import logging
import os
import sys
from typing import Protocol

from livepuppet.devices import list_virtual_cameras
from livepuppet.devices.device import Device
from livepuppet.errors import SinkError
from livepuppet.types import Image, Size

log = logging.getLogger("livepuppet.virtual_camera")

INSTALL = "livepuppet virtual-camera install"
PYVIRTUALCAM_PIXELS = "YU12"
"""What pyvirtualcam writes to v4l2loopback: I420, by its V4L2 name."""
MAC_SIZE = (1280, 720)
"""The only size OBS's camera extension shows properly."""


class CameraBackend(Protocol):
    """An open virtual camera."""

    name: str
    """What people look for in the list of cameras of their meeting program."""
    size: Size
    """What it takes, even numbers."""

    def send(self, image: Image) -> None:
        """Hand over one picture of `size`, RGB.

        Raises:
            SinkError: its message says what is wrong.
        """

    def close(self) -> None:
        """Free the device. May be called twice."""


def accepted_size(size: Size) -> Size:
    """The size the virtual camera is opened with for pictures of this size: its formats share colours between neighbouring pixels."""
    if sys.platform == "darwin":
        return MAC_SIZE
    return max(2, size[0] - size[0] % 2), max(2, size[1] - size[1] % 2)


class PyvirtualcamBackend:
    """OBS or Unity Capture on Windows, OBS on macOS.

    Args:
        device: a camera's name or a backend's (obs, unitycapture); None tries all there are.

    Raises:
        SinkError: its message says what is wrong.
    """

    def __init__(self, size: Size, fps: float, device: str | None) -> None:
        self.size = accepted_size(size)
        self._open = False
        self._start(fps, device)
        self.name = str(self._camera.device)

    def _start(self, fps: float, device: str | None) -> None:
        import pyvirtualcam

        backend = device if device in pyvirtualcam.camera.BACKENDS else None
        try:
            self._camera = pyvirtualcam.Camera(
                width=self.size[0], height=self.size[1], fps=max(1.0, fps), device=None if backend else device, backend=backend
            )
        except (RuntimeError, ValueError) as error:
            raise SinkError(f"virtual camera{f' {device}' if device else ''} cannot be used ({error_line(error)}): {INSTALL}") from error
        self._open = True

    def send(self, image: Image) -> None:
        try:
            self._camera.send(image)
        except (RuntimeError, OSError) as error:
            raise SinkError(f"virtual camera '{self.name}' takes no more pictures: {error_line(error)}") from error

    def close(self) -> None:
        if self._open:
            self._open = False
            self._camera.close()


class LoopbackBackend(PyvirtualcamBackend):
    """v4l2loopback on Linux, claimed for this process.

    Args:
        device: path, number or name.

    Raises:
        SinkError: its message says what is wrong.
    """

    def __init__(self, size: Size, fps: float, device: str | None) -> None:
        from livepuppet.sinks.virtual_camera.device_lock import DeviceLock

        chosen = choose_loopback(device)
        self.name = chosen.label
        self.size = accepted_size(size)
        self._open = False
        self._first = True
        self._claim = DeviceLock(chosen.path)
        try:
            self._start(fps, chosen.path)
            held, pixels = self._claim.format()
            if held != self.size:
                log.info("%s stays at %d x %d until the programs that show it let it go", chosen.label, *held)
                self._camera.close()
                self.size = held
                self._start(fps, chosen.path)
            if pixels != PYVIRTUALCAM_PIXELS or accepted_size(self.size) != self.size:
                raise SinkError(
                    f"a program that shows {chosen.path} keeps it at {self.size[0]} x {self.size[1]} {pixels}: close it, then try again"
                )
        except SinkError:
            self.close()
            raise

    def send(self, image: Image) -> None:
        super().send(image)
        if self._first:
            self._first = False
            self._claim.mark()

    def close(self) -> None:
        super().close()
        self._claim.close()


def choose_loopback(device: str | None) -> Device:
    """The v4l2loopback device meant: by path, number or name; None takes the one called livepuppet, or else the first.

    Raises:
        SinkError: naming the ones that are there.
    """
    present = list_virtual_cameras()
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


def error_line(error: Exception) -> str:
    return "; ".join(part.strip() for part in str(error).splitlines() if part.strip())


def open_backend(size: Size, fps: float, device: str | None) -> CameraBackend:
    """The virtual camera that is meant, or the best one there is.

    Raises:
        SinkError: with the command that brings one.
    """
    if sys.platform != "linux":
        return PyvirtualcamBackend(size, fps, device)
    from livepuppet.sinks.virtual_camera.pipewire import PipeWireBackend, pipewire_obstacle

    if device == "pipewire":
        return PipeWireBackend(size, fps)
    if device is None and not list_virtual_cameras() and not pipewire_obstacle():
        log.info("no v4l2loopback camera here: offering one through PipeWire instead (for Zoom, Teams and Chrome: %s)", INSTALL)
        return PipeWireBackend(size, fps)
    return LoopbackBackend(size, fps, device)
