"""A named person's neutral head, and the strands that grow on it: brows, beard and lashes here, the scalp's in `scalp`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from livepuppet.synthetic.head import Head
from livepuppet.synthetic.noise import smooth_step
from livepuppet.synthetic.person import LEFT_OUT, crowned, without_direction
from livepuppet.synthetic.shading import normalize
from tools.demo_assets.character import Beard, Brows, Character, linear
from tools.demo_assets.lids import LidMargin
from tools.demo_assets.scalp import grow_scalp
from tools.demo_assets.strand_group import BEARD, BROW, LASHES, Lashes, Rooted, Soil, Strands

VARIATION = 0.1
"""How much everybody's shape differs from the average, besides what is written down about them."""
ASYMMETRY = 0.05
UP_AND_DOWN = (
    ("-incr", "-decr"),
    ("-up", "-down"),
    ("-out", "-in"),
    ("-forward", "-backward"),
    ("-convex", "-concave"),
    ("-uncompress", "-compress"),
)
"""`person.OPPOSITES` with two pairs the other way round: what is drawn for these people depends on which way counts as up."""
EYE_HEIGHT = {"eyes/*-eye-height2": 0.45}
LASH_COLOUR = (0.02, 0.014, 0.01)


@dataclass(frozen=True, eq=False)
class Colours:
    """Linear light (3,) each."""

    skin: Tensor
    lips: Tensor
    iris: Tensor
    hair: Tensor
    brow: Tensor
    cloth: Tensor
    eyelids: Tensor | None

    @classmethod
    def of(cls, character: Character) -> Colours:
        hair = linear(character.hair)
        return cls(
            skin=linear(character.skin),
            lips=linear(character.lips),
            iris=linear(character.iris),
            hair=hair,
            brow=hair if character.brow is None else linear(character.brow),
            cloth=linear(character.cloth),
            eyelids=None if character.eyelids is None else linear(character.eyelids),
        )


@dataclass(frozen=True, eq=False)
class Groomed:
    """A person ready to be posed.

    cage (C, 3): the neutral coarse mesh; surface (V, 3): subdivided. offset (3,): of the noise in skin and hair. groups: scalp (0), brows
    (1), beard (2, where there is one), and last the lashes.
    """

    character: Character
    colours: Colours
    cage: Tensor
    surface: Tensor
    offset: Tensor
    groups: tuple[Strands, ...]

    @cached_property
    def kinds(self) -> Tensor:
        """Kind of each group."""
        return torch.tensor([group.kind for group in self.groups])


def groom(head: Head, margins: tuple[LidMargin, ...], character: Character) -> Groomed:
    """The same person every time, from the character's seed."""
    rng = np.random.default_rng(character.seed)
    shape = shape_weights(head, character, rng)
    weights = torch.tensor([shape.get(name, 0.0) for name in head.names])
    cage = crowned(head.cage + torch.einsum("n,ncd->cd", weights, head.targets))
    offset = torch.from_numpy(rng.uniform(0, 9, 3)).float()
    surface = head.subdivide(cage)
    colours = Colours.of(character)
    soil = Soil.of(head, surface, offset, torch.Generator().manual_seed(character.seed))
    groups: list[Strands] = [
        grow_scalp(soil, character, colours.hair),
        grow_brows(soil, character.brows, 0.7 * colours.brow + 0.16 * colours.skin),
    ]
    if character.beard is not None:
        groups.append(grow_beard(soil, character.beard, colours.hair))
    groups.append(grow_lashes(soil, margins, character.lashes, colours.hair))
    return Groomed(character, colours, cage, surface, offset, tuple(groups))


# ---------------------------------------------------------------- shape


def shape_weights(head: Head, character: Character, rng: np.random.Generator) -> dict[str, float]:
    """How much of each target makes this person: ancestry, sex and age, and a little of everything, for nobody is average."""
    weights = ancestral(character)
    written = {**EYE_HEIGHT, **character.shape}
    drawn: dict[str, float] = {}
    for name in head.names:
        group = name.split("/")[0]
        if group in ("macro", "unit") or name.startswith(LEFT_OUT) or "asymm-" in name:
            continue
        base, sign = without_direction(name, UP_AND_DOWN)
        both = base.replace("/l-", "/*-").replace("/r-", "/*-")
        if both not in drawn:
            spread = spread_of(group)
            drawn[both] = float(np.clip(rng.normal(0, spread), -2 * spread, 2 * spread))
        weight = sign * (drawn[both] + written.get(both, 0.0))
        if weight > 0:
            weights[name] = weights.get(name, 0.0) + weight
    return weights


