"""Live Link Face, Epic's app: the phone sends to this machine's port 11111, as `livelink://:11111`.

A packet, big-endian: u8 version, the device's id and the subject's name (i32 length, bytes), the frame's time (u32 frame, f32 of the next,
u32 rate, u32 denominator), u8 count, then that many f32: ARKit's units in Unreal's order, and the angles of head and eyes in radians.
While no face is seen it ends before the count, or the count is 0.
"""

from __future__ import annotations

import struct

import numpy as np

from livepuppet.sources.trackers.receiver import Tracker, split_address
from livepuppet.types import ExpressionFrame
from livepuppet.vision.expressions import unit_weights

PORT = 11_111
UNITS = (
    "eyeBlinkLeft eyeLookDownLeft eyeLookInLeft eyeLookOutLeft eyeLookUpLeft eyeSquintLeft eyeWideLeft "
    "eyeBlinkRight eyeLookDownRight eyeLookInRight eyeLookOutRight eyeLookUpRight eyeSquintRight eyeWideRight "
    "jawForward jawLeft jawRight jawOpen mouthClose mouthFunnel mouthPucker mouthLeft mouthRight mouthSmileLeft mouthSmileRight "
    "mouthFrownLeft mouthFrownRight mouthDimpleLeft mouthDimpleRight mouthStretchLeft mouthStretchRight mouthRollLower mouthRollUpper "
    "mouthShrugLower mouthShrugUpper mouthPressLeft mouthPressRight mouthLowerDownLeft mouthLowerDownRight "
    "mouthUpperUpLeft mouthUpperUpRight browDownLeft browDownRight browInnerUp browOuterUpLeft browOuterUpRight "
    "cheekPuff cheekSquintLeft cheekSquintRight noseSneerLeft noseSneerRight tongueOut"
)
NAMES = tuple(UNITS.split())
YAW, PITCH, ROLL = 52, 53, 54
LONGEST_NAME = 256
RESTARTED = 60
"""Frames by which a number may be behind the last one and still be a late packet; farther behind, the app has begun again."""


class LiveLinkSource(Tracker):
    """Live Link Face on a phone. See the module for the protocol."""

    program = "Live Link Face"
    mirrored = True

    def __init__(self, address: str = f"livelink://:{PORT}") -> None:
        """Raises UsageError for an address that is none, SourceError where the port is taken."""
        self._last: int | None = None
        super().__init__(*split_address(address, "livelink", PORT))

    def forget(self) -> None:
        self._last = None

    def parse(self, data: bytes) -> ExpressionFrame | None:
        number, values = read_packet(data)
        late = self._last is not None and 0 <= self._last - number < RESTARTED
        if late or not len(values):
            return None
        self._last = number
        head = np.clip(values[[YAW, PITCH, ROLL]], -1.6, 1.6) * [1.0, 1.0, -1.0] if len(values) > ROLL else np.zeros(3)
        return ExpressionFrame(unit_weights(dict(zip(NAMES, values.tolist(), strict=False))), head=head)


def read_packet(data: bytes) -> tuple[int, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """The frame's number and its values; none while no face is seen.

    Raises:
        ValueError: it is no such packet.
    """
    at = 1
    try:
        for _ in range(2):
            (length,) = struct.unpack_from(">i", data, at)
            if not 0 <= length <= LONGEST_NAME:
                raise ValueError(f"a name of {length} bytes")
            at += 4 + length
        number, _, rate, _ = struct.unpack_from(">IfII", data, at)
        at += 16
        if at >= len(data):
            return number, np.zeros(0)
        count = data[at]
        values = np.array(struct.unpack_from(f">{count}f", data, at + 1), np.float64)
    except struct.error as error:
        raise ValueError("it is cut short") from error
    if 0 < count < len(NAMES) or not 0 < rate <= 1000:
        raise ValueError(f"{count} values at {rate} a second")
    return number, np.nan_to_num(values, posinf=0.0, neginf=0.0)
