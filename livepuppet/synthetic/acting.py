"""What a person does: expression, gaze and pose of every frame, drawn at random or written as a performance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Generator = np.random.Generator
Floats = NDArray[np.float64]
Kind = Literal["poses", "talking", "performance"]
KINDS: tuple[Kind, ...] = ("poses", "talking", "performance")

BLINK_SECONDS = 0.34


@dataclass(frozen=True, eq=False)
class Acting:
    """One frame.

    Attributes:
        expression: weights of the 52 units by name (absent = 0).
        gaze: right and up, radians.
        head, shoulders: yaw, pitch, roll in radians; yaw > 0 turns to the picture's right side, pitch > 0 looks down, roll > 0 tilts to the
            person's right shoulder.
        shift: dm.
    """

    expression: Mapping[str, float]
    gaze: tuple[float, float] = (0.0, 0.0)
    head: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shoulders: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def weights(self, units: tuple[str, ...]) -> Tensor:
        """(52,), 0 … 1.05. A name without its side means both."""
        out = torch.zeros(len(units))
        for i, unit in enumerate(units):
            both = unit.removesuffix("Left").removesuffix("Right")
            out[i] = self.expression.get(unit, self.expression.get(both, 0.0))
        return out.clamp(0, 1.05)


def rotation(yaw: float, pitch: float, roll: float) -> Tensor:
    """Roll after yaw after pitch, (3, 3)."""
    cy, sy, cp, sp, cr, sr = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch), math.cos(roll), math.sin(roll)
    about_y = torch.tensor([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = torch.tensor([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = torch.tensor([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


MOODS: dict[str, dict[str, tuple[float, float]]] = {
    "neutral": {},
    "smile": {"mouthSmile": (0.4, 1), "cheekSquint": (0, 0.8), "jawOpen": (0, 0.35), "mouthUpperUp": (0, 0.5), "mouthLowerDown": (0, 0.3)},
    "surprise": {"browInnerUp": (0.4, 1), "browOuterUp": (0.4, 1), "eyeWide": (0.3, 1), "jawOpen": (0.1, 0.9)},
    "angry": {"browDown": (0.5, 1), "noseSneer": (0, 0.8), "mouthFrown": (0, 0.6), "eyeSquint": (0, 0.7), "mouthPress": (0, 0.6)},
    "sad": {"browInnerUp": (0.4, 1), "mouthFrown": (0.3, 1), "mouthShrugLower": (0, 0.7)},
}
"""Units and the range their weight is drawn from. 'talk' is drawn apart: two of SOUNDS and an open jaw."""
MOOD_SHARES = {"neutral": 0.15, "talk": 0.46, "smile": 0.22, "surprise": 0.07, "angry": 0.05, "sad": 0.05}
SOUNDS = {
    "jawOpen": 0.55, "mouthFunnel": 0.8, "mouthPucker": 0.8, "mouthStretch": 0.6, "mouthUpperUp": 0.6, "mouthLowerDown": 0.7,
    "mouthPress": 0.6, "mouthRollLower": 0.7, "mouthShrugUpper": 0.5, "mouthClose": 0.1,
}  # fmt: skip
HABITS = {
    "browInnerUp": (0.25, 0.7), "browDown": (0.15, 0.7), "browOuterUp": (0.15, 0.7), "mouthLeft": (0.07, 0.6), "mouthRight": (0.07, 0.6),
    "jawLeft": (0.05, 0.6), "jawRight": (0.05, 0.6), "cheekPuff": (0.04, 0.8), "tongueOut": (0.015, 0.9),
}  # fmt: skip
"""Unit -> (how often it comes along, its greatest weight)."""


def draw_expression(rng: Generator, mood: str | None = None) -> dict[str, float]:
    """Weights by unit name; one-sided names where the sides differ."""
    mood = mood or str(rng.choice(list(MOOD_SHARES), p=list(MOOD_SHARES.values())))
    drawn: dict[str, float] = {}

    def add(name: str, weight: float) -> None:
        drawn[name] = drawn.get(name, 0.0) + weight

    if mood == "talk":
        for sound in rng.choice(list(SOUNDS), 2, replace=False):
            add(str(sound), SOUNDS[str(sound)] * rng.uniform(0.2, 1))
        add("jawOpen", rng.uniform(0, 0.45))
    else:
        for name, (low, high) in MOODS[mood].items():
            add(name, rng.uniform(low, high))
    for name, (odds, most) in HABITS.items():
        if rng.uniform() < odds:
            add(name, rng.uniform(0, most))
    strength = rng.uniform(0.35, 1) if rng.uniform() < 0.65 else 1.0
    return {name: weight * strength for name, weight in drawn.items()}


def with_sides(expression: Mapping[str, float], rng: Generator) -> dict[str, float]:
    """Nobody is symmetric: each two-sided unit a little stronger on one side."""
    out = dict(expression)
    for name, weight in expression.items():
        if name.startswith(("mouthSmile", "brow", "eyeSquint", "cheekSquint", "mouthStretch", "noseSneer")) and name != "browInnerUp":
            out[f"{name}Left"], out[f"{name}Right"] = (weight * float(np.clip(rng.normal(1, 0.15), 0.6, 1.2)) for _ in range(2))
    return out


def draw_gaze(rng: Generator) -> tuple[float, float]:
    return float(rng.normal(0, 0.24)), float(rng.normal(0, 0.10))


def looking(gaze: tuple[float, float]) -> dict[str, float]:
    """The lids follow the eyes up and down."""
    return {"eyeLookUp" if gaze[1] > 0 else "eyeLookDown": min(abs(gaze[1]) / 0.35, 1.0)}


def draw_poses(rng: Generator, frames: int, spread: float = 1.0) -> list[Acting]:
    """Frames that have nothing to do with each other: any pose, any expression."""
    middle = rng.normal(0, 0.1)
    out = []
    for _ in range(frames):
        gaze = draw_gaze(rng)
        lids = {"eyeBlink": rng.uniform(0.35, 1.05)} if rng.uniform() < 0.17 else {}
        if not lids and rng.uniform() < 0.04:
            lids = {str(rng.choice(["eyeBlinkLeft", "eyeBlinkRight"])): 1.0}
        yaw = float(np.clip(middle + rng.normal(0, 0.3 * spread), -1, 1))
        pitch, roll = (float(np.clip(rng.normal(0, deviation * spread), -0.5, 0.5)) for deviation in (0.17, 0.14))
        out.append(
            Acting(
                expression={**with_sides(draw_expression(rng), rng), **looking(gaze), **lids},
                gaze=gaze,
                head=(yaw, pitch, roll),
                shoulders=(rng.normal(0, 0.1) + 0.15 * yaw, rng.normal(0, 0.03), rng.normal(0, 0.03)),
                shift=tuple(rng.normal(0, (0.11, 0.08, 0.22)) * rng.uniform(0.3, 1.1)),
            )
        )
    return out


def draw_talking(rng: Generator, frames: int) -> list[Acting]:
    """One pose, held; only lips, lids, brows and eyes move. Teaches what pose would drown: blinks and speech."""
    held = draw_poses(rng, 1, 0.7)[0]
    out = []
    for i in range(frames):
        mood = ("neutral", "talk", "talk", "smile", "talk", "surprise")[i % 6]
        gaze = draw_gaze(rng)
        blink = {"eyeBlink": (1.0, 0.5)[i % 2 if rng.uniform() < 0.5 else 0]} if i % 3 == 2 else {}
        sway = tuple(angle + rng.normal(0, 0.01) for angle in held.head)
        expression = {**with_sides(draw_expression(rng, mood), rng), **looking(gaze), **blink}
        out.append(Acting(expression, gaze, (sway[0], sway[1], sway[2]), held.shoulders, held.shift))
    return out


MOUTHS: dict[str, dict[str, float]] = {
    "rest": {},
    "a": {"jawOpen": 0.48, "mouthLowerDown": 0.04, "mouthUpperUp": 0.32},
    "e": {"jawOpen": 0.22, "mouthStretch": 0.25, "mouthUpperUp": 0.45, "mouthLowerDown": 0.15, "mouthSmile": 0.22},
    "o": {"jawOpen": 0.36, "mouthFunnel": 0.55},
    "u": {"jawOpen": 0.12, "mouthPucker": 0.75, "mouthFunnel": 0.25},
    "m": {"mouthPress": 0.35, "mouthRollLower": 0.30, "mouthRollUpper": 0.22},
    "f": {"jawOpen": 0.07, "mouthRollLower": 0.48, "mouthUpperUp": 0.22},
    "l": {"jawOpen": 0.28, "mouthUpperUp": 0.35, "mouthLowerDown": 0.05},
}


def wave(rng: Generator, seconds: float, period: float, amplitude: float) -> Floats:
    """Knots of a smooth random curve, one per `period`, quiet at both ends: (K, 2) of time and value."""
    times = np.arange(1.2, max(seconds - 0.6, 1.3), period)
    values = rng.normal(0, amplitude, len(times)).clip(-2 * amplitude, 2 * amplitude)
    return np.array([(0.0, 0.0), (1.1, 0.0), *zip(times, values, strict=True), (max(seconds, times[-1] + 0.1), 0.0)])


def along(knots: Floats, time: float) -> float:
    """Quintic blending between knots (K, 2): velocity and acceleration are zero at each."""
    after = int(np.searchsorted(knots[:, 0], time).clip(1, len(knots) - 1))
    (t0, a), (t1, b) = knots[after - 1], knots[after]
    u = float(np.clip((time - t0) / (t1 - t0), 0, 1))
    return float(a + (b - a) * u**3 * (u * (6 * u - 15) + 10))


def lids_at(time: float, blinks: Floats) -> float:
    """How closed the lids are: down in 0.11 s, a moment shut, up in 0.19 s."""
    since = time - blinks
    since = since[(since >= 0) & (since <= BLINK_SECONDS)]
    if not len(since):
        return 0.0
    t = float(since[0])
    return math.sin(t / 0.11 * math.pi / 2) if t < 0.11 else 1.0 if t < 0.15 else 0.5 + 0.5 * math.cos((t - 0.15) / 0.19 * math.pi)


def draw_performance(rng: Generator, frames: int, fps: float = 30.0) -> list[Acting]:
    """A little scene: neutral for the first second (the reference), then speech, smiles, brows, blinks, gaze, turning, nodding, tilting."""
    seconds = frames / fps
    curves = {
        "yaw": wave(rng, seconds, 0.9, 0.16),
        "pitch": wave(rng, seconds, 0.7, 0.07),
        "roll": wave(rng, seconds, 1.1, 0.07),
        "gaze": wave(rng, seconds, 0.6, 0.2),
        "smile": wave(rng, seconds, 1.3, 0.6),
        "brow": wave(rng, seconds, 1.0, 0.5),
    }
    syllable = 0.16
    script = [MOUTHS[str(rng.choice(list(MOUTHS)))] for _ in range(int(seconds / syllable) + 2)]
    blinks = np.cumsum(rng.uniform(1.0, 3.0, int(seconds) + 2))
    out = []
    for i in range(frames):
        time = i / fps
        value = {name: along(knots, time) for name, knots in curves.items()}
        awake = float(np.clip((time - 1.1) / 0.3, 0, 1) * np.clip((seconds - 0.4 - time) / 0.3, 0, 1))
        k, u = int(time / syllable), (time % syllable) / syllable
        u = u * u * (3 - 2 * u)
        mouth = {
            name: awake * ((1 - u) * script[k].get(name, 0.0) + u * script[k + 1].get(name, 0.0)) for name in {*script[k], *script[k + 1]}
        }
        smile, brow, shut = max(value["smile"], 0.0), max(value["brow"], 0.0), lids_at(time, blinks)
        face = {
            "mouthSmile": smile,
            "cheekSquint": 0.6 * smile,
            "browInnerUp": brow,
            "browOuterUp": brow,
            "eyeWide": 0.4 * brow * (1 - shut),
        }
        gaze = (value["gaze"] - 0.75 * value["yaw"], 0.7 * value["pitch"])
        names = {*face, *mouth}
        expression = {name: face.get(name, 0.0) + mouth.get(name, 0.0) for name in names}
        head = (value["yaw"], value["pitch"], value["roll"])
        out.append(
            Acting(
                expression={**expression, **looking(gaze), "eyeBlink": shut},
                gaze=gaze,
                head=head,
                shoulders=(0.16 * head[0], 0.06 * head[1], 0.14 * head[2]),
                shift=(0.1 * math.sin(head[0]), 0.0, 0.0),
            )
        )
    return out


def draw_acting(rng: Generator, frames: int, kind: Kind | None = None) -> list[Acting]:
    """A clip's frames; kind None draws one: mostly free poses, a third of held poses that talk and blink."""
    match kind or rng.choice(KINDS, p=(0.55, 0.35, 0.10)):
        case "poses":
            return draw_poses(rng, frames, float(rng.choice([0.5, 0.85, 1.1], p=[0.3, 0.5, 0.2])))
        case "talking":
            return draw_talking(rng, frames)
        case _:
            return draw_performance(rng, frames)
