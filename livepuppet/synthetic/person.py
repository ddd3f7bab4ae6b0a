"""One person who does not exist: shape, skin, hair, glasses and clothes, drawn at random and the same for the same seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from livepuppet.synthetic.hair import Hair, grow_hair
from livepuppet.synthetic.head import Head

Look = Literal["skin", "statue", "pattern", "toon"]
Generator = np.random.Generator

CROWN = 8.49
"""Everybody's head ends at this height, so that cameras can be aimed without asking."""
OPPOSITES = (
    ("-incr", "-decr"), ("-up", "-down"), ("-in", "-out"), ("-forward", "-backward"), ("-convex", "-concave"), ("-compress", "-uncompress"),
)  # fmt: skip
SUBTLE = ("neck", "head/head-scale", "eyes")
LEFT_OUT = ("head/head-age", "head/head-trans", "head/head-angle")
ANCESTRIES = ("african", "asian", "caucasian")


def linear(*rgb: float) -> Tensor:
    """sRGB 0 … 255 -> linear light (3,)."""
    return (torch.tensor(rgb) / 255) ** 2.2


SKIN_TONES = torch.stack([
    linear(244, 208, 188), linear(234, 186, 158), linear(216, 160, 124), linear(186, 132, 98), linear(140, 92, 66), linear(96, 62, 46),
    linear(62, 42, 35),
])  # fmt: skip
HAIR_COLOURS = torch.stack([
    linear(14, 11, 10), linear(38, 26, 20), linear(72, 46, 30), linear(120, 82, 50), linear(186, 148, 98), linear(120, 52, 24),
    linear(170, 168, 165), linear(226, 222, 214),
])  # fmt: skip
IRIS_COLOURS = torch.stack([
    linear(70, 40, 20), linear(40, 25, 15), linear(95, 70, 35), linear(90, 105, 70), linear(90, 120, 150), linear(120, 130, 135),
])  # fmt: skip
LIPSTICKS = torch.stack([linear(170, 30, 50), linear(200, 60, 90), linear(120, 25, 40), linear(210, 90, 80)])


@dataclass(frozen=True, eq=False)
class Skin:
    """colour, lips, eyelids: linear RGB (3,). The rest 0 … about 1."""

    colour: Tensor
    lips: Tensor
    eyelids: Tensor
    eyelid_paint: float
    darkness: float
    roughness: float
    gloss: float
    mottle: float
    freckles: float
    age: float
    stubble: float
    grain: float


@dataclass(frozen=True, eq=False)
class Clothes:
    """colours (2, 3);

    Attributes:
        neckline: height of the collar.
        v_neck: how deep it is cut.
    """

    colours: Tensor
    pattern: Literal["plain", "stripes", "checks", "patches"]
    scale: float
    neckline: float
    v_neck: float


@dataclass(frozen=True, eq=False)
class Glasses:
    radius_x: float
    radius_y: float
    thickness: float
    squareness: float
    colour: Tensor


@dataclass(frozen=True, eq=False)
class Person:
    """cage: the neutral face, (C, 3). look: how the surface is painted. paint: (2, 3) the colours of a look that is not skin."""

    seed: int
    cage: Tensor
    skin: Skin
    iris: Tensor
    hair: Hair
    clothes: Clothes
    glasses: Glasses | None
    look: Look
    paint: Tensor
    offset: Tensor
    """Where in the noise this person's skin lies."""


def draw_person(head: Head, rng: Generator, *, look: Look | None = None, ribbons: int = 2000) -> Person:
    """Somebody new.

    Args:
        look: None draws one (mostly skin).
        ribbons: how finely the hair is made (2000 for 256 px, 9000 for 1024).
    """
    uniform = rng.uniform
    ancestry = rng.dirichlet([0.6] * 3)
    male = float(rng.beta(0.6, 0.6))
    ages = draw_ages(rng)
    old = ages.get("old", 0.0)
    cage = draw_shape(head, rng, ancestry, male, ages)

    expected = float(ancestry @ np.array([0.74, 0.26, 0.18])) + rng.normal(0, 0.12)
    darkness = float(np.clip(expected, 0, 1)) if uniform() < 0.75 else uniform()
    tone = darkness * (len(SKIN_TONES) - 1.001)
    below = int(tone)
    colour = torch.lerp(SKIN_TONES[below], SKIN_TONES[below + 1], tone - below) * tensor(np.exp(rng.normal(0, 0.06, 3)))
    lips = colour * torch.tensor([1.0, 0.62, 0.62]) * uniform(0.75, 1.05)
    if uniform() < 0.05 + 0.3 * (1 - male):
        lips = LIPSTICKS[rng.integers(len(LIPSTICKS))]
    bearded = male > 0.6 and uniform() < 0.45
    unshaven = uniform(0, 0.35) if male > 0.6 and uniform() < 0.5 else 0.0
    skin = Skin(
        colour=colour,
        lips=lips,
        eyelids=linear(*rng.integers(20, 160, 3).tolist()),
        eyelid_paint=uniform(0.2, 0.7) if uniform() < 0.3 * (1 - male) else 0.0,
        darkness=darkness,
        roughness=uniform(0.25, 0.6),
        gloss=uniform(0.15, 0.9),
        mottle=uniform(0.02, 0.08),
        freckles=uniform() if uniform() < 0.3 else 0.0,
        age=old,
        stubble=0.5 * bearded + unshaven,
        grain=uniform(0.1, 0.5) if uniform() < 0.4 else 0.0,
    )
    iris = IRIS_COLOURS[rng.choice(6, p=[0.35, 0.2, 0.15, 0.1, 0.12, 0.08])] * uniform(0.7, 1.3)
    hair = grow_hair(head, cage, rng, colour=draw_hair_colour(rng, darkness, old), male=male, old=old, bearded=bearded, ribbons=ribbons)
    return Person(
        seed=int(rng.integers(1 << 30)),
        cage=cage,
        skin=skin,
        iris=iris,
        hair=hair,
        clothes=draw_clothes(rng),
        glasses=draw_glasses(rng) if uniform() < 0.22 else None,
        look=look or rng.choice(["skin", "statue", "pattern", "toon"], p=[0.82, 0.06, 0.06, 0.06]),
        paint=tensor(uniform(0.02, 0.9, (2, 3))),
        offset=tensor(uniform(0, 9, 3)).to(head.device),
    )


