"""Material and light of the visible mesh: skin, cloth, eyes, teeth and tongue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from livepuppet.synthetic.head import EYE, SKIN
from livepuppet.synthetic.noise import smooth_step
from livepuppet.synthetic.setting import Lamp
from livepuppet.synthetic.shading import ambient, ggx, normalize
from tools.demo_assets.complexion import paint_body
from tools.demo_assets.eyes import mirrored, paint_eyes, paint_mouth
from tools.demo_assets.lighting import ShadowMap, StudioLight, lit_share
from tools.demo_assets.spot import Material, Spot

LOBES = ((1.0, 0.65), (0.62, 0.35))
"""Of the highlight: factor of the roughness, share."""
BRIGHTEST_LOBE = 1.2
OFF_THE_SKIN = 0.02
"""dm along the normal at which shadow maps are read, so that skin does not shade itself."""


@dataclass(frozen=True, eq=False)
class Shaded:
    """N points. albedo, light, highlight (N, 3): linear; what leaves a point is albedo * light + highlight. flesh (N,): 1 where `light`
    is to be spread under the skin first."""

    albedo: Tensor
    light: Tensor
    highlight: Tensor
    flesh: Tensor


def paint(spot: Spot) -> Material:
    material = Material.plain(spot.normal)
    for painter, chosen in (
        (paint_body, spot.material == SKIN),
        (paint_eyes, spot.material == EYE),
        (paint_mouth, spot.material > EYE),
    ):
        which = chosen.nonzero()[:, 0]
        if len(which):
            material.put(which, painter(spot.only(which)))
    return material


def shade(spot: Spot, place: Tensor, axis: tuple[Tensor, Tensor], light: StudioLight, maps: Sequence[ShadowMap]) -> Shaded:
    """place: (N, 3), centred on what the camera aims at. axis: where the eyes look, of `eyes.axes`."""
    material = paint(spot)
    lit = lit_share(maps, place + OFF_THE_SKIN * spot.normal)
    others = (0.25 + 0.75 * material.openness).clamp(max=1)
    received = ambient(material.normal, light) * material.openness[:, None]
    highlight = grazing(spot, material, light)
    for i, lamp in enumerate(light.lamps):
        reached = lit if i == 0 else others
        received = received + lamp.colour * (diffuse(spot, material, lamp) * reached)[:, None]
        highlight = highlight + lamp.colour * (glint(spot, material, lamp) * reached)[:, None]
    which = (spot.material == EYE).nonzero()[:, 0]
    if len(which):
        mirror = mirrored(spot.only(which), light, axis, material.openness[which])
        highlight[which] = 0.4 * highlight[which] + mirror
    return Shaded(material.albedo, received, highlight, material.flesh)


def diffuse(spot: Spot, material: Material, lamp: Lamp) -> Tensor:
    """Lambert's cosine, ended softly where the smooth surface turns away: (N,)."""
    facing = (material.normal @ lamp.direction).clamp(min=0)
    horizon = smooth_step(-0.12, 0.2, spot.normal @ lamp.direction)
    return facing * horizon * (0.45 + 0.55 * material.openness)


def glint(spot: Spot, material: Material, lamp: Lamp) -> Tensor:
    """The highlight, (N,): two GGX lobes with Schlick's Fresnel."""
    half = normalize(spot.view + lamp.direction)
    cosine = (material.normal * half).sum(-1).clamp(min=0)
    fresnel = 0.03 + 0.97 * (1 - (spot.view * half).sum(-1).clamp(0, 1)) ** 5
    out = torch.zeros_like(cosine)
    for factor, share in LOBES:
        distribution = ggx((factor * material.roughness) ** 4, cosine)
        out = out + share * (0.5 * material.gloss * distribution * fresnel).clamp(max=BRIGHTEST_LOBE)
    return out * (material.normal @ lamp.direction).clamp(min=0) * material.openness


def grazing(spot: Spot, material: Material, light: StudioLight) -> Tensor:
    """Sheen of skin and cloth seen from the side, (N, 3)."""
    rim = (1 - (material.normal * spot.view).sum(-1).clamp(0, 1)) ** 4
    strength = 0.10 * material.openness * material.flesh + 0.05 * material.cloth
    return (rim * strength)[:, None] * (light.sky + light.ground)
