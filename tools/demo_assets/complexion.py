"""Skin and cloth: colour, relief and gloss of the body, painted on the resting head so that they move with it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from livepuppet.synthetic.hair import scalp_share
from livepuppet.synthetic.noise import smooth_step
from livepuppet.synthetic.shading import normalize
from tools.demo_assets.character import Character, linear
from tools.demo_assets.spot import Material, Spot

MOUTH_INSIDE = linear("401614")
BAND = 0.09
"""Height of the collar."""
EYELID_PAINT = 0.45
LIP_COLOUR = 0.8
BROW_SHADE = 0.42
"""How much the skin under brows takes their colour."""


def mixed(colour: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """share (N,) of `other` in `colour`, (N, 3)."""
    return colour * (1 - share[:, None]) + other * share[:, None]


def dimmed(colour: Tensor, share: Tensor, per_channel: tuple[float, float, float]) -> Tensor:
    """Red, green and blue less by share (N,) times `per_channel`."""
    return colour * (1 - share[:, None] * torch.tensor(per_channel))


def cloth_edge(character: Character, rest: Tensor) -> Tensor:
    """(N, 3) -> (N,): dm below the neckline."""
    x = rest[:, 0].abs()
    neckline = character.neckline
    cut = neckline.depth * (1 - x / neckline.width).clamp(min=0) * (rest[:, 2] > 0)
    return neckline.y + 0.22 * smooth_step(0.2, 0.9, x) - cut - rest[:, 1]


def cloth_share(character: Character, rest: Tensor) -> Tensor:
    """Where the resting body is dressed: (N, 3) -> (N,) in 0 … 1."""
    return smooth_step(-0.012, 0.012, cloth_edge(character, rest))


def paint_body(spot: Spot) -> Material:
    """Skin, and the cloth over it."""
    character = spot.groomed.character
    edge = cloth_edge(character, spot.rest)
    dressed = smooth_step(-0.012, 0.012, edge)
    band = smooth_step(0.0, 0.01, edge) * smooth_step(BAND + 0.01, BAND, edge)
    threads = weave(spot)
    oil = 0.5 * spot.near(0, 7.05, 1.6, 0.22) + 0.35 * spot.near(0, 7.85, 1.2, 0.4) + 0.25 * spot.near(0.4, 7.05, 1.2, 0.2)
    roughness = character.roughness - 0.06 * oil - 0.14 * spot.lips + 0.03 * spot.middle[:, 0].abs() + 0.3 * dressed
    gloss = character.gloss * (0.75 + 0.5 * oil + 0.9 * spot.lips + 0.15 * spot.grain[:, 1]) * (1 - 0.75 * dressed)
    relief = (1 - dressed)[:, None] * normalize(spot.normal + skin_relief(spot)) + dressed[:, None] * folded(spot, threads, band)
    return Material(
        albedo=mixed(skin(spot), cloth(spot, threads, band), dressed),
        normal=normalize(relief),
        roughness=roughness.clamp(0.06, 0.9),
        gloss=gloss,
        openness=spot.openness.clamp(min=0.08) ** 0.85,
        flesh=1 - dressed,
        cloth=dressed,
    )


# ---------------------------------------------------------------- skin


def skin(spot: Spot) -> Tensor:
    """(N, 3): base tone, blood, shadows around the eyes, painted lids, stubble, lips, scalp, skin under brows, inner mouth."""
    character, colours = spot.groomed.character, spot.groomed.colours
    lids = spot.masks[:, 1]
    colour = blushed(spot, colours.skin * mottled(spot))
    tired = (0.16 + 0.2 * character.old) * spot.near(0.3, 7.13, 1.3, 0.10)
    colour = dimmed(colour, tired, (0.8, 1.0, 0.9))
    colour = dimmed(colour, 0.12 * lids, (0.8, 1.0, 1.0))
    colour = dimmed(colour, 0.10 * spot.near(0.3, 7.36, 1.3, 0.10), (1.0, 1.0, 1.0))
    if colours.eyelids is not None:
        colour = mixed(colour, colours.eyelids, EYELID_PAINT * lids)
    shadow = stubble(spot)[:, None] * torch.tensor([0.62, 0.56, 0.48])
    colour = colour * (1 - shadow * (0.8 + 0.25 * spot.grain[:, :1]))
    red = 1 + 0.06 * spot.fine[:, 3:4] + 0.10 * spot.grain[:, 1:2] * torch.tensor([1.0, 0.8, 0.8])
    colour = mixed(colour, colours.lips * red, LIP_COLOUR * spot.lips)
    colour = mixed(colour, 0.55 * colours.hair + 0.12 * colours.skin, under_hair(spot))
    colour = mixed(colour, 0.35 * colours.skin + 0.5 * colours.brow, under_brows(spot))
    return mixed(colour, MOUTH_INSIDE, inner_mouth(spot))


def mottled(spot: Spot) -> Tensor:
    """(N, 1) around 1."""
    uneven = 0.5 * spot.folds + 0.5 * spot.coarse + 0.4 * spot.middle + 0.5 * spot.fine + 0.5 * spot.grain
    return (1 + spot.groomed.character.mottle * uneven[:, :1]).clamp(0.4, 1.6)


def blushed(spot: Spot, colour: Tensor) -> Tensor:
    """Blood under cheeks, nose, ears, lids and chin."""
    blood = 0.75 * spot.near(0.47, 6.98, 1.1, 0.22) + 0.75 * spot.near(0, 6.98, 1.65, 0.14) + 0.7 * spot.masks[:, 2]
    blood = blood + 0.4 * spot.near(0.31, 7.26, 1.3, 0.2) + 0.35 * spot.near(0, 6.3, 1.4, 0.16)
    return dimmed(colour, blood * spot.groomed.character.blush * (1 + 0.4 * spot.coarse[:, 2]), (0.03, 0.24, 0.20))


def stubble(spot: Spot) -> Tensor:
    """(N,) share of shaved hair."""
    x, y, z = spot.rest[:, 0].abs(), spot.rest[:, 1], spot.rest[:, 2]
    mouth = spot.head.lip_height
    jaw = smooth_step(7.0, 6.78, y - 0.2 * smooth_step(0.4, 0.75, x))
    throat = smooth_step(-0.12, 0.06, y - 6.14 - 0.30 * smooth_step(0.2, 0.75, x))
    below_cheeks = smooth_step(mouth + 0.32, mouth + 0.22, y - 0.55 * smooth_step(0.3, 0.55, x))
    around_mouth = (1 - spot.lips) * (1 - spot.near(0, mouth, 1.5, 0.16))
    share = jaw * throat * smooth_step(0.25, 0.5, z) * (x < 0.79) * around_mouth * below_cheeks
    return spot.groomed.character.stubble * share


def under_hair(spot: Spot) -> Tensor:
    """(N,) how much the skin takes the hair's colour; a little where it is cut short at the sides."""
    character = spot.groomed.character
    share = scalp_share(spot.rest, character.recede, character.side) * character.scalp
    if character.side:
        shaved = 0.42 * smooth_step(7.15, 7.6, spot.rest[:, 1]) * (spot.masks[:, 2] < 0.2)
        share = torch.maximum(share, scalp_share(spot.rest, character.recede, 0.0) * shaved)
    return share


