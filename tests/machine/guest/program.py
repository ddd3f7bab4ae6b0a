"""Runs inside the emulated machine (see ../check): the whole program, from the command line to a reader of the virtual camera."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from livepuppet.devices import list_virtual_cameras
from livepuppet.sinks.virtual_camera.placeholder import starting_placeholder

PUPPET = "/dev/video10"
SIZE = (320, 240)


def test_livepuppet_starts_at_once_and_then_moves() -> None:
    command = [sys.executable, "-m", "livepuppet", "--camera", "demo", "--output", "virtual", "--size", "320x240", "--frames", "12"]
    still = starting_placeholder(SIZE)[:, :, ::-1].astype(int)
    shown: list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]] = []
    starting_seen = 0
    begin = time.monotonic()
    with subprocess.Popen(command) as program:
        while not any(found.path == PUPPET and found.captures for found in list_virtual_cameras()):
            assert program.poll() is None, "it ended before the camera was there"
            time.sleep(0.2)
        capture = cv2.VideoCapture(PUPPET, cv2.CAP_V4L2)
        there_s = time.monotonic() - begin
        first_s = 0.0
        while program.poll() is None:
            fine, image = capture.read()
            if not fine:
                break
            if np.abs(image.astype(int) - still).mean() < 4:
                starting_seen += 1
            elif not shown or np.abs(image.astype(int) - shown[-1].astype(int)).mean() > 0.05:
                first_s = first_s or time.monotonic() - begin
                shown.append(image.astype(np.uint8))
        capture.release()
        assert program.wait(60) == 0
    print(f"\nvirtual camera there after {there_s:.0f} s, avatar after {first_s:.0f} s, {len(shown)} different pictures")
    cv2.imwrite(str(Path("/mnt/program.png")), np.hstack([starting_placeholder(SIZE)[:, :, ::-1], *shown[:1], *shown[-2:]]))
    assert starting_seen >= 1
    assert len(shown) >= 3
