"""A camera node on the PipeWire graph: a virtual camera for Linux desktops that needs no kernel module.

libpipewire is called through ctypes and found when it is needed; nothing is installed or linked for it. Structures:
pipewire/stream.h and spa/buffer/buffer.h of PipeWire 0.3, whose binary interface has been kept since.
"""

from __future__ import annotations

import ctypes
import logging
import os
import threading
from ctypes import CFUNCTYPE, POINTER, Structure, byref, c_char_p, c_int, c_int32, c_int64, c_uint32, c_uint64, c_void_p, cast
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livepuppet.errors import SinkError
from livepuppet.sinks.virtual_camera import spa
from livepuppet.types import Image, Size

log = logging.getLogger("livepuppet.virtual_camera")

NAME = "livepuppet"
PROPERTIES = f"media.class=Video/Source media.role=Camera node.name={NAME} node.description={NAME}"
OUTPUT, ANY = 1, 0xFFFFFFFF
MAP_BUFFERS, DRIVER = 1 << 2, 1 << 3
"""pw_stream_flags: we see the buffers as memory; and we, not a sound card, say when the next picture is due."""
FAILED, UNCONNECTED, PAUSED, STREAMING = -1, 0, 2, 3
CONNECT_S = 3.0

StateChanged = CFUNCTYPE(None, c_void_p, c_int, c_int, c_char_p)
ParamChanged = CFUNCTYPE(None, c_void_p, c_uint32, c_void_p)


class Chunk(Structure):
    """struct spa_chunk."""

    _fields_ = (("offset", c_uint32), ("size", c_uint32), ("stride", c_int32), ("flags", c_int32))


class Data(Structure):
    """struct spa_data."""

    _fields_ = (
        ("type", c_uint32),
        ("flags", c_uint32),
        ("fd", c_int64),
        ("mapoffset", c_uint32),
        ("maxsize", c_uint32),
        ("data", c_void_p),
        ("chunk", POINTER(Chunk)),
    )


class SpaBuffer(Structure):
    """struct spa_buffer."""

    _fields_ = (("n_metas", c_uint32), ("n_datas", c_uint32), ("metas", c_void_p), ("datas", POINTER(Data)))


class Buffer(Structure):
    """The beginning of struct pw_buffer."""

    _fields_ = (("buffer", POINTER(SpaBuffer)), ("user_data", c_void_p), ("size", c_uint64))


class Events(Structure):
    """struct pw_stream_events, version 2."""

    _fields_ = (
        ("version", c_uint32),
        ("destroy", c_void_p),
        ("state_changed", StateChanged),
        ("control_info", c_void_p),
        ("io_changed", c_void_p),
        ("param_changed", ParamChanged),
        ("add_buffer", c_void_p),
        ("remove_buffer", c_void_p),
        ("process", c_void_p),
        ("drained", c_void_p),
        ("command", c_void_p),
        ("trigger_done", c_void_p),
    )


SIGNATURES: dict[str, tuple[type | None, list[type]]] = {
    "pw_init": (None, [c_void_p, c_void_p]),
    "pw_thread_loop_new": (c_void_p, [c_char_p, c_void_p]),
    "pw_thread_loop_get_loop": (c_void_p, [c_void_p]),
    "pw_thread_loop_start": (c_int, [c_void_p]),
    "pw_thread_loop_lock": (None, [c_void_p]),
    "pw_thread_loop_unlock": (None, [c_void_p]),
    "pw_thread_loop_stop": (None, [c_void_p]),
    "pw_thread_loop_destroy": (None, [c_void_p]),
    "pw_properties_new_string": (c_void_p, [c_char_p]),
    "pw_stream_new_simple": (c_void_p, [c_void_p, c_char_p, c_void_p, c_void_p, c_void_p]),
    "pw_stream_connect": (c_int, [c_void_p, c_int, c_uint32, c_int, POINTER(c_void_p), c_uint32]),
    "pw_stream_dequeue_buffer": (c_void_p, [c_void_p]),
    "pw_stream_queue_buffer": (c_int, [c_void_p, c_void_p]),
    "pw_stream_trigger_process": (c_int, [c_void_p]),
    "pw_stream_update_params": (c_int, [c_void_p, POINTER(c_void_p), c_uint32]),
    "pw_stream_destroy": (None, [c_void_p]),
}


def library() -> ctypes.CDLL | None:
    """libpipewire with the signatures of what is used of it, or None where it is not installed."""
    try:
        loaded = ctypes.CDLL("libpipewire-0.3.so.0")
    except OSError:
        return None
    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