def ancestral(character: Character) -> dict[str, float]:
    """Weights of the targets for ancestry, sex, age, body weight and muscle."""
    out: dict[str, float] = {}
    fat = "max" if character.weight > 0 else "min"
    strong = "max" if character.muscle > 0 else "min"
    for sex, of_sex in (("male", character.male), ("female", 1 - character.male)):
        for age, of_age in (("young", 1 - character.old), ("old", character.old)):
            share = of_sex * of_age
            for origin, part in zip(("african", "asian", "caucasian"), character.ancestry, strict=True):
                out[f"macro/{origin}-{sex}-{age}"] = share * part
            out[f"macro/universal-{sex}-{age}-averagemuscle-{fat}weight"] = share * abs(character.weight)
            out[f"macro/universal-{sex}-{age}-{strong}muscle-averageweight"] = share * abs(character.muscle)
    return out


def spread_of(group: str) -> float:
    """Standard deviation of the weights of one group of targets."""
    if group == "asym":
        return ASYMMETRY
    return VARIATION * (0.4 if group in ("eyes", "neck", "head") else 1.0)


# ---------------------------------------------------------------- brows, beard, lashes


def grow_brows(soil: Soil, brows: Brows, colour: Tensor) -> Rooted:
    """Hairs that stand up near the nose and lie down towards the temple."""
    centres = soil.head.centres
    x = centres[:, 0].abs()
    thickness = brows.thickness * (1 - 0.55 * smooth_step(0.3, 0.62, x))
    band = torch.exp(-(((centres[:, 1] - brows.line(x)) / thickness) ** 2))
    share = band * smooth_step(0.06, 0.15, x) * (1 - smooth_step(0.50, 0.64, x)) * (centres[:, 2] > 0.9)
    roots = soil.roots(share, brows.count)

    x = roots.rest[:, 0].abs()
    within = ((roots.rest[:, 1] - brows.line(x)) / 0.03).clamp(-1, 1)
    away = torch.sign(roots.rest[:, 0]) * (0.35 + 0.65 * smooth_step(0.1, 0.3, x))
    up = 1.05 - smooth_step(0.08, 0.3, x) - 0.55 * smooth_step(0.4, 0.6, x) - 0.35 * within
    direction = torch.stack([away, up, torch.zeros_like(x)], -1) + 0.10 * soil.normal(brows.count, 3)
    direction = normalize(roots.flattened(direction, 1.0))
    length = 0.062 * (0.6 + 0.6 * soil.uniform(brows.count)) * (1 - 0.3 * smooth_step(0.4, 0.6, x))
    t = torch.linspace(0, 1, 5)[None, :, None]
    lift = 0.010 + 0.012 * t * (1 - t) * 4 - 0.010 * t
    return Rooted(
        kind=BROW,
        colour=colour,
        width=0.0022,
        chance=soil.uniform(brows.count),
        lock=soil.uniform(brows.count),
        triangle=roots.triangle,
        weights=roots.weights,
        offsets=direction[:, None] * t * length[:, None, None] + roots.normal[:, None] * lift,
    )


def beard_share(soil: Soil) -> Tensor:
    """Where beards grow, (T,): jaw, moustache, and the corners between them; less under the lower lip."""
    head = soil.head
    x, y, z = head.centres[:, 0].abs(), head.centres[:, 1], head.centres[:, 2]
    lips, _, ears = head.masked(head.uv.mean(1)).unbind(-1)
    mouth, bare = head.lip_height, lips < 0.2
    edge = y - 0.22 * smooth_step(0.45, 0.7, x) - 0.34 * smooth_step(0.66, 0.76, x) + 0.03 * soil.ragged
    throat = smooth_step(-0.06, 0.06, y - 6.14 - 0.30 * smooth_step(0.2, 0.75, x))
    jaw = smooth_step(6.98, 6.78, edge) * throat * (z > 0.3) * (x < 0.785)
    below = y - 0.5 * smooth_step(0.30, 0.62, x) - 0.5 * smooth_step(0.62, 0.76, x)
    cheeks = jaw * bare * smooth_step(mouth + 0.02, mouth - 0.04, below) * (ears < 0.1)
    under_lip = torch.exp(-((x / 0.2) ** 2 + ((y - mouth + 0.17) / 0.045) ** 2))
    arc = (y - mouth - 0.165 + 0.12 * (x / 0.3) ** 2) / 0.062
    moustache = torch.exp(-(((x - 0.05) / 0.26) ** 4 + arc**4)) * bare * (z > 1) * smooth_step(0.0, 0.03, x)
    corners = smooth_step(0.29, 0.34, x) * smooth_step(0.46, 0.38, x) * smooth_step(mouth + 0.12, mouth + 0.02, y) * jaw * bare
    return torch.stack([cheeks * (1 - 0.6 * under_lip), 2.2 * moustache, corners]).amax(0)


