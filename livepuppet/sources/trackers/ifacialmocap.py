"""iFacialMocap: this machine asks the phone, `ifacialmocap://PHONE`, and the phone answers to port 49983 of this machine.

An answer is a line of text: `jawOpen-12|eyeBlink_L-100|…|=head#pitch,yaw,roll,x,y,z|rightEye#pitch,yaw,roll|leftEye#pitch,yaw,roll|`, units
in hundredths, angles in degrees, metres, as ARKit has them. The second version has & in place of -.
"""

from __future__ import annotations

import numpy as np

from livepuppet.errors import UsageError
from livepuppet.sources.trackers.receiver import Tracker, split_address
from livepuppet.types import ExpressionFrame, Floats
from livepuppet.vision.expressions import PLACES, unit_weights

PORT = 49_983
GREETING = b"iFacialMocap_sahuasouryya9218sauhuiayeta91555dy3719"
ASK_EVERY_S = 1.0
FACE_METRES = 0.15
"""A face's width."""
FEWEST_UNITS = 5
"""A line that names fewer of them is something else."""


class IFacialMocapSource(Tracker):
    """iFacialMocap on a phone. See the module for the protocol.

    Args:
        address: the phone's.
        listen: the port of this machine to which the phone answers.
    """

    program = "iFacialMocap"
    mirrored = True

    def __init__(self, address: str, *, listen: int = PORT) -> None:
        """Raises UsageError for an address that is none, SourceError where the port is taken."""
        self._phone = split_address(address, "ifacialmocap", PORT)
        if not self._phone[0]:
            raise UsageError("say which phone: ifacialmocap://192.168.1.20, the address that the app shows")
        self._asked = -ASK_EVERY_S
        self._rest: Floats | None = None
        super().__init__("", listen)

    def ask(self, now: float) -> None:
        if now - self._asked >= ASK_EVERY_S and now - self._heard_at >= ASK_EVERY_S / 2:
            self._asked = now
            self.send(GREETING, self._phone)

    def forget(self) -> None:
        self._rest = None

    def parse(self, data: bytes) -> ExpressionFrame | None:
        units, parts, tracked = read_line(data)
        if not tracked:
            return None
        head = np.resize(parts.get("head", np.zeros(6)), 6)
        place = head[3:] / FACE_METRES * [1.0, -1.0, 1.0]
        if self._rest is None:
            self._rest = place
        turned = np.radians(np.clip(head[:3], -90, 90))
        return ExpressionFrame(units, head=np.array([turned[1], turned[0], -turned[2]]), shift=np.clip(place - self._rest, -3, 3))


def read_line(data: bytes) -> tuple[Floats, dict[str, Floats], bool]:
    """The units (52,), what is said of head and eyes, and whether the phone sees the face.

    Raises:
        ValueError: it is no such line.
    """
    units: dict[str, float] = {}
    parts: dict[str, Floats] = {}
    tracked = True
    for piece in data.decode("ascii").replace("=", "|").split("|"):
        name, mark, numbers = piece.partition("#")
        if mark:
            parts[name] = np.nan_to_num(np.array([float(number) for number in numbers.split(",")]), posinf=0.0, neginf=0.0)
            continue
        name, mark, number = piece.partition("&" if "&" in piece else "-")
        if mark and name == "trackingStatus":
            tracked = number != "0"
        elif mark:
            units[long_name(name)] = float(number) / 100
    if len(PLACES.keys() & units.keys()) < FEWEST_UNITS:
        raise ValueError("it names too few of the face's units")
    return unit_weights(units), parts, tracked


def long_name(name: str) -> str:
    """'eyeBlink_L' -> 'eyeBlinkLeft'."""
    for short, side in (("_L", "Left"), ("_R", "Right")):
        if name.endswith(short):
            return name.removesuffix(short) + side
    return name
