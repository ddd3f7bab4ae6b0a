"""The camera of a browser: one visitor at a time sends images, the newest is used, and a tab that closes leaves the puppet idling."""

from __future__ import annotations

import io
import threading
import time
from typing import Any, Protocol

import cv2
import numpy as np
from PIL import Image as PILImage
from PIL import UnidentifiedImageError

from livepuppet.types import Closing, Frame, Image

PAGE_CAMERA = "this browser's camera"
"""As it is called among the cameras."""
LARGEST_SIDE = 1920
QUIET_S = 1.5
"""Without an image for so long, the page is told."""


class CallFrame(Protocol):
    """A frame of a WebRTC call, decoded but not yet converted."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    def to_ndarray(self, *, format: str) -> Any: ...


class CameraSeat:
    """Whose camera drives: one visitor's, until they leave. Methods may be called from any thread.

    Attributes:
        way: how its images come: 'JPEG' or 'WebRTC', '' while none have.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._holder: object | None = None
        self._newest: tuple[bytes | CallFrame, float] | None = None
        self.way = ""

    @property
    def taken(self) -> bool:
        return self._holder is not None

    def sit(self, visitor: object) -> bool:
        """Take the seat; False where somebody else has it."""
        with self._changed:
            if self._holder not in (None, visitor):
                return False
            self._holder = visitor
            return True

    def leave(self, visitor: object) -> None:
        """Free the seat, if this visitor has it; an image that waits is forgotten."""
        with self._changed:
            if self._holder is visitor:
                self._holder, self._newest, self.way = None, None, ""

    def offer(self, visitor: object, image: bytes | CallFrame) -> bool:
        """Hand over one JPEG, or frame of a call, in place of an older one that nobody took; False where the visitor has not the seat."""
        with self._changed:
            if self._holder is not visitor:
                return False
            self._newest = image, time.monotonic()
            self.way = "JPEG" if isinstance(image, bytes) else "WebRTC"
            self._changed.notify_all()
            return True

    def take(self, timeout: float) -> tuple[bytes | CallFrame, float] | None:
        """The newest image and when it came; None when none comes within so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None, timeout)
            newest, self._newest = self._newest, None
            return newest


class PageCamera(Closing):
    """A source that delivers what the visitor in the seat sends."""

    name = PAGE_CAMERA
    live = True
    mirrored = True
    fps = 30.0
    POLL_S = 0.1

    def __init__(self, seat: CameraSeat) -> None:
        self._seat = seat
        self._closed = threading.Event()
        self._arrived = float("-inf")
        self._unreadable = ""
        self._index = 0

    @property
    def trouble(self) -> str:
        """One line while nothing comes."""
        if self._unreadable:
            return self._unreadable
        if time.monotonic() - self._arrived <= QUIET_S:
            return ""
        return "the browser has stopped sending its camera" if self._seat.taken else "waiting for a browser to send its camera"

    def read(self) -> Frame | None:
        """The newest image; None once closed. One that cannot be read is left out."""
        while not self._closed.is_set():
            newest = self._seat.take(self.POLL_S)
            if newest is None:
                continue
            sent, arrived = newest
            image = decode_camera_image(sent) if isinstance(sent, bytes) else convert_call_frame(sent)
            if image is None:
                self._unreadable = f"the browser sends what is no image of at most {LARGEST_SIDE} pixels a side"
                continue
            self._unreadable, self._arrived = "", arrived
            self._index += 1
            return Frame(image, self._index, arrived)
        return None

    def close(self) -> None:
        """End a waiting `read`, at once but for POLL_S. May be called twice."""
        self._closed.set()


def convert_call_frame(frame: CallFrame) -> Image | None:
    """A call's frame as RGB uint8 (H, W, 3); None where it is too large."""
    if max(frame.width, frame.height) > LARGEST_SIDE:
        return None
    return np.ascontiguousarray(frame.to_ndarray(format="rgb24"), np.uint8)


def decode_camera_image(data: bytes) -> Image | None:
    """A JPEG as RGB uint8 (H, W, 3); None for anything else. Its size is looked at before it is decoded."""
    try:
        with PILImage.open(io.BytesIO(data), formats=["JPEG"]) as header:
            size = header.size
    except (UnidentifiedImageError, PILImage.DecompressionBombError, OSError, ValueError, SyntaxError):
        return None
    if not (min(size) >= 16 and max(size) <= LARGEST_SIDE):
        return None
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return None if image is None else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