def pipewire_obstacle() -> str:
    """Why PipeWire cannot be used here, '' if it can."""
    if library() is None:
        return "libpipewire is not installed"
    folder = os.environ.get("PIPEWIRE_RUNTIME_DIR") or os.environ.get("XDG_RUNTIME_DIR")
    if not folder:
        return "there is no desktop session (XDG_RUNTIME_DIR is not set)"
    if not (Path(folder) / os.environ.get("PIPEWIRE_REMOTE", "pipewire-0")).is_socket():
        return "PipeWire is not running in this session"
    return ""


class PipeWireBackend:
    """The node. Pictures are pushed: each `send` makes the graph take the newest one.

    Raises:
        SinkError: its message says what is wrong.
    """

    name = NAME

    def __init__(self, size: Size, fps: float) -> None:
        found = library()
        reason = pipewire_obstacle()
        if found is None or reason:
            raise SinkError(f"no PipeWire camera: {reason}")
        self._library = found
        self.size = size[0] - size[0] % 2, size[1]
        self._state = UNCONNECTED
        self._failure = ""
        self._changed = threading.Event()
        self._pods: list[ctypes.Array[ctypes.c_char]] = []
        # ctypes calls back through these; they live as long as the stream.
        self._events = Events(
            version=2,
            state_changed=StateChanged(self._on_state),
            param_changed=ParamChanged(self._on_param),
        )
        found.pw_init(None, None)
        self._loop = found.pw_thread_loop_new(NAME.encode(), None)
        found.pw_thread_loop_lock(self._loop)
        self._stream = found.pw_stream_new_simple(
            found.pw_thread_loop_get_loop(self._loop),
            NAME.encode(),
            found.pw_properties_new_string(PROPERTIES.encode()),
            byref(self._events),
            None,
        )
        offer = self._pointer(spa.pod_video_format(*self.size, (max(1, round(fps)), 1)))
        result = found.pw_stream_connect(self._stream, OUTPUT, ANY, MAP_BUFFERS | DRIVER, offer, 1)
        found.pw_thread_loop_unlock(self._loop)
        found.pw_thread_loop_start(self._loop)
        if result < 0:
            self._failure = os.strerror(-result)
        elif not self._changed.wait(CONNECT_S):
            self._failure = "the service does not answer"
        if self._failure:
            self.close()
            raise SinkError(f"no PipeWire camera: {self._failure}")

    def send(self, image: Image) -> None:
        import cv2

        if self._failure:
            raise SinkError(f"the PipeWire camera was lost: {self._failure}")
        picture = np.ascontiguousarray(cv2.cvtColor(image, cv2.COLOR_RGB2YUV_YUY2))
        self._library.pw_thread_loop_lock(self._loop)
        try:
            if self._state == STREAMING:
                self._push(picture)
        finally:
            self._library.pw_thread_loop_unlock(self._loop)

    def _push(self, image: NDArray[Any]) -> None:
        """Fill a buffer, queue it, and only then start the graph's cycle.

        Filling it when the stream asks for it (its `process` event) would be one cycle too late: that event is handled after the
        cycle that asked, so every picture would reach the reader with the next one.
        """
        taken = self._library.pw_stream_dequeue_buffer(self._stream)
        if not taken:
            return  # the reader holds them all: it gets the next picture instead
        data = cast(taken, POINTER(Buffer)).contents.buffer.contents.datas[0]
        chunk = data.chunk.contents
        chunk.offset, chunk.size, chunk.stride, chunk.flags = 0, 0, 2 * self.size[0], 0
        if data.data and data.maxsize >= image.nbytes:
            ctypes.memmove(data.data, image.ctypes.data, image.nbytes)
            chunk.size = image.nbytes
        self._library.pw_stream_queue_buffer(self._stream, taken)
        self._library.pw_stream_trigger_process(self._stream)

    def close(self) -> None:
        if self._stream is None:
            return
        self._library.pw_thread_loop_stop(self._loop)
        self._library.pw_stream_destroy(self._stream)
        self._library.pw_thread_loop_destroy(self._loop)
        self._stream = None

    def _pointer(self, pod: bytes) -> ctypes.Array[c_void_p]:
        """A one-element array of pointers to the pod, which is kept alive."""
        self._pods.append(ctypes.create_string_buffer(pod, len(pod)))
        return (c_void_p * 1)(ctypes.addressof(self._pods[-1]))

    def _on_state(self, _: int, before: int, now: int, error: bytes | None) -> None:
        self._state = now
        if now == FAILED or (now == UNCONNECTED and before >= PAUSED):
            self._failure = error.decode("utf-8", "replace") if error else "the service has gone"
        if now >= PAUSED or self._failure:
            self._changed.set()

    def _on_param(self, _: int, parameter: int, value: int | None) -> None:
        """A reader has agreed on the format: say which buffers it takes."""
        if parameter == spa.FORMAT and value:
            self._library.pw_stream_update_params(self._stream, self._pointer(spa.buffers(*self.size)), 1)
