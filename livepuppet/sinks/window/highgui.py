"""The window itself, on OpenCV's highgui. BGR and the window system's habits stay in this file."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from livepuppet.errors import SinkError
from livepuppet.sinks.window.compose import compose_window
from livepuppet.sinks.window.display import display_available, display_trouble, window_stays_black
from livepuppet.sinks.window.keys import key_name
from livepuppet.sinks.window.viewport import Viewport
from livepuppet.types import Frame, Image, Size, Status

LARGEST_AT_OPEN: Size = (1280, 760)
SMALLEST_SIDE_AT_OPEN = 480
STATISTICS_EVERY_S = 0.25
SETTLING_MS = 20
KEYS_PER_TURN = 32
REOPENINGS, LOOKS = 6, 6
"""How often a window that stays black is opened anew, and how often it is looked at before that (each after SETTLING_MS)."""

_numbers = itertools.count(1)


class Window:
    """A window that shows every frame it is given, and hears keys: `Sink` and `Screen` of types.py.

    Use it from the main thread: some systems know no other. When the person closes it, `keys` says 'close' once and `write` does
    nothing from then on.
    """

    name = "window"
    live = True

    def __init__(self, title: str = "livepuppet", *, clock: Callable[[], float] = time.monotonic) -> None:
        self.title = title
        self._clock = clock
        self._handle = ""
        self._open = False
        self._image: Image | None = None
        self._status = Status()
        self._pressed: list[str] = []
        self._stale = True
        self._heard = False
        self._next_key: Callable[[], int] = _wait_for_key
        self._recording_since: float | None = None
        self._statistics_at = 0.0
        self._viewport = Viewport(LARGEST_AT_OPEN, stretches=True)
        self._drawn = False

    @staticmethod
    def available() -> bool:
        """Whether a window could be opened here and now."""
        return display_available()

    def open(self, size: Size, fps: float, *, lossless: bool) -> None:
        """Open the window, large enough for the picture.

        Raises:
            SinkError: where there is no screen, saying what to do.
        """
        trouble = display_trouble()
        if trouble:
            raise SinkError(trouble)
        if sys.platform.startswith("linux"):
            # OpenCV's wheels carry Qt without its fonts, which we do not use, and only the X11 driver
            os.environ.setdefault("QT_LOGGING_RULES", "*.debug=false;qt.qpa.*=false")
            os.environ.setdefault("QT_QPA_PLATFORM", "xcb")
        self._bring_up(size)
        for _ in range(REOPENINGS):
            if not self._stays_black():
                break
            cv2.destroyWindow(self._handle)
            cv2.waitKeyEx(SETTLING_MS)
            self._bring_up(size)
        cv2.setWindowTitle(self._handle, self.title)
        self._listen()

    def _bring_up(self, size: Size) -> None:
        """A window with its title screen in it: loading an engine may take seconds from here."""
        self._handle = f"{self.title} {os.getpid()}.{next(_numbers)}"
        self._drawn = False
        try:
            # without GUI_NORMAL Qt adds a toolbar, and Ctrl+S a dialog that stops everything
            cv2.namedWindow(self._handle, cv2.WINDOW_NORMAL | cv2.WINDOW_FREERATIO | cv2.WINDOW_GUI_NORMAL)
            qt = cv2.currentUIFramework().startswith("QT")
            self._viewport = Viewport(opening_size(size), stretches=not qt)
            # Qt can look for keys without waiting a millisecond; elsewhere pollKey may lose the arrow keys
            self._next_key = cv2.pollKey if qt else _wait_for_key
            cv2.resizeWindow(self._handle, *self._viewport.size)
        except cv2.error as error:
            raise SinkError(
                "this OpenCV cannot open windows: reinstall it with "
                "`pip uninstall opencv-python-headless opencv-python opencv-contrib-python; pip install opencv-contrib-python`"
            ) from error
        self._open = True
        for _ in range(2):  # the first turn brings the window up, the second fills it
            self._draw()
            cv2.waitKeyEx(SETTLING_MS)

    def _stays_black(self) -> bool:
        for _ in range(LOOKS):
            if not window_stays_black(self._handle, self._viewport.size):
                return False
            cv2.waitKeyEx(SETTLING_MS)
        return True

    def write(self, frame: Frame) -> None:
        """Show the frame. The picture is copied before anything is drawn on it.

        Raises:
            SinkError: its message says what is wrong.
        """
        if not self._open:
            return
        self._image = frame.image
        self._draw()
        self._listen()
        self._heard = True

    def show(self, status: Status) -> None:
        """What to draw beside the frames from now on. Statistics are shown as often as one can read them."""
        now = self._clock()
        if status.recording and self._recording_since is None:
            self._recording_since = now
        elif not status.recording:
            self._recording_since = None
        known = len(status.statistics) == len(self._status.statistics)
        if known and now - self._statistics_at < STATISTICS_EVERY_S:
            status = replace(status, statistics=self._status.statistics)
        else:
            self._statistics_at = now
        self._status = status
        self._stale = True

    def keys(self) -> list[str]:
        """Keys pressed since the last call. Called without frames in between, it keeps the window alive and drawn."""
        if self._open and not self._heard:
            if self._stale:
                self._draw()
            self._listen()
        self._heard = False
        pressed, self._pressed = self._pressed, []
        return pressed

    def close(self) -> None:
        """Close the window. May be called twice."""
        if not self._open:
            return
        self._open = False
        self._image = None
        cv2.destroyWindow(self._handle)
        cv2.waitKeyEx(1)  # the window system takes it away only when asked for events

    def _draw(self) -> None:
        try:
            view = self._viewport
            if self._drawn:
                x, y, width, height = cv2.getWindowImageRect(self._handle)
                view.update((x, y, width, height))
            recorded = 0.0 if self._recording_since is None else self._clock() - self._recording_since
            canvas = compose_window(self._image, self._status, view.size, recorded_s=recorded)
            if view.sent != view.size:
                canvas = np.asarray(cv2.resize(canvas, view.sent, interpolation=cv2.INTER_LINEAR), np.uint8)
            cv2.imshow(self._handle, cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR, dst=canvas))
            self._drawn = True
        except cv2.error as error:
            raise SinkError(f"the window cannot be drawn: {error.err or error}") from error
        self._stale = False

    def _listen(self) -> None:
        """Let the window system do its work, note the keys, and find out whether the window was closed."""
        for _ in range(KEYS_PER_TURN):
            code = self._next_key()
            if code == -1:
                break
            name = key_name(code)
            if name:
                self._pressed.append(name)
        try:
            visible = cv2.getWindowProperty(self._handle, cv2.WND_PROP_VISIBLE) >= 1
        except cv2.error:
            visible = False
        if not visible:
            # imshow would open a closed window again, so nothing is drawn from here on
            self._open = False
            self._image = None
            self._pressed.append("close")


def _wait_for_key() -> int:
    return cv2.waitKeyEx(1)


def opening_size(image: Size) -> Size:
    """How large the window opens: the picture's own size, made to fit a laptop's screen, and never too small to read."""
    fits = min(LARGEST_AT_OPEN[0] / image[0], LARGEST_AT_OPEN[1] / image[1])
    scale = min(fits, max(1.0, SMALLEST_SIDE_AT_OPEN / min(image)))
    return round(image[0] * scale), round(image[1] * scale)
