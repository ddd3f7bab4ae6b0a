"""The four kinds of light in which the shipped pictures are taken, and the soft shadows of their first lamp."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from livepuppet.synthetic.occlusion import basis, from_afar
from livepuppet.synthetic.raster import depth_map, rasterize
from livepuppet.synthetic.setting import Camera, Lamp, towards
from livepuppet.synthetic.shading import normalize

LightKind = Literal["window", "studio", "warm", "day"]

PORTRAIT = Camera(distance=11.0, height_seen=3.7, y=-0.04)
PERFORMANCE = Camera(distance=11.0, height_seen=3.5, y=-0.15)

SHADOW_RADIUS = 2.5
SHADOW_SLACK = 0.05
GOLDEN_ANGLE = 2.399963
"""Radians between neighbours on a spiral that fills a disc evenly."""
READ_AT = ((-0.7, -0.4), (0.7, 0.4), (-0.4, 0.7), (0.4, -0.7))
"""Where around a place a shadow map is read, in its pixels."""
NOTHING = 99.0
"""The depth of a shadow map where nothing is in the way."""


@dataclass(frozen=True, eq=False)
class Window:
    """A bright rectangle that eyes mirror. direction: unit, towards its middle. colour: linear RGB. half_width, half_height: as sines."""

    direction: Tensor
    colour: Tensor
    half_width: float
    half_height: float


@dataclass(frozen=True, eq=False)
class StudioLight:
    """lamps: the first throws shadows, and is a disc of `softness` (radius, in units of its distance), seen as `taps` points, each with a
    shadow map of `resolution` pixels. sky, ground: (3,) linear RGB from above and below."""

    lamps: tuple[Lamp, ...]
    sky: Tensor
    ground: Tensor
    softness: float = 0.22
    taps: int = 9
    resolution: int = 448

    @property
    def windows(self) -> tuple[Window, Window]:
        """What the eyes mirror: the first lamp's window, lowered to the eyes' height, and the second lamp."""
        first, second = self.lamps[:2]
        azimuth = math.atan2(float(first.direction[0]), float(first.direction[2]))
        return (
            Window(towards(azimuth, 0.24), 26 * first.colour, 0.18, 0.24),
            Window(second.direction, 5 * second.colour, 0.14, 0.20),
        )

    def flipped(self) -> StudioLight:
        """From the other side."""
        mirror = torch.tensor([-1.0, 1.0, 1.0])
        return replace(self, lamps=tuple(Lamp(lamp.direction * mirror, lamp.colour) for lamp in self.lamps))


def colour(red: float, green: float, blue: float, strength: float) -> Tensor:
    return torch.tensor([red, green, blue]) * strength


def lamp(azimuth: float, elevation: float, light: Tensor) -> Lamp:
    return Lamp(normalize(towards(azimuth, elevation)), light)


LIGHTS: dict[LightKind, StudioLight] = {
    "window": StudioLight(
        lamps=(
            lamp(-0.62, 0.48, colour(1.0, 0.97, 0.92, 1.55)),
            lamp(0.9, 0.12, colour(1.0, 0.93, 0.85, 0.34)),
            lamp(2.5, 0.6, colour(1.0, 0.97, 0.92, 0.55)),
        ),
        sky=colour(0.96, 1.0, 1.04, 0.50),
        ground=colour(1.0, 0.93, 0.86, 0.30),
    ),
    "studio": StudioLight(
        lamps=(
            lamp(-0.5, 0.62, colour(1.0, 0.98, 0.95, 1.75)),
            lamp(0.75, 0.1, colour(0.95, 0.98, 1.0, 0.40)),
            lamp(2.3, 0.7, colour(1.0, 1.0, 1.0, 1.1)),
            lamp(-2.3, 0.5, colour(1.0, 1.0, 1.0, 0.5)),
        ),
        sky=colour(1.0, 1.0, 1.0, 0.36),
        ground=colour(1.0, 0.97, 0.94, 0.22),
    ),
    "warm": StudioLight(
        lamps=(
            lamp(0.58, 0.45, colour(1.0, 0.93, 0.82, 1.7)),
            lamp(-0.9, 0.15, colour(0.82, 0.9, 1.0, 0.30)),
            lamp(-2.4, 0.5, colour(1.0, 0.8, 0.55, 1.1)),
        ),
        sky=colour(1.0, 0.95, 0.9, 0.38),
        ground=colour(1.0, 0.9, 0.8, 0.24),
    ),
    "day": StudioLight(
        lamps=(
            lamp(0.5, 0.7, colour(1.0, 0.98, 0.94, 1.6)),
            lamp(-0.8, 0.2, colour(0.92, 1.0, 0.95, 0.35)),
            lamp(2.6, 0.8, colour(1.0, 0.97, 0.88, 1.2)),
        ),
        sky=colour(0.93, 1.0, 1.05, 0.50),
        ground=colour(0.95, 1.0, 0.85, 0.28),
    ),
}


def portrait_light(kind: LightKind, *, flipped: bool = False) -> StudioLight:
    """For a still: nine shadow maps of a large lamp."""
    light = LIGHTS[kind]
    return light.flipped() if flipped else light


def performance_light(kind: LightKind) -> StudioLight:
    """For hundreds of frames: four smaller shadow maps."""
    return replace(LIGHTS[kind], softness=0.16, taps=4, resolution=320)


@dataclass(frozen=True, eq=False)
class ShadowMap:
    """What one point of the lamp sees. direction: towards it. surface: depth of the mesh, fog: depth at which hair begins, thickness: how
    much hair there is, all (R, R)."""

    direction: Tensor
    surface: Tensor
    fog: Tensor
    thickness: Tensor

    def share(self, at: Tensor, *, in_hair: bool) -> Tensor:
        """How much of the lamp reaches the places `at` (N, 3): (N,). Hair dims it the more, the deeper a place lies in it."""
        resolution = len(self.surface)
        x, y, depth = from_afar(at, self.direction, SHADOW_RADIUS, resolution).unbind(-1)
        free, dimming, full = (0.03, 4.5, 2.0) if in_hair else (0.02, 6.0, 1.2)
        share = torch.zeros_like(depth)
        for dx, dy in READ_AT:
            column = (x + dx).long().clamp(0, resolution - 1)
            row = (y + dy).long().clamp(0, resolution - 1)
            reached = (depth < self.surface[row, column] + SHADOW_SLACK).float()
            within = (depth - self.fog[row, column] - free).clamp(min=0)
            density = (self.thickness[row, column] / full).clamp(max=1)
            share += reached * torch.exp(-dimming * within * density) / len(READ_AT)
        return share


def points_of_lamp(light: StudioLight) -> list[Tensor]:
    """Unit directions towards `taps` points spread over the first lamp's disc (Vogel, "A better way to construct the sunflower head",
    Mathematical Biosciences 1979)."""
    middle = normalize(light.lamps[0].direction)
    across, up = basis(middle)
    directions = []
    for i in range(light.taps):
        angle = i * GOLDEN_ANGLE
        radius = light.softness * math.sqrt((i + 0.5) / light.taps)
        directions.append(normalize(middle + radius * math.cos(angle) * across + radius * math.sin(angle) * up))
    return directions


def shadow_maps(points: Tensor, triangles: Tensor, hair: Tensor, light: StudioLight) -> list[ShadowMap]:
    """One map per point of the first lamp.

    points (V, 3), triangles (T, 3): the mesh, centred on what the camera aims at. hair: (H, 3), points of the strands that throw shadows.
    Reeves, Salesin, Cook, "Rendering antialiased shadows with depth maps", SIGGRAPH 1987; the hair's share is a coarse form of Lokovic,
    Veach, "Deep shadow maps", SIGGRAPH 2000: one depth where it begins, and a density.
    """
    size = light.resolution
    maps = []
    for direction in points_of_lamp(light):
        view = from_afar(points, direction, SHADOW_RADIUS, size)
        surface = depth_map(rasterize(view, triangles, size, size), size, size, far=NOTHING)
        fog, thickness = hair_fog(from_afar(hair, direction, SHADOW_RADIUS, size), size)
        maps.append(ShadowMap(direction, surface, fog, thickness))
    return maps


def hair_fog(view: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Nearest depth and mean number of hair points around each pixel, both (size, size), from points (H, 3) in pixels and depth."""
    column = view[:, 0].long().clamp(0, size - 1)
    row = view[:, 1].long().clamp(0, size - 1)
    pixel = row * size + column
    nearest = torch.full((size * size,), NOTHING).scatter_reduce(0, pixel, view[:, 2], "amin").view(1, 1, size, size)
    count = torch.zeros(size * size).index_add(0, pixel, torch.ones(len(pixel))).view(1, 1, size, size)
    nearest = -torch.nn.functional.max_pool2d(-nearest, 3, 1, 1)
    count = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(count, (2, 2, 2, 2)), 5, 1)
    return nearest[0, 0], count[0, 0]


def lit_share(maps: Sequence[ShadowMap], at: Tensor, *, in_hair: bool = False) -> Tensor:
    """How much of the first lamp reaches the places `at` (N, 3): (N,) in 0 … 1."""
    return torch.stack([seen.share(at, in_hair=in_hair) for seen in maps]).mean(0)
