"""Webcams, through OpenCV: always the newest picture, and patience when somebody pulls the plug."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from itertools import product

import numpy as np

# Read by OpenCV when it is imported or first used. Media Foundation's hardware transforms make it open a camera in minutes instead
# of seconds; for a V4L2 camera that has stopped it otherwise waits 10 s.
os.environ.setdefault("OPENCV_VIDEOIO_MSMF_ENABLE_HW_TRANSFORMS", "0")
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "2")

import cv2

from livepuppet.devices import Device, Mode, find_again, find_camera, list_cameras
from livepuppet.devices.choice import remembered_camera
from livepuppet.devices.raw import as_bgr, describe_pixels
from livepuppet.errors import SourceError, UsageError
from livepuppet.types import Closing, Frame, Image, Size

log = logging.getLogger("livepuppet.camera")

RETRY_S = 0.5
FIRST_PICTURE_S = 6.0
"""Some webcams need seconds for their first picture; after this long one counts as not delivering."""
QUIET_S = 1.0
"""No new picture for so long is worth telling the person."""
BLACK_S = 1.5
"""Cameras start with a few black pictures; a person hears of it when they stay so."""
BLACK_LEVEL = 24
"""The brightest sample of a picture that counts as black (0 … 255): sensor noise behind a shut lens stays below."""
LOG_ERRORS = 2
"""cv::utils::logging::LOG_LEVEL_ERROR."""
BACKENDS = {"linux": [cv2.CAP_V4L2], "win32": [cv2.CAP_DSHOW, cv2.CAP_MSMF], "darwin": [cv2.CAP_AVFOUNDATION]}
"""DirectShow first: its numbers are those of the names, and it opens in a tenth of Media Foundation's time."""


class CameraSource(Closing):
    """One webcam. A thread of its own empties the driver's queue, so that `read` gives the newest picture there is.

    Args:
        which: number, name, part of a name, device file, or a Device; None takes the remembered camera or else the first that delivers,
            never a virtual one.
        size, fps: what to ask of the camera; it may deliver otherwise. size None: near 1280x720.

    Raises:
        UsageError: listing the cameras when there is no such camera.
        SourceError: when it is there and does not deliver.
    """

    live = True
    mirrored = True

    def __init__(self, which: int | str | Device | None = None, *, size: Size | None = (1280, 720), fps: float = 30.0) -> None:
        self._wanted = (size, fps)
        self._change = threading.Condition()
        self._newest: tuple[Image, Size, int, float] | None = None  # as OpenCV gave it, claimed size, index, arrival
        self._taken = -1
        self._count = 0
        self._closed = False
        self._lost = ""
        self._odd = ""
        self._dark_since: float | None = None
        self._arrived = time.monotonic()
        if which is None:
            opened = open_first(size, fps)
            if opened is None:
                raise UsageError("no camera found: plug one in, or use the source 'demo' (livepuppet doctor says more)", parameter="camera")
            self.device, self._capture = opened
        else:
            self.device = which if isinstance(which, Device) else find_camera(which)
            self._capture = open_capture(self.device, size, fps)
        self.name = self.device.label
        claimed = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.fps = claimed if 1.0 <= claimed <= 240.0 else float(fps)
        self._thread = threading.Thread(target=self._drain, name="camera", daemon=True)
        self._thread.start()

    @classmethod
    def first(cls, *, size: Size | None = (1280, 720), fps: float = 30.0) -> CameraSource | None:
        """`auto`: the camera as for `which=None`, or None when this machine has none that delivers (said why at level INFO)."""
        try:
            return cls(None, size=size, fps=fps)
        except UsageError:
            return None

    @property
    def trouble(self) -> str:
        if self._lost:
            return self._lost
        if self._odd:
            return self._odd
        if time.monotonic() - self._arrived > QUIET_S:
            return f"camera '{self.name}' has stopped sending pictures: waiting for it"
        if self._dark_since is not None and time.monotonic() - self._dark_since > BLACK_S:
            return f"camera '{self.name}' sends black pictures: is its cover shut, or another program using it?"
        return ""

    def read(self) -> Frame | None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._closed or (self._newest is not None and self._newest[2] > self._taken))
                if self._closed or self._newest is None:
                    return None
                raw, size, index, arrived = self._newest
                self._taken = index
            image = as_bgr(raw, size)
            if image is None:
                self._odd = f"camera '{self.name}' sends pictures of a shape nobody can read ({describe_pixels(raw)}): try another size"
                continue
            self._odd = ""
            self._watch_darkness(image, arrived)
            return Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False), index, arrived)

    def close(self) -> None:
        with self._change:
            self._closed = True
            self._change.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _watch_darkness(self, image: Image, arrived: float) -> None:
        if int(image[::16, ::16].max()) > BLACK_LEVEL:
            self._dark_since = None
        elif self._dark_since is None:
            self._dark_since = arrived

    def _drain(self) -> None:
        """The thread: take every picture from the driver, keep the newest; on failure reopen until it works or `close`."""
        capture: cv2.VideoCapture | None = self._capture
        size = capture_size(self._capture)
        while not self._closed:
            if capture is None:
                capture = self._reopen()
                size = capture_size(capture) if capture is not None else size
                continue
            if not capture.grab():
                capture.release()
                capture = None
                self._lost = f"camera '{self.name}' is gone: plug it in again, or close the program that took it (trying every {RETRY_S} s)"
                log.info("%s", self._lost)
                continue
            arrived = time.monotonic()
            fine, image = capture.retrieve()
            if fine and image is not None and image.size:
                with self._change:
                    self._newest = (image.astype(np.uint8, copy=False), size, self._count, arrived)
                    self._count += 1
                    self._arrived = arrived
                    self._change.notify_all()
        if capture is not None:
            capture.release()

    def _reopen(self) -> cv2.VideoCapture | None:
        """One attempt, after a pause that `close` cuts short."""
        with self._change:
            if self._change.wait_for(lambda: self._closed, RETRY_S):
                return None
        try:
            self.device = find_again(self.device)
            capture = open_capture(self.device, *self._wanted, stop=lambda: self._closed)
        except (UsageError, SourceError) as error:
            log.debug("not yet: %s", error)
            return None
        self._lost = ""
        self._dark_since = None
        self._arrived = time.monotonic()
        log.info("camera '%s' is back", self.name)
        return capture


