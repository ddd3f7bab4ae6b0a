"""Whether a window can be opened at all. Asked beforehand, because OpenCV's Qt ends the whole process when it cannot."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from livepuppet.sinks.window import sight

INSTEAD = "choose a file, a virtual camera or none as the output"

ATTEMPTS, BETWEEN_S = 3, 0.15
"""A server that is just starting over deserves another try."""

_held: list[int] = []
"""The last connection that worked, kept open: an X server starts over when its last client leaves (a bare one in tests has no other),
and would throw out the window that comes right after us."""


def display_available() -> bool:
    """Whether a window would open here and now."""
    return not display_trouble()


def display_trouble(platform: str = sys.platform, environment: Mapping[str, str] = os.environ) -> str:
    """Why no window can be opened, as one line that says what to do; '' when one can."""
    if platform in ("win32", "darwin"):
        return ""
    display = environment.get("DISPLAY", "")
    if not display:
        if environment.get("WAYLAND_DISPLAY"):
            return f"OpenCV's window needs XWayland, which this desktop does not offer (DISPLAY is not set): {INSTEAD}"
        return f"there is no screen (DISPLAY is not set): {INSTEAD}"
    return _missing_library() or _refused(display)


def window_stays_black(name: str, size: tuple[int, int]) -> bool:
    """Whether the window of that name is on an X screen and was never painted. False on systems without X, and where nobody can tell."""
    return bool(_held) and sight.stays_black(_held[-1], name, size)


def _missing_library() -> str:
    """OpenCV's wheels bring Qt, but Qt's screen driver wants the system's X11 libraries."""
    spec = find_spec("cv2")
    if spec is None or spec.origin is None:
        return "OpenCV is not installed: pip install opencv-contrib-python"
    driver = Path(spec.origin).parent / "qt" / "plugins" / "platforms" / "libqxcb.so"
    if not driver.exists():
        return ""  # a build with another window system; it brings its own
    try:
        ctypes.CDLL(str(driver))
    except OSError as error:
        return f"a system library for windows is missing ({error}): install it, or {INSTEAD}"
    return ""


def _refused(display: str) -> str:
    """Knock at the X server: it may be gone, or not let this user in."""
    try:
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError:
        return f"the system library libxcb.so.1 is missing: install it (Debian, Ubuntu: apt install libxcb1), or {INSTEAD}"
    xcb.xcb_connect.restype = ctypes.c_void_p
    xcb.xcb_connect.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    xcb.xcb_connection_has_error.argtypes = [ctypes.c_void_p]
    xcb.xcb_disconnect.argtypes = [ctypes.c_void_p]
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(BETWEEN_S)
        connection = xcb.xcb_connect(display.encode(), None)  # never NULL; a failed one carries its error
        if not xcb.xcb_connection_has_error(connection):
            break
        xcb.xcb_disconnect(connection)
    else:
        return f"the screen '{display}' (DISPLAY) does not answer or lets nobody in: {INSTEAD}"
    _held.append(connection)
    while len(_held) > 1:
        xcb.xcb_disconnect(_held.pop(0))
    return ""