def tensor(values: object) -> Tensor:
    return torch.as_tensor(np.asarray(values), dtype=torch.float32)


def draw_ages(rng: Generator) -> dict[str, float]:
    """MakeHuman's ages and their shares."""
    match rng.choice(["young", "old", "between", "child"], p=[0.45, 0.15, 0.32, 0.08]):
        case "between":
            share = rng.uniform(0.1, 0.9)
            return {"young": 1 - share, "old": share}
        case "child":
            return {"child": 0.6, "young": 0.4}
        case age:
            return {str(age): 1.0}


def draw_shape(head: Head, rng: Generator, ancestry: object, male: float, ages: dict[str, float]) -> Tensor:
    """The neutral cage (C, 3): a mixture of MakeHuman's macro targets, then a little of every detail target."""
    shares: dict[str, float] = {}
    weight, muscle = (float(np.clip(rng.normal(0, 0.5), -1, 1)) for _ in range(2))
    for sex, sex_share in (("male", male), ("female", 1 - male)):
        for age, age_share in ages.items():
            share = sex_share * age_share
            for name, part in zip(ANCESTRIES, np.asarray(ancestry), strict=True):
                shares[f"macro/{name}-{sex}-{age}"] = share * float(part)
            build = f"macro/universal-{sex}-{age}"
            shares[f"{build}-averagemuscle-{'max' if weight > 0 else 'min'}weight"] = share * abs(weight)
            shares[f"{build}-{'max' if muscle > 0 else 'min'}muscle-averageweight"] = share * abs(muscle)
    amplitude = rng.uniform(0.15, 0.4) if rng.uniform() < 0.7 else rng.uniform(0.4, 0.6)
    drawn: dict[str, float] = {}
    for name in head.names:
        group = name.partition("/")[0]
        if group in ("macro", "unit") or name.startswith(LEFT_OUT):
            continue
        spread = 0.12 if group == "asym" else amplitude * (0.5 if name.startswith(SUBTLE) else 1.0)
        stem, sign = without_direction(name, OPPOSITES)
        both_sides = stem.replace("/l-", "/*-").replace("/r-", "/*-")
        if both_sides not in drawn:
            drawn[both_sides] = float(np.clip(rng.normal(0, spread), -1, 1))
        value = drawn[both_sides] * sign
        if value > 0.02:
            shares[name] = value * (0.6 if stem == name else 1.0)
    weights = torch.zeros(len(head.names), device=head.device)
    place = {name: i for i, name in enumerate(head.names)}
    for name, share in shares.items():
        if name in place:
            weights[place[name]] = share
    cage = head.cage + torch.einsum("n,ncd->cd", weights, head.targets)
    return crowned(cage)


def without_direction(name: str, opposites: tuple[tuple[str, str], ...]) -> tuple[str, int]:
    """'nose/nose-flaring-decr' -> ('nose/nose-flaring', -1): the name without its ending, and whether that was the second of its pair."""
    for plus, minus in opposites:
        if name.endswith(plus):
            return name.removesuffix(plus), 1
        if name.endswith(minus):
            return name.removesuffix(minus), -1
    return name, 1


def crowned(cage: Tensor) -> Tensor:
    """Moved up or down until the head ends at CROWN, (C, 3)."""
    return cage - torch.tensor([0.0, float(cage[:, 1].max()) - CROWN, 0.0], device=cage.device)


def draw_hair_colour(rng: Generator, darkness: float, old: float) -> Tensor:
    if rng.uniform() < 0.07:
        return tensor(rng.uniform(0, 1, 3) ** 2.2)  # dyed
    if old >= 0.6:
        choice = rng.choice([0, 1, 2, 6, 6, 7])
    elif darkness >= 0.45:
        choice = rng.choice([0, 0, 0, 1, 1, 2])
    else:
        choice = rng.choice(8, p=[0.1, 0.15, 0.22, 0.19, 0.18, 0.09, 0.04, 0.03])
    return HAIR_COLOURS[int(choice)] * rng.uniform(0.8, 1.25)


def draw_clothes(rng: Generator) -> Clothes:
    vivid = rng.uniform(0.05, 0.6, (2, 1))  # wardrobes are mostly muted
    colours = vivid * rng.uniform(0.02, 0.9, (2, 3)) + (1 - vivid) * rng.uniform(0.05, 0.85, (2, 1))
    return Clothes(
        colours=tensor(colours**2.2),
        pattern=rng.choice(["plain", "stripes", "checks", "patches"], p=[0.5, 0.2, 0.15, 0.15]),
        scale=rng.uniform(2, 12),
        neckline=rng.uniform(5.55, 5.8),
        v_neck=rng.uniform(0, 1.1) if rng.uniform() < 0.5 else 0.0,
    )


def draw_glasses(rng: Generator) -> Glasses:
    return Glasses(
        radius_x=rng.uniform(0.22, 0.3),
        radius_y=rng.uniform(0.15, 0.27),
        thickness=rng.uniform(0.018, 0.045),
        squareness=rng.uniform(2, 5),
        colour=tensor(rng.uniform(0, 0.6, 3) ** 2.2),
    )