def under_brows(spot: Spot) -> Tensor:
    """(N,) share of the brows' colour in the skin between their hairs."""
    brows = spot.groomed.character.brows
    x, y, z = spot.rest[:, 0].abs(), spot.rest[:, 1], spot.rest[:, 2]
    thickness = 1.25 * brows.thickness * (1 - 0.5 * smooth_step(0.3, 0.62, x))
    band = torch.exp(-(((y - brows.line(x) - 0.012) / thickness) ** 2))
    return BROW_SHADE * band * smooth_step(0.05, 0.17, x) * (1 - smooth_step(0.48, 0.66, x)) * (z > 0.9)


def inner_mouth(spot: Spot) -> Tensor:
    """(N,) 1 where skin is the mouth's inside: it sees hardly any sky."""
    x, y, z = spot.rest[:, 0].abs(), spot.rest[:, 1], spot.rest[:, 2]
    inside = (z > 0.2) & (y > 6.3) & (y < 7.1) & (x < 0.5)
    return smooth_step(0.12, 0.03, spot.openness) * inside * (1 - spot.lips)


def skin_relief(spot: Spot) -> Tensor:
    """Pores, wrinkles, and the lips' furrows, to be added to the normal, (N, 3)."""
    old, lips = spot.groomed.character.old, spot.lips
    pores = (0.055 + 0.06 * old) * spot.grain[:, :3] + (0.02 + 0.07 * old) * spot.fine[:, :3]
    wrinkles = 0.03 * old * spot.middle[:, :3] * torch.tensor([0.4, 1.5, 0.4])
    furrows = torch.sin(170 * spot.rest[:, 0] + 3 * spot.middle[:, 0]) * (0.5 + 0.5 * spot.coarse[:, 1])
    across = (0.10 * lips * furrows)[:, None] * torch.tensor([1.0, 0.0, 0.0])
    bump = (pores + wrinkles) * (1 - 0.5 * lips)[:, None] + across
    in_face = smooth_step(0.4, 0.9, spot.rest[:, 2]) * smooth_step(6.0, 6.3, spot.rest[:, 1])
    return 0.42 * bump * (0.35 + 0.65 * in_face)[:, None]


# ---------------------------------------------------------------- cloth


def weave(spot: Spot) -> Tensor:
    """(N,) height of the threads, about -1 … 1."""
    rest, noise = spot.rest, spot.head.noise
    match spot.groomed.character.fabric:
        case "knit":
            column = 46 * torch.atan2(rest[:, 0], rest[:, 2] + 0.3) * math.pi
            row = 68 * rest[:, 1] + 1.6 * torch.sin(column).abs()
            return 0.6 * torch.sin(column) + 0.6 * torch.sin(row)
        case "linen":
            warp = noise.at(rest * torch.tensor([3.0, 40.0, 3.0]), 0.4)[:, 0]
            weft = noise.at(rest * torch.tensor([40.0, 3.0, 40.0]), 0.4)[:, 1]
            return 0.6 * warp + 0.6 * weft
        case _:
            return 0.25 * noise.at(rest * torch.tensor([30.0, 6.0, 30.0]), 0.5)[:, 0]


def cloth(spot: Spot, threads: Tensor, band: Tensor) -> Tensor:
    """(N, 3); threads (N,): of `weave`; band (N,): 1 in the collar."""
    uneven = 1 + 0.05 * spot.coarse[:, 0] + 0.10 * threads
    return spot.groomed.colours.cloth * (uneven * (1 - 0.14 * band))[:, None]


def folded(spot: Spot, threads: Tensor, band: Tensor) -> Tensor:
    """Unit normals of the cloth (N, 3): folds, threads, and the collar's ribs."""
    folds = 0.07 * spot.folds[:, :3] + 0.05 * spot.coarse[:, :3]
    relief = 0.05 * threads[:, None] * torch.tensor([0.6, 0.6, 0.0])
    ribs = (0.075 * band * torch.sin(150 * spot.rest[:, 0]))[:, None] * torch.tensor([1.0, 0.0, 0.0])
    return normalize(spot.normal + folds + relief + ribs)
