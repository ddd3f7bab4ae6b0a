"""What the page shows: a sink and screen that keeps the newest frame, encoded only where somebody looks, and never queued."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable

import cv2
import numpy as np

from livepuppet.sinks.window.mirror import draw_mirror
from livepuppet.types import Frame, Image, Size, Status

JPEG_QUALITY = 85
INSET_WIDTH = 320
LARGEST = 1280
"""Long side of what is sent; larger frames are reduced."""


class PagePicture:
    """The newest frame and the driver's own image beside it: `Sink` and `Screen` of types.py.

    Attributes:
        live: whether it counts as somebody watching; a page beside a recording that may lose no frame does not.
        sequence: grows with every frame.
    """

    name = "page"

    def __init__(self, *, live: bool = True) -> None:
        self.live = live
        self.sequence = 0
        self._frame: Frame | None = None
        self._status = Status()
        self._listeners: set[Callable[[], None]] = set()
        self._lock = threading.Lock()
        self._encoding = threading.Lock()
        self._encoded: tuple[int, bytes] = (0, b"")

    def open(self, size: Size, fps: float, *, lossless: bool) -> None:
        """Nothing to be done: it takes frames of any size."""

    def show(self, status: Status) -> None:
        """See `Screen.show`."""
        self._status = status

    def keys(self) -> list[str]:
        """The page's keys act on the controls themselves."""
        return []

    def write(self, frame: Frame) -> None:
        """Keep the frame, and wake those who wait for one."""
        with self._lock:
            self._frame = frame
            self.sequence += 1
            listeners = list(self._listeners)
        for listener in listeners:
            listener()

    def close(self) -> None:
        """Forget the frame; what waits for another is not woken again."""
        with self._lock:
            self._frame, self._status = None, Status()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call it, in the session's thread, whenever there is a new frame."""
        with self._lock:
            self._listeners.add(listener)

    def unlisten(self, listener: Callable[[], None]) -> None:
        with self._lock:
            self._listeners.discard(listener)

    def jpeg(self) -> bytes:
        """The newest frame alone; b'' before the first one."""
        return split_bundle(self.bundle()[1])[0]

    def bundle(self) -> tuple[int, bytes]:
        """The newest frame's number and, in one message, its JPEG and that of the driver's image; b'' before the first frame.

        Encoded once, however many look. May be called from any thread.
        """
        with self._encoding:
            with self._lock:
                frame, status, sequence = self._frame, self._status, self.sequence
            if frame is None:
                return sequence, b""
            if self._encoded[0] != sequence:
                puppet = encode_jpeg(frame.image)
                inset = encode_jpeg(draw_inset(status)) if status.driving is not None else b""
                self._encoded = sequence, struct.pack(">I", len(puppet)) + puppet + inset
            return self._encoded


def split_bundle(bundle: bytes) -> tuple[bytes, bytes]:
    """The two images of a message: the puppet's and the driver's."""
    if not bundle:
        return b"", b""
    (length,) = struct.unpack_from(">I", bundle)
    return bundle[4 : 4 + length], bundle[4 + length :]


def draw_inset(status: Status) -> Image:
    """The driver's image with the framing guide, landmarks and overlay that a window would draw."""
    assert status.driving is not None
    height, width = status.driving.shape[:2]
    return draw_mirror(status, (INSET_WIDTH, max(1, round(INSET_WIDTH * height / width))))


def encode_jpeg(image: Image, quality: int = JPEG_QUALITY) -> bytes:
    """An RGB image as JPEG, reduced to LARGEST."""
    height, width = image.shape[:2]
    if max(height, width) > LARGEST:
        scale = LARGEST / max(height, width)
        image = np.asarray(cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA), np.uint8)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes()
