"""What the actor of the shipped performance does: ten seconds that show everything a face should pass on.

Neutral for the first second (the reference), a sentence, a smile, raised brows, a look to both sides, a shorter sentence while the head
turns both ways, a nod, a tilt, a mouth opened wide, neutral again.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable

import numpy as np

from livepuppet.synthetic.acting import MOUTHS, Acting, Floats, along, lids_at

FPS = 30
SECONDS = 10.0

Sound = tuple[float, str, float]
"""When it is fully formed, which of MOUTHS, and how strongly."""


def spoken(start: float, sounds: Iterable[Sound]) -> list[Sound]:
    """Sounds timed from the beginning of their sentence -> timed from the beginning of the performance."""
    return [(start + time, sound, strength) for time, sound, strength in sounds]


FIRST_SENTENCE: list[Sound] = [
    (0.00, "rest", 1.0), (0.16, "e", 0.8), (0.32, "l", 1.0), (0.50, "o", 1.0), (0.66, "u", 0.6), (0.82, "m", 1.0),
    (0.98, "a", 1.0), (1.14, "e", 0.9), (1.30, "f", 1.0), (1.46, "a", 0.8), (1.64, "m", 1.0), (1.82, "o", 1.0),
    (1.98, "l", 0.8), (2.14, "u", 1.0), (2.32, "e", 1.0), (2.48, "a", 0.9), (2.64, "m", 0.9), (2.84, "rest", 1.0),
]  # fmt: skip
SECOND_SENTENCE: list[Sound] = [
    (0.00, "rest", 1.0), (0.18, "o", 0.8), (0.36, "e", 0.8), (0.52, "m", 0.8), (0.68, "a", 0.8),
    (0.86, "l", 0.8), (1.02, "u", 0.8), (1.20, "e", 0.8), (1.38, "m", 0.6), (1.55, "rest", 1.0),
]  # fmt: skip
SPEECH = spoken(1.35, FIRST_SENTENCE) + spoken(6.05, SECOND_SENTENCE)

SMILE = {
    "mouthSmile": 0.92, "cheekSquint": 0.6, "mouthUpperUp": 0.45, "mouthLowerDown": 0.05, "jawOpen": 0.17, "eyeSquint": 0.25,
    "mouthDimple": 0.2,
}  # fmt: skip
BROWS_UP = {"browInnerUp": 0.75, "browOuterUp": 0.85, "eyeWide": 0.45}
WIDE_OPEN = {
    "jawOpen": 0.92, "mouthStretch": 0.15, "mouthLowerDown": 0.05, "mouthUpperUp": 0.40, "browInnerUp": 0.4, "browOuterUp": 0.4,
    "eyeWide": 0.35,
}  # fmt: skip
FRIENDLY = {"mouthSmile": 0.12, "browInnerUp": 0.12}
"""Never quite without expression: a face at rest looks cross."""
LEFT_SMILE = 0.95
"""Share of a smile that reaches the left side."""

BLINKS = np.array([1.12, 3.72, 5.72, 7.05])


def knots(*points: tuple[float, float]) -> Floats:
    """(K, 2): seconds and value."""
    return np.array(points, np.float64)


CURVES: dict[str, Floats] = {
    "smile": knots((3.95, 0), (4.30, 1), (4.85, 1), (5.30, 0)),
    "brow": knots((1.5, 0), (1.75, 0.35), (2.1, 0), (2.8, 0), (3.0, 0.3), (3.3, 0), (4.75, 0), (5.05, 1), (5.40, 1), (5.70, 0)),
    "wide": knots((8.62, 0), (8.95, 1), (9.15, 1), (9.50, 0)),
    "gaze": knots((5.42, 0), (5.54, -0.42), (5.80, -0.42), (5.92, 0.42), (6.16, 0.42), (6.28, 0)),
    "yaw": knots(
        (1.3, 0), (1.7, 4), (2.3, -5), (2.9, 3), (3.6, -2), (4.1, 0),
        (6.15, 0), (6.60, 18), (6.80, 18), (7.32, -18), (7.50, -18), (7.85, 0), (8.2, 0),
    ),
    "pitch": knots(
        (1.3, 0), (1.6, 2.5), (1.95, -1.5), (2.35, 3), (2.8, -1), (3.3, 2.0), (3.8, 0), (4.1, -2), (4.8, -2), (5.3, 0),
        (7.55, 0), (7.80, 10), (8.10, -9), (8.35, 0), (8.6, 0), (8.95, -3), (9.4, 0),
    ),
    "roll": knots(
        (1.4, 0), (2.0, -2.5), (2.7, 2.5), (3.4, 0), (3.9, 0), (4.3, 4), (4.9, 3), (5.3, 0),
        (6.2, 0), (6.7, -2), (7.4, 2), (7.8, 0), (8.16, 0), (8.42, 10), (8.54, 10), (8.90, -10), (9.02, -10), (9.42, 0),
    ),
}  # fmt: skip
"""Smile, brow and wide: shares of the expressions above. Gaze: radians to the picture's right. Yaw, pitch, roll: degrees."""


