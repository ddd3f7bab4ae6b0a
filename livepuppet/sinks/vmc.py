"""livepuppet as a tracker for other programs: what the driver does, in numbers, as VMC (OSC over UDP); no picture leaves by this way."""

from __future__ import annotations

import logging
import math
import socket
import time
from urllib.parse import urlsplit

import numpy as np
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder

from livepuppet.errors import SinkError, UsageError
from livepuppet.types import Closing, ExpressionFrame, Floats, Frame, Size
from livepuppet.vision.expressions import EXPRESSION_UNITS

log = logging.getLogger("livepuppet.vmc")

PORT = 39_539
HEAD_HEIGHT = 1.5
"""Metres, where avatars have their heads: receivers expect some place."""
FACE_METRES = 0.15
AT_ONCE = 26
"""Units in one packet, so that it fits into one of the network's."""


class VmcSender(Closing):
    """Sends ARKit's 52 units ("perfect sync"), the head's turn and the eyes' to a program that receives VMC.

    Args:
        address: 'vmc://HOST:PORT'.

    Raises:
        UsageError: an address that is none, or a host that nobody knows.
    """

    live = True

    def __init__(self, address: str) -> None:
        try:
            parts = urlsplit(address)
            host, port = parts.hostname, parts.port or PORT
        except ValueError:
            host, port, parts = None, PORT, urlsplit("")
        if parts.scheme.lower() != "vmc" or not host:
            raise UsageError(f"'{address}' is no address to send to: write vmc://HOST:{PORT}", parameter="send")
        try:
            self._to = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_DGRAM)[0][4]
        except OSError as error:
            raise UsageError(f"there is no computer '{host}' to send to: {error.strerror or error}", parameter="send") from error
        self.name = f"VMC to {host}:{port}"
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._told: ExpressionFrame | None = None
        self._began = time.monotonic()
        self._unreachable = False

    def open(self, size: Size, fps: float, *, lossless: bool) -> None:
        return None

    def follow(self, told: ExpressionFrame | None) -> None:
        self._told = told

    def write(self, frame: Frame) -> None:
        """Send what the driver did at this frame; while nobody is seen, only that.

        Raises:
            SinkError: after it was closed.
        """
        seconds = ("/VMC/Ext/T", float(frame.captured_at - self._began))
        if self._told is None:
            self._send([("/VMC/Ext/OK", 0), seconds])
            return
        told = self._told
        looks = np.append(told.gaze, 0.0)
        turns = [("Head", told.head), ("LeftEye", looks), ("RightEye", looks)]
        place = [HEAD_HEIGHT * (bone == "Head") for bone, _ in turns]
        bones = [
            ("/VMC/Ext/Bone/Pos", bone, -FACE_METRES * float(told.shift[0]) * (bone == "Head"), up, 0.0, *unity_quaternion(turn))
            for (bone, turn), up in zip(turns, place, strict=True)
        ]
        self._send([("/VMC/Ext/OK", 1), seconds, *bones])
        values = [
            ("/VMC/Ext/Blend/Val", name[0].upper() + name[1:], float(w)) for name, w in zip(EXPRESSION_UNITS, told.weights, strict=True)
        ]
        for start in range(0, len(values), AT_ONCE):
            last = start + AT_ONCE >= len(values)
            self._send([*values[start : start + AT_ONCE], *([("/VMC/Ext/Blend/Apply",)] if last else [])])

    def close(self) -> None:
        self._socket.close()

    def _send(self, messages: list[tuple[object, ...]]) -> None:
        bundle = OscBundleBuilder(IMMEDIATELY)
        for address, *values in messages:
            builder = OscMessageBuilder(str(address))
            for value in values:
                builder.add_arg(value)  # type: ignore[arg-type]
            bundle.add_content(builder.build())
        if self._socket.fileno() < 0:
            raise SinkError(f"{self.name} is closed")
        try:
            self._socket.sendto(bundle.build().dgram, self._to)
            self._unreachable = False
        except OSError as error:  # nobody listens yet, or the network is away: whoever comes gets the next frame
            if not self._unreachable:
                log.info("%s: %s; still trying", self.name, error.strerror or error)
            self._unreachable = True


def unity_quaternion(head: Floats) -> tuple[float, float, float, float]:
    """Yaw, pitch and roll (radians, as `ExpressionFrame.head`) -> x, y, z, w for Unity's axes, in which the avatar looks along z."""
    (sy, sp, sr), (cy, cp, cr) = ([f(-float(head[0]) / 2), f(float(head[1]) / 2), f(float(head[2]) / 2)] for f in (math.sin, math.cos))
    return (
        cy * sp * cr + sy * cp * sr,
        sy * cp * cr - cy * sp * sr,
        cy * cp * sr - sy * sp * cr,
        cy * cp * cr + sy * sp * sr,
    )
