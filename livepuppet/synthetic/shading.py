"""Light on surfaces and hair, and the shadow the first lamp throws."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from livepuppet.synthetic.materials import Surface
from livepuppet.synthetic.noise import smooth_step
from livepuppet.synthetic.occlusion import FAR, from_afar
from livepuppet.synthetic.raster import Keep, depth_map, rasterize
from livepuppet.synthetic.setting import Light

SHADOW_RESOLUTION = 256
SHADOW_RADIUS = 2.6
SHADOW_SLACK = 0.07
BLEED = (0.30, 0.12, 0.08)
"""How far light wraps around flesh, red most (a cheap stand-in for scattering under the skin)."""


def normalize(vector: Tensor) -> Tensor:
    return torch.nn.functional.normalize(vector, dim=-1)


def lit_share(points: Tensor, triangles: Tensor, at: Tensor, light: Light, keep: Keep) -> Tensor:
    """How much of the first lamp reaches the places `at` (N, 3): a 256² shadow map of the scene, read at nine places.

    Reeves, Salesin, Cook, "Rendering antialiased shadows with depth maps", SIGGRAPH 1987.
    """
    size, direction = SHADOW_RESOLUTION, light.lamps[0].direction
    view = from_afar(points, direction, SHADOW_RADIUS, size)
    nearest = depth_map(rasterize(view, triangles, size, size, keep=keep), size, size, far=10 * FAR)
    x, y, depth = from_afar(at, direction, SHADOW_RADIUS, size).unbind(-1)
    share = torch.zeros_like(depth)
    for dx in (-1.5, 0.0, 1.5):
        for dy in (-1.5, 0.0, 1.5):
            column, row = (x + dx).long().clamp(0, size - 1), (y + dy).long().clamp(0, size - 1)
            share += (depth < nearest[row, column] + SHADOW_SLACK) / 9
    return 1 - light.shadow * (1 - share)


class Surroundings(Protocol):
    """sky, ground: (3,) linear light."""

    @property
    def sky(self) -> Tensor: ...

    @property
    def ground(self) -> Tensor: ...


def ambient(normal: Tensor, light: Surroundings) -> Tensor:
    """Sky from above, ground from below, (N, 3)."""
    up = 0.5 + 0.5 * normal[:, 1:2]
    return light.sky * up + light.ground * (1 - up)


def ggx(alpha_squared: Tensor, cosine: Tensor) -> Tensor:
    """How many of a rough surface's facets face a direction at `cosine` to its normal, (N,).

    Walter, Marschner, Li, Torrance, "Microfacet models for refraction through rough surfaces", EGSR 2007 (distribution D, eq. 33).
    """
    return alpha_squared / (math.pi * (cosine**2 * (alpha_squared - 1) + 1) ** 2)


def shade(surface: Surface, view: Tensor, light: Light, lit: Tensor) -> Tensor:
    """Light that leaves the surface towards `view` (N, 3): Lambert wrapped around flesh, plus a GGX highlight with Schlick's Fresnel.

    `lit`: (N,).
    """
    out = surface.albedo * ambient(surface.normal, light) * surface.openness[:, None]
    wrap = surface.flesh[:, None] * torch.tensor(BLEED, device=out.device)
    alpha_squared = surface.roughness**4
    for i, lamp in enumerate(light.lamps):
        facing = (surface.normal @ lamp.direction)[:, None]
        horizon = smooth_step(-0.3, 0.15, surface.smooth_normal @ lamp.direction)[:, None]
        reached = lit[:, None] if i == 0 else torch.ones_like(facing)
        diffuse = ((facing + wrap) / (1 + wrap)).clamp(min=0) * horizon * reached * (0.35 + 0.65 * surface.openness[:, None])
        half = normalize(view + lamp.direction)
        cosine = (surface.normal * half).sum(-1).clamp(min=0)
        distribution = ggx(alpha_squared, cosine)
        fresnel = 0.04 + 0.96 * (1 - (view * half).sum(-1).clamp(0, 1)) ** 5
        highlight = (0.25 * surface.gloss * distribution * fresnel).clamp(max=3.0) * surface.openness
        out = out + lamp.colour * (surface.albedo * diffuse + highlight[:, None] * facing.clamp(min=0) * reached)
    grazing = (1 - (surface.normal * view).sum(-1).clamp(0, 1)) ** 4
    return out + (0.06 * grazing * surface.openness)[:, None] * light.sky


def in_tones(colour: Tensor, albedo: Tensor) -> Tensor:
    """Three flat tones instead of smooth light, as in a drawn video."""
    brightness = (colour / albedo.clamp(min=0.02)).mean(-1, keepdim=True)
    return albedo * (0.45 + 0.5 * smooth_step(0.25, 0.3, brightness) + 0.4 * smooth_step(0.75, 0.8, brightness))


def shade_hair(albedo: Tensor, tangent: Tensor, outward: Tensor, view: Tensor, light: Light, lit: Tensor, depth: Tensor) -> Tensor:
    """Light on strands: Kajiya, Kay, "Rendering fur with three dimensional textures", SIGGRAPH 1989; `depth` (N,) in 0 … 1 is how far a
    place lies out of the tangle. All others (N, 3), `lit` (N,)."""
    out = albedo * ambient(outward, light) * depth[:, None]
    for i, lamp in enumerate(light.lamps):
        reached = (lit if i == 0 else torch.ones_like(depth)) * depth
        side = (0.25 + 0.75 * (outward @ lamp.direction)).clamp(min=0)
        sine = (1 - (tangent @ lamp.direction) ** 2).clamp(min=0).sqrt()
        along = (tangent * normalize(view + lamp.direction)).sum(-1) - 0.05
        streak = (1 - along**2).clamp(min=0) ** 45
        diffuse = albedo * (side * (0.3 + 0.7 * sine) * reached)[:, None]
        out = out + lamp.colour * (diffuse + (0.10 + 0.5 * albedo) * (0.5 * streak * side * reached)[:, None])
    return out
