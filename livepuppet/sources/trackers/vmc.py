"""Virtual Motion Capture: programs such as VSeeFace, Warudo or Waidayo send OSC to this machine, as `vmc://:39539`.

/VMC/Ext/Blend/Val (name, weight) … /VMC/Ext/Blend/Apply, /VMC/Ext/Bone/Pos (bone, x, y, z, then the quaternion x, y, z, w), /VMC/Ext/OK
(whether the body is being followed), /VMC/Ext/T (seconds). Turns are Unity's: x to the avatar's right, y up, z where it looks.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from pythonosc.osc_packet import OscPacket, ParseError

from livepuppet.sources.trackers.receiver import Tracker, split_address
from livepuppet.types import ExpressionFrame, Floats
from livepuppet.vision.expressions import EXPRESSION_UNITS, head_angles, unit_weights

PORT = 39_539
BY_LOWER_CASE = {name.lower(): name for name in EXPRESSION_UNITS}
PRESETS: dict[str, dict[str, float]] = {
    "a": {"jawOpen": 0.5, "mouthLowerDown": 0.2}, "i": {"jawOpen": 0.12, "mouthStretch": 0.4, "mouthSmile": 0.3},
    "u": {"jawOpen": 0.1, "mouthPucker": 0.8}, "e": {"jawOpen": 0.25, "mouthStretch": 0.35}, "o": {"jawOpen": 0.35, "mouthFunnel": 0.6},
    "blink": {"eyeBlink": 1.0}, "blink_l": {"eyeBlinkLeft": 1.0}, "blink_r": {"eyeBlinkRight": 1.0},
    "joy": {"mouthSmile": 0.9, "cheekSquint": 0.5}, "fun": {"mouthSmile": 0.6}, "sorrow": {"mouthFrown": 0.8, "browInnerUp": 0.7},
    "angry": {"browDown": 0.9, "mouthPress": 0.4}, "surprised": {"browInnerUp": 0.8, "browOuterUp": 0.8, "eyeWide": 0.7, "jawOpen": 0.25},
    "lookup": {"eyeLookUp": 0.8}, "lookdown": {"eyeLookDown": 0.8},
    "lookleft": {"eyeLookOutLeft": 0.8, "eyeLookInRight": 0.8}, "lookright": {"eyeLookInLeft": 0.8, "eyeLookOutRight": 0.8},
}  # fmt: skip
"""The expressions that every VRM avatar has, as ARKit's units."""
PRESETS |= {
    new: PRESETS[old]
    for new, old in {"aa": "a", "ih": "i", "ou": "u", "ee": "e", "oh": "o", "blinkleft": "blink_l", "blinkright": "blink_r"}.items()
} | {"happy": PRESETS["joy"], "sad": PRESETS["sorrow"], "relaxed": PRESETS["fun"]}
TURNING = ("Neck", "Head")
EYES = ("LeftEye", "RightEye")
MOST_NAMES = 500
"""Blend shapes that are remembered; an avatar's own beyond these mean nothing here anyway."""
LATE_S = 1.0
"""A time by which a packet may be behind the last one and still be late; farther behind, the sender has begun again."""
WRONG = (ParseError, ValueError, IndexError, KeyError, TypeError, struct.error, OverflowError, RecursionError)
"""What python-osc raises at packets that are none."""


class VmcSource(Tracker):
    """A program that speaks VMC. See the module for the protocol."""

    program = "VMC"

    def __init__(self, address: str = f"vmc://:{PORT}") -> None:
        """Raises UsageError for an address that is none, SourceError where the port is taken."""
        self.forget()
        super().__init__(*split_address(address, "vmc", PORT))

    def forget(self) -> None:
        self._values: dict[str, float] = {}
        self._bones: dict[str, Floats] = {}
        self._time: float | None = None
        self._followed = True

    def parse(self, data: bytes) -> ExpressionFrame | None:
        try:
            messages = [timed.message for timed in OscPacket(data).messages]
        except WRONG as error:
            raise ValueError(f"no OSC: {error}") from error
        ours = [(m.address, list(m.params)) for m in messages if m.address.startswith("/VMC/Ext/")]
        if not ours:
            raise ValueError("OSC, but none of VMC's")
        if self._late(ours):
            return None
        complete = False
        for address, values in ours:
            complete |= self._take(address, values)
        return self._told() if complete and self._followed else None

    def _late(self, messages: Sequence[tuple[str, list[Any]]]) -> bool:
        for address, values in messages:
            if address == "/VMC/Ext/T" and values and isinstance(values[0], float) and math.isfinite(values[0]):
                late = self._time is not None and 0 < self._time - values[0] < LATE_S
                if not late:
                    self._time = values[0]
                return late
        return False

    def _take(self, address: str, values: list[Any]) -> bool:
        """Remember one message; whether it ends a frame."""
        match address, values:
            case "/VMC/Ext/Blend/Val", [str(name), float(weight) | int(weight)]:
                if math.isfinite(weight) and (name in self._values or len(self._values) < MOST_NAMES):
                    self._values[name] = float(weight)
            case "/VMC/Ext/Bone/Pos", [str(bone), *numbers] if bone in TURNING + EYES and len(numbers) == 7:
                if all(isinstance(number, float) and math.isfinite(number) for number in numbers):
                    self._bones[bone] = quaternion_rotation(*numbers[3:])
            case "/VMC/Ext/OK", [int(loaded), *_]:
                self._followed = loaded != 0
            case "/VMC/Ext/Blend/Apply", _:
                return True
        return False

    def _told(self) -> ExpressionFrame:
        exact = {BY_LOWER_CASE[name.lower()]: value for name, value in self._values.items() if name.lower() in BY_LOWER_CASE}
        weights = unit_weights(exact)
        if not exact:
            for name, value in self._values.items():
                weights = weights + unit_weights(PRESETS.get(name.lower(), {})) * min(1.0, max(0.0, value))
        turn = np.eye(3)
        for bone in TURNING:
            turn = turn @ self._bones.get(bone, np.eye(3))
        looks = [head_angles(self._bones[eye])[:2] for eye in EYES if eye in self._bones] if not any("eyeLook" in n for n in exact) else []
        gaze = np.clip(np.mean(looks, axis=0), -0.7, 0.7) if looks else np.zeros(2)
        return ExpressionFrame(np.clip(weights, 0, 1), head=np.clip(head_angles(turn), -1.6, 1.6), gaze=gaze)


def quaternion_rotation(x: float, y: float, z: float, w: float) -> Floats:
    """Unity's quaternion -> rotation (3, 3) in the camera's frame (x to its right, y down, z away); of no length: no turn.

    All three axes point the other way in an avatar that looks into the camera, and turning all three leaves a rotation as it is.
    """
    length = math.sqrt(x * x + y * y + z * z + w * w)
    if not 1e-6 < length < 1e6:
        return np.eye(3)
    x, y, z, w = x / length, y / length, z / length, w / length
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
