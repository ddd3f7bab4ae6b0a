"""Windows and macOS: names and numbers of the cameras, in the order in which OpenCV counts them."""

from __future__ import annotations

import json
import logging
import re
import subprocess

from livepuppet.devices.device import Device

log = logging.getLogger("livepuppet.devices")

VIRTUAL = re.compile(r"\b(obs|unity|livepuppet|virtual|vcam|snap camera|manycam|mmhmm|akvcam)\b", re.IGNORECASE)
"""Names of cameras that are programs: neither system says so otherwise."""
DIRECT_SHOW = 700
"""cv2.CAP_DSHOW: its numbers are the ones the names belong to."""


def devices_by_name(names: list[tuple[str, str]], driver: str) -> list[Device]:
    """Devices in OpenCV's order from (name, path) pairs."""
    return [
        Device(index=index, name=name, path=path, driver=driver, bus=path, accepts=bool(VIRTUAL.search(name)))
        for index, (name, path) in enumerate(names)
    ]


def windows() -> list[Device]:
    """DirectShow's cameras."""
    from cv2_enumerate_cameras import enumerate_cameras

    found = sorted(enumerate_cameras(DIRECT_SHOW), key=lambda camera: camera.index)
    return devices_by_name([(camera.name, camera.path or "") for camera in found], "DirectShow")


def macos() -> list[Device]:
    """AVFoundation's cameras; OpenCV numbers them in the order of their unique ids."""
    try:
        answer = subprocess.run(
            ["/usr/sbin/system_profiler", "-json", "SPCameraDataType"], capture_output=True, text=True, timeout=20, check=True
        )
        return parse_macos(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        log.debug("system_profiler did not list the cameras: %s", error)
        return []


def parse_macos(text: str) -> list[Device]:
    """`system_profiler -json SPCameraDataType` -> devices.

    Raises:
        ValueError: where it is not that.
    """
    entries = json.loads(text).get("SPCameraDataType", [])
    pairs = [(str(entry["_name"]), str(entry.get("spcamera_unique-id", ""))) for entry in entries if "_name" in entry]
    return devices_by_name(sorted(pairs, key=lambda pair: pair[1]), "AVFoundation")