class Expression(dict[str, float]):
    """Weights by unit name that add up."""

    def add(self, weights: dict[str, float], share: float = 1.0) -> None:
        for name, weight in weights.items():
            self[name] = self.get(name, 0.0) + share * weight

    def weaken(self, name: str, share: float) -> None:
        self[name] = share * self.get(name, 0.0)


def add_speech(face: Expression, seconds: float) -> None:
    """The two sounds around a time, one fading into the other along 3u² - 2u³; nothing outside SPEECH."""
    following = bisect_left(SPEECH, seconds, key=lambda sound: sound[0])
    if not 0 < following < len(SPEECH):
        return
    begun, sound, strength = SPEECH[following - 1]
    ends, next_sound, next_strength = SPEECH[following]
    u = (seconds - begun) / (ends - begun)
    passed = u * u * (3 - 2 * u)
    face.add(MOUTHS[sound], strength * (1 - passed))
    face.add(MOUTHS[next_sound], next_strength * passed)


def awake_at(seconds: float) -> float:
    """How far the body sways, 0 … 1: not at all while the first and the last pictures stand still."""
    rising = min(1.0, max(0.0, seconds - 1.1) / 0.8)
    falling = min(1.0, max(0.0, SECONDS - 0.25 - seconds) / 0.5)
    return rising * falling


def acting_at(seconds: float) -> Acting:
    """The actor at a time from 0 to SECONDS; before and after, as at the nearest end.

    Expression by unit name, gaze, head and shoulders as `Acting` describes them. The shoulders follow the head a little, and the eyes stay
    on the viewer while the head turns, unless the script sends them elsewhere.
    """
    script = {name: along(curve, seconds) for name, curve in CURVES.items()}
    awake = awake_at(seconds)

    def sway(hertz: float, phase: float) -> float:
        return awake * math.sin(2 * math.pi * hertz * seconds + phase)

    yaw = math.radians(script["yaw"] + 0.7 * sway(0.31, 0.3))
    pitch = math.radians(script["pitch"] + 0.5 * sway(0.43, 1.0))
    roll = math.radians(script["roll"] + 0.6 * sway(0.24, 2.0))
    on_viewer = 1 - min(1.0, 3 * abs(script["gaze"]))
    gaze = (script["gaze"] - 0.75 * yaw * on_viewer, 0.7 * pitch)
    across = 0.10 * math.sin(yaw) + 0.03 * sway(0.19, 0.0)
    up = 0.012 * sway(0.27, 1.0) - 0.05 * script["wide"]
    forward = 0.05 * sway(0.21, 2.0) + 0.12 * script["wide"]
    return Acting(
        expression=expression_at(seconds, script, gaze[1]),
        gaze=gaze,
        head=(yaw, pitch, roll),
        shoulders=(0.16 * yaw, 0.06 * pitch, 0.14 * roll),
        shift=(across, up, forward),
    )


def expression_at(seconds: float, script: dict[str, float], looking_up: float) -> dict[str, float]:
    """Speech, the scripted expressions and the lids, which follow the eyes (`looking_up` in radians) and blink."""
    face = Expression()
    add_speech(face, seconds)
    face.add(SMILE, script["smile"])
    face.add(BROWS_UP, script["brow"])
    face.add(WIDE_OPEN, script["wide"])
    face.add(FRIENDLY)
    face["eyeLookUp" if looking_up > 0 else "eyeLookDown"] = min(abs(looking_up) / 0.45, 0.6)
    shut = lids_at(seconds, BLINKS)
    face["eyeBlink"] = shut
    face.weaken("eyeWide", 1 - shut)
    face.weaken("eyeSquint", 1 - shut)
    face["mouthSmileLeft"] = LEFT_SMILE * face["mouthSmile"]
    return dict(face)
