"""Which device a person means; the listing itself is tested against real drivers in tests/machine/guest/drivers.py."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import cv2
import pytest

from livepuppet.devices import Device, inventory, label_devices, list_devices
from livepuppet.devices.desktop import parse_macos, windows

REPORT = """{"SPCameraDataType": [
  {"_name": "OBS Virtual Camera", "spcamera_model-id": "OBS", "spcamera_unique-id": "7626645E-4425-469E-9D8B-97E0FA59AC75"},
  {"_name": "FaceTime HD Camera", "spcamera_model-id": "FaceTime HD Camera", "spcamera_unique-id": "3F45E80A-0176-46F7-B185-BB9E2C0E82E3"}
]}"""


def test_labels_are_the_names_made_unique_by_the_port() -> None:
    found = label_devices(
        [Device(0, "Cam", bus="usb-1"), Device(2, "Cam", bus="usb-2"), Device(4, "Other"), Device(5, "Same"), Device(6, "Same")]
    )
    assert [device.label for device in found] == ["Cam (usb-1)", "Cam (usb-2)", "Other", "Same (5)", "Same (6)"]
    assert inventory(found[:2]) == '0 "Cam (usb-1)", 2 "Cam (usb-2)"'


def test_macos_cameras_are_numbered_by_their_unique_ids() -> None:
    found = parse_macos(REPORT)
    assert [(device.index, device.name, device.accepts) for device in found] == [
        (0, "FaceTime HD Camera", False),
        (1, "OBS Virtual Camera", True),
    ]
    assert parse_macos("{}") == []
    with pytest.raises(ValueError):
        parse_macos("not JSON")


@pytest.mark.skipif(sys.platform != "linux", reason="asks the Linux kernel")
def test_listing_works_with_whatever_is_there() -> None:
    indices = [device.index for device in list_devices()]
    assert indices == sorted(set(indices))


def test_windows_cameras_keep_the_order_of_directshow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package that lists them runs on Windows only; what it answers has these attributes (cv2-enumerate-cameras 1.4)."""
    answer = [
        SimpleNamespace(index=1, name="OBS Virtual Camera", path=None),
        SimpleNamespace(index=0, name="HD Webcam", path=r"\\?\usb#vid_046d&pid_0825"),
    ]
    asked: list[int] = []

    def enumerate_cameras(backend: int) -> list[SimpleNamespace]:
        asked.append(backend)
        return answer

    monkeypatch.setitem(sys.modules, "cv2_enumerate_cameras", SimpleNamespace(enumerate_cameras=enumerate_cameras))
    found = windows()
    assert asked == [cv2.CAP_DSHOW]
    assert [(device.index, device.name, device.accepts, device.target) for device in found] == [
        (0, "HD Webcam", False, 0),
        (1, "OBS Virtual Camera", True, 1),
    ]
