"""Cameras and virtual cameras of this machine: what is there, what it is called, and which one a person means.

Nothing is opened for streaming here; the camera source and the virtual-camera sink do that.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import replace

from livepuppet.devices.device import Device, Mode
from livepuppet.errors import UsageError

__all__ = ["Device", "Mode", "find_again", "find_camera", "list_cameras", "list_devices", "list_virtual_cameras"]


def list_devices() -> list[Device]:
    """Cameras and virtual cameras, by number; each with a label that is unique among them."""
    if sys.platform == "linux":
        from livepuppet.devices import v4l2

        found = v4l2.list_v4l2_devices()
    elif sys.platform == "win32":
        from livepuppet.devices import desktop

        found = desktop.windows()
    elif sys.platform == "darwin":
        from livepuppet.devices import desktop

        found = desktop.macos()
    else:
        found = []
    return label_devices(found)


def label_devices(found: list[Device]) -> list[Device]:
    """Give each device its label: its name, and where two share one, the port (or, without one, the number) beside it."""
    counts = Counter(device.name for device in found)
    buses = Counter((device.name, device.bus) for device in found)

    def label(device: Device) -> str:
        if counts[device.name] == 1:
            return device.name
        unique = device.bus and buses[device.name, device.bus] == 1
        return f"{device.name} ({device.bus if unique else device.index})"

    return [replace(device, label=label(device)) for device in found]


def list_cameras() -> list[Device]:
    """All that pictures can be read from now, virtual cameras that another program feeds among them."""
    return [device for device in list_devices() if device.captures]


def list_virtual_cameras() -> list[Device]:
    """The virtual cameras a program can write to."""
    return [device for device in list_devices() if device.accepts]


def find_camera(which: int | str) -> Device:
    """The camera a person means: a number, a device file, a name, or a part of a name that only one has.

    Raises:
        UsageError: listing the cameras that are there.
    """
    cameras = list_cameras()
    text = str(which).strip()
    folded = text.casefold()
    if text.lstrip("-").isdigit():
        found = [camera for camera in cameras if camera.index == int(text)]
    elif text.startswith("/dev/"):
        found = [camera for camera in cameras if camera.path == os.path.realpath(text)]
    else:
        found = [camera for camera in cameras if folded in {camera.label.casefold(), camera.name.casefold()}]
        found = found or [camera for camera in cameras if folded and folded in camera.label.casefold()]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"more than one camera is called '{text}': say which by number: {inventory(found)}")
    if not cameras:
        raise UsageError(f"no camera '{text}': there is no camera on this machine (livepuppet doctor says why)")
    raise UsageError(f"no camera '{text}': there {'is' if len(cameras) == 1 else 'are'} {inventory(cameras)}")


def find_again(device: Device) -> Device:
    """The same camera after it was plugged in again, perhaps under another number: by name and port, or by name where only one has it.

    Raises:
        UsageError: while it is not there.
    """
    named = [camera for camera in list_cameras() if camera.name == device.name]
    same = [camera for camera in named if camera.bus == device.bus] or named
    if len(same) != 1:
        raise UsageError(f"camera '{device.label}' is not plugged in")
    return same[0]


def inventory(cameras: list[Device]) -> str:
    """'0 "HD Webcam", 2 "OBS Virtual Camera"'."""
    return ", ".join(f'{camera.index} "{camera.label}"' for camera in cameras)
