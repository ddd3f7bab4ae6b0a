"""What is written down about a named person: shape, colours, hair, brows, beard and clothes.

Lengths are in dm on the head's mesh (crown at 8.49, eyes at about 7.3, chin at about 6.1), colours are 'rrggbb' in sRGB, directions are
(away from the middle or the parting, up, forward).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from livepuppet.synthetic import person
from tools.demo_assets.lighting import LightKind

Fabric = Literal["jersey", "knit", "linen"]
Direction = tuple[float, float, float]

BROW_LINE = 7.470
"""y of the lower edge of everybody's brows, before `Brows.y`."""


def linear(colour: str) -> Tensor:
    """'rrggbb' -> linear light (3,), with a plain gamma of 2.2."""
    return person.linear(*bytes.fromhex(colour))


@dataclass(frozen=True)
class Haircut:
    """How the strands of a scalp grow: where they set out, how they bend, and how they gather in locks.

    length, side_length: on top and at the sides. top, sides: where they set out for; side_lift None is half of lift. split: hair parts at
    x = parting; tuck: 0 … 1, how much shorter above the ears. lift: how far strands stand off their skin, weight: how much they hang.
    curl and turns: strength and number of the waves; wild and frizz: smooth and rough disorder. clumping: 0 … 1, how much strands meet
    their lock's leader at the tip; locks: their number; lock_grain: how fine the waves differ; loose: disorder within. shell: thickness
    of the hair. open: hair beside the face stays further out than this. fade: shorter towards the hairline. smoothing: rounds. points:
    per strand.
    """

    length: float
    side_length: float
    top: Direction
    sides: Direction
    lift: float
    weight: float
    shell: float
    wild: float
    clumping: float
    points: int
    side_lift: float | None = None
    parting: float = 0.0
    split: bool = False
    tuck: float = 0.0
    curl: float = 0.0
    turns: float = 3.0
    frizz: float = 0.06
    locks: int = 500
    lock_grain: float = 5.0
    loose: float = 0.5
    open: float = 0.78
    fade: bool = False
    smoothing: int = 0


@dataclass(frozen=True)
class Brows:
    """count of hairs; half thickness, height above BROW_LINE, and height of the arch."""

    count: int
    thickness: float
    y: float = 0.0
    arch: float = 0.06

    def line(self, x: Tensor) -> Tensor:
        """y of the brow above |x|: (N,) -> (N,)."""
        return BROW_LINE + self.y + self.arch * torch.sin(2.35 * ((x - 0.09) / 0.52).clamp(0, 1))


@dataclass(frozen=True)
class Beard:
    """count of hairs, their lengths on jaw and lip, and how much they wave."""

    count: int
    length: float
    moustache: float
    curl: float


@dataclass(frozen=True)
class Neckline:
    """The cloth's upper edge at the middle of the neck; depth and half width of a V."""

    y: float = 5.68
    depth: float = 0.0
    width: float = 0.5


@dataclass(frozen=True)
class Place:
    """A room by its kind and seed; wall: the colours of a studio's, centre and edge."""

    kind: str
    seed: int
    wall: tuple[str, str] | None = None


@dataclass(frozen=True)
class Character:
    """One person.

    seed: of everything drawn. ancestry: shares of African, Asian and Caucasian. male, old: 0 … 1. weight, muscle: -1 … 1. shape: weights
    of single targets, '*' for both sides. stubble 0 … 1, grey: share of grey hair; sunned: how much lighter hair is at its tips. recede,
    side: how far the hairline lies back, in front and at the sides. scalp: how much the skin under hair takes its colour. roughness,
    gloss, mottle, blush: of the skin. lashes: their length. expression: besides the smile of every still. flipped: the light comes from
    the other side.
    """

    seed: int
    ancestry: tuple[float, float, float]
    male: float
    skin: str
    lips: str
    iris: str
    hair: str
    cloth: str
    fabric: Fabric
    strands: int
    haircut: Haircut
    brows: Brows
    lashes: float
    place: Place
    light: LightKind
    old: float = 0.0
    weight: float = 0.0
    muscle: float = 0.0
    shape: Mapping[str, float] = field(default_factory=dict)
    brow: str | None = None
    eyelids: str | None = None
    beard: Beard | None = None
    stubble: float = 0.0
    neckline: Neckline = Neckline()
    roughness: float = 0.46
    gloss: float = 0.55
    mottle: float = 0.045
    blush: float = 0.8
    shine: float = 0.09
    sunned: float = 0.25
    grey: float = 0.0
    recede: float = 0.0
    side: float = 0.0
    scalp: float = 0.8
    expression: Mapping[str, float] = field(default_factory=dict)
    flipped: bool = False
