"""Whether an X server shows anything of our window. Qt now and then loses the event that says its window is on the screen (seen where no
window manager runs, on a busy machine); it then never paints, however often it is asked, and only a new window helps."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import numpy as np

WM_NAME, ANY_TYPE, Z_PIXMAP, ALL_PLANES = 39, 0, 2, 0xFFFFFFFF
DEPTH = 4
"""Window managers put windows into frames of their own; deeper than this they do not."""
DARKEST_LETTER = 100
"""The title that fills a new window is brighter than this; a window that was never painted is black."""


class _Cookie(ctypes.Structure):
    _fields_ = (("sequence", ctypes.c_uint),)


class _Server:
    """One connection's questions; every reply is copied and freed."""

    def __init__(self, connection: int) -> None:
        self.xcb, self.free, self.connection = ctypes.CDLL("libxcb.so.1"), ctypes.CDLL(None).free, ctypes.c_void_p(connection)
        self.free.argtypes = [ctypes.c_void_p]

    def ask(self, request: str, data: str, *words: object) -> bytes | None:
        """What the server answers to the request; None where it refuses."""
        send, receive = getattr(self.xcb, f"xcb_{request}"), getattr(self.xcb, f"xcb_{request}_reply")
        at, length = getattr(self.xcb, f"xcb_{request}_{data}"), getattr(self.xcb, f"xcb_{request}_{data}_length")
        send.restype, receive.restype, at.restype = _Cookie, ctypes.c_void_p, ctypes.c_void_p
        receive.argtypes, at.argtypes, length.argtypes = [ctypes.c_void_p, _Cookie, ctypes.c_void_p], [ctypes.c_void_p], [ctypes.c_void_p]
        reply = receive(self.connection, send(self.connection, *words), None)
        if not reply:
            return None
        try:
            size = length(reply) * (4 if data == "children" else 1)
            return ctypes.string_at(at(reply), size) if size else b""
        finally:
            self.free(reply)

    def root(self) -> int:
        class Screens(ctypes.Structure):
            _fields_ = (("data", ctypes.POINTER(ctypes.c_uint32)), ("remaining", ctypes.c_int), ("index", ctypes.c_int))

        self.xcb.xcb_get_setup.restype = ctypes.c_void_p
        self.xcb.xcb_setup_roots_iterator.restype, self.xcb.xcb_setup_roots_iterator.argtypes = Screens, [ctypes.c_void_p]
        return int(self.xcb.xcb_setup_roots_iterator(self.xcb.xcb_get_setup(self.connection)).data[0])

    def below(self, window: int, depth: int = DEPTH) -> Iterator[int]:
        for child in np.frombuffer(self.ask("query_tree", "children", ctypes.c_uint32(window)) or b"", np.uint32).tolist():
            yield child
            if depth > 1:
                yield from self.below(child, depth - 1)

    def name(self, window: int) -> bytes:
        words = [ctypes.c_uint8(0), *map(ctypes.c_uint32, (window, WM_NAME, ANY_TYPE, 0, 64))]
        return self.ask("get_property", "value", *words) or b""

    def pixels(self, window: int, size: tuple[int, int]) -> bytes | None:
        corner, sides = (ctypes.c_int16(0), ctypes.c_int16(0)), tuple(map(ctypes.c_uint16, size))
        return self.ask(
            "get_image", "data", ctypes.c_uint8(Z_PIXMAP), ctypes.c_uint32(window), *corner, *sides, ctypes.c_uint32(ALL_PLANES)
        )


def stays_black(connection: int, name: str, size: tuple[int, int]) -> bool:
    """Whether the window of that name and size (width, height in pixels) is on the screen and nothing was painted in it.

    `connection` is an open xcb connection. False also where that cannot be known: no such window, a part of it beyond the screen.
    """
    server = _Server(connection)
    found = next((window for window in server.below(server.root()) if server.name(window) == name.encode()), None)
    seen = None if found is None else server.pixels(found, size)
    if not seen or len(seen) != 4 * size[0] * size[1]:
        return False  # unknown, or a screen of few colours, whose bytes mean something else
    colours = np.frombuffer(seen, np.uint8).reshape(-1, 4)[:, :3]  # the fourth byte is padding, full or empty
    return bool(colours.max() < DARKEST_LETTER)