def open_first(size: Size | None, fps: float) -> tuple[Device, cv2.VideoCapture] | None:
    """The remembered camera, or else the first real one that delivers a picture; None if none does."""
    cameras = [camera for camera in list_cameras() if not camera.accepts]
    favourite = remembered_camera()
    cameras.sort(key=lambda camera: favourite not in {camera.label, camera.name})
    for camera in cameras:
        try:
            capture = open_capture(camera, size, fps)
        except SourceError as error:
            log.info("%s", error)
            continue
        why = " (the one remembered)" if favourite in {camera.label, camera.name} else ""
        log.info("camera: %s%s", camera.label, why)
        return camera, capture
    return None


def open_capture(device: Device, size: Size | None, fps: float, *, stop: Callable[[], bool] = lambda: False) -> cv2.VideoCapture:
    """Open it in the mode nearest to the wish and wait for its first picture.

    Format, size and rate go in at opening: DirectShow ignores what is set later, and V4L2 would restart the stream for each.

    Args:
        stop: asked between pictures; True gives up.

    Raises:
        SourceError: saying what is in the way.
    """
    cv2.setLogLevel(LOG_ERRORS)  # its warnings would only repeat on stderr what is said in one line here
    if device.obstacle:
        raise SourceError(f"camera '{device.label or device.name}': {device.obstacle}")
    if device.modes and device.best_mode(size, fps) is None:
        offered = ", ".join(sorted({mode.pixels.strip() for mode in device.modes}))
        raise SourceError(f"camera '{device.label or device.name}' offers only pixel formats that cannot be read here ({offered})")
    for backend, wishes in product(BACKENDS.get(sys.platform, [cv2.CAP_ANY]), attempts(device, size, fps)):
        capture = cv2.VideoCapture()
        if not capture.open(device.target, backend, wishes):
            continue
        if delivers(capture, stop):
            return capture
        capture.release()
        if stop():
            break
    raise SourceError(f"camera '{device.label or device.name}' {why_silent(device)}")


def attempts(device: Device, size: Size | None, fps: float) -> list[list[int]]:
    """Parameter lists for VideoCapture.open, the best first. Where the device lists its modes only what it can do is asked."""
    mode = device.best_mode(size, fps)
    if mode is not None:
        return [exact(mode, fps), []]
    plain = [cv2.CAP_PROP_FRAME_WIDTH, size[0], cv2.CAP_PROP_FRAME_HEIGHT, size[1]] if size else []
    rate = [cv2.CAP_PROP_FPS, round(fps)]
    if sys.platform == "darwin":
        return [plain, []] if plain else [[]]  # AVFoundation knows neither formats nor rates here
    return [[cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"), *plain, *rate], [*plain, *rate], plain, []]


def exact(mode: Mode, fps: float) -> list[int]:
    fourcc = [cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*mode.pixels)]
    rate = [cv2.CAP_PROP_FPS, max(1, round(min(mode.fps, fps)))] if mode.fps else []
    return [*fourcc, cv2.CAP_PROP_FRAME_WIDTH, mode.size[0], cv2.CAP_PROP_FRAME_HEIGHT, mode.size[1], *rate]


def delivers(capture: cv2.VideoCapture, stop: Callable[[], bool]) -> bool:
    """Whether a first picture comes in time."""
    until = time.monotonic() + FIRST_PICTURE_S
    while time.monotonic() < until and not stop():
        if capture.grab():
            return True
        time.sleep(0.02)
    return False


def why_silent(device: Device) -> str:
    if sys.platform == "linux":
        from livepuppet.devices.v4l2 import users

        holders = ", ".join(users(device.path))
        if holders:
            return f"is being used by {holders}: close it there"
        return "does not deliver: another program may be using it, or unplug it and plug it in again"
    if sys.platform == "darwin":
        return "does not deliver: allow the terminal under System Settings > Privacy & Security > Camera"
    return "does not deliver: close other programs that use it, and allow desktop apps under Settings > Privacy > Camera"


def capture_size(capture: cv2.VideoCapture) -> Size:
    return int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