def grow_beard(soil: Soil, beard: Beard, colour: Tensor) -> Rooted:
    """Hairs that hang from jaw and lip, waved at random."""
    count = beard.count
    roots = soil.roots(beard_share(soil), count)
    side = torch.sign(roots.rest[:, 0])
    on_lip = (roots.rest[:, 1] > soil.head.lip_height + 0.05) & (roots.rest[:, 0].abs() < 0.36)
    one = torch.ones_like(side)
    on_jaw = torch.stack([0.15 * side, -one, 0.15 * one], -1)
    direction = torch.where(on_lip[:, None], torch.stack([0.8 * side, -0.7 * one, 0.1 * one], -1), on_jaw)
    direction = direction + 0.22 * soil.normal(count, 3) + 0.3 * soil.head.noise.at(roots.rest, 0.6)[:, :3]
    direction = normalize(roots.flattened(direction, 0.8))
    length = torch.where(on_lip, beard.moustache, beard.length) * (0.6 + 0.7 * soil.uniform(count))
    length = length[:, None, None]
    t = torch.linspace(0, 1, 6)[None, :, None]
    wave = beard.curl * torch.sin(9 * t + 6.28 * soil.uniform(count)[:, None, None]) * normalize(soil.normal(count, 1, 3))
    lift = 0.012 + 0.3 * length * t * (1.2 - t)
    return Rooted(
        kind=BEARD,
        colour=colour,
        width=0.0030,
        chance=soil.uniform(count),
        lock=soil.uniform(count),
        triangle=roots.triangle,
        weights=roots.weights,
        offsets=direction[:, None] * t * length + roots.normal[:, None] * lift + 0.3 * wave * length * t,
    )


UPPER_LASHES, LOWER_LASHES = 92, 38
"""Per lid."""


def grow_lashes(soil: Soil, margins: tuple[LidMargin, ...], size: float, hair: Tensor) -> Lashes:
    """Along the lids' margins, longer towards the temple. size: of the usual length."""
    counts = torch.tensor([UPPER_LASHES if margin.upper else LOWER_LASHES for margin in margins])
    chance, lock = (soil.uniform(int(counts.sum())) for _ in range(2))
    inner, outer, share, length, spread = [], [], [], [], []
    for margin, count in zip(margins, counts.tolist(), strict=True):
        even = torch.linspace(0.03 if margin.upper else 0.2, 0.97, count)
        along = (even + 0.3 / count * soil.normal(count)).clamp(0, 0.999) * (len(margin.vertices) - 1)
        inner.append(margin.vertices[along.long()])
        outer.append(margin.vertices[along.long() + 1])
        share.append(along % 1)
        length.append((0.7 + 0.5 * soil.uniform(count)) * size * (0.75 + 0.35 * along / len(margin.vertices)))
        spread.append(0.25 * soil.normal(count))
    return Lashes(
        kind=LASHES,
        colour=torch.minimum(0.5 * hair, torch.tensor(LASH_COLOUR)),
        width=0.0021,
        chance=chance,
        lock=lock,
        inner=torch.cat(inner),
        outer=torch.cat(outer),
        share=torch.cat(share),
        upper=torch.tensor([margin.upper for margin in margins]).repeat_interleave(counts),
        left=torch.tensor([margin.left for margin in margins]).repeat_interleave(counts),
        length=torch.cat(length),
        spread=torch.cat(spread),
    )
