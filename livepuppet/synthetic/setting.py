"""Where a person is seen: lamps, sky, camera and video."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Generator = np.random.Generator
AIM = (0.0, 7.2, 0.3)
"""What cameras look at: between the eyes, a little behind them."""


@dataclass(frozen=True, eq=False)
class Lamp:
    """direction: unit, towards the lamp. colour: linear RGB, how strong it is included."""

    direction: Tensor
    colour: Tensor


@dataclass(frozen=True, eq=False)
class Light:
    """The first lamp throws the shadows.

    Attributes:
        shadow: 0 none, 1 black (but for sky and other lamps).
    """

    lamps: tuple[Lamp, ...]
    sky: Tensor
    ground: Tensor
    shadow: float


@dataclass(frozen=True)
class Camera:
    """Looks along -z at AIM + (x, y).

    Attributes:
        distance: dm.
        height_seen: dm of the aimed-at plane that the picture's height shows.
    """

    distance: float
    height_seen: float
    x: float = 0.0
    y: float = 0.0

    def centred(self, points: Tensor) -> Tensor:
        """World -> origin at what is aimed at."""
        return points - torch.tensor([AIM[0] + self.x, AIM[1] + self.y, AIM[2]], device=points.device)

    def screen(self, centred: Tensor, width: int, height: int) -> Tensor:
        """(..., 3) centred points -> pixel x, pixel y (down), depth."""
        depth = self.distance - centred[..., 2]
        scale = self.distance * height / self.height_seen / depth
        return torch.stack([width / 2 + scale * centred[..., 0], height / 2 - scale * centred[..., 1], depth], -1)

    def eye(self, device: torch.device) -> Tensor:
        return torch.tensor([0.0, 0.0, self.distance], device=device)


@dataclass(frozen=True)
class FilmStock:
    """What happens to linear light on its way to 8 bits."""

    exposure: float = 1.0
    gamma: float = 1.0
    saturation: float = 1.0
    noise: float = 0.0


@dataclass(frozen=True, eq=False)
class Setting:
    light: Light
    camera: Camera
    film: FilmStock
    backdrop_seed: int


def towards(azimuth: float, elevation: float) -> Tensor:
    """Unit direction; azimuth 0 is the camera's side, positive to the picture's right."""
    flat = math.cos(elevation)
    return torch.tensor([math.sin(azimuth) * flat, math.sin(elevation), math.cos(azimuth) * flat])


def warmth(rng: Generator) -> Tensor:
    """A white, a little warm or cool."""
    tint = np.exp(rng.normal(0, 0.12) * np.array([1.0, 0.0, -1.0]) + rng.normal(0, 0.03, 3))
    return torch.from_numpy(tint).float()


def draw_setting(rng: Generator, device: torch.device | str = "cpu") -> Setting:
    uniform = rng.uniform
    azimuth = uniform(-1.3, 1.3)
    behind = float(rng.choice([-1, 1])) * uniform(1.9, 2.8)
    lamps = (
        Lamp(towards(azimuth, uniform(-0.1, 1.1)), warmth(rng) * uniform(0.5, 1.4)),
        Lamp(towards(-azimuth * uniform(0.4, 1.4), uniform(-0.3, 0.8)), warmth(rng) * uniform(0, 0.5)),
        Lamp(towards(behind, uniform(0, 0.9)), warmth(rng) * uniform(0, 1.2) * float(uniform() < 0.5)),
    )
    return Setting(
        light=Light(
            lamps=tuple(Lamp(lamp.direction.to(device), lamp.colour.to(device)) for lamp in lamps),
            sky=(warmth(rng) * uniform(0.2, 0.6)).to(device),
            ground=(warmth(rng) * uniform(0.08, 0.35)).to(device),
            shadow=uniform(0.3, 1.0),
        ),
        camera=Camera(distance=uniform(9, 22), height_seen=3.0 / uniform(0.72, 1.08), x=rng.normal(0, 0.08), y=rng.normal(-0.12, 0.07)),
        film=FilmStock(uniform(0.85, 1.25), uniform(0.9, 1.1), uniform(0.8, 1.25), uniform(0, 0.02)),
        backdrop_seed=int(rng.integers(1 << 30)),
    )


def portrait_setting(rng: Generator, device: torch.device | str = "cpu") -> Setting:
    """Calm light and a straight camera, for avatars and performances: a window on one side, a bright wall on the other."""
    side = float(rng.choice([-1, 1]))
    lamps = (
        Lamp(towards(side * 0.6, 0.5), torch.tensor([1.0, 0.97, 0.92]) * 1.25),
        Lamp(towards(-side * 0.9, 0.12), torch.tensor([1.0, 0.93, 0.85]) * 0.32),
        Lamp(towards(-side * 2.4, 0.6), torch.tensor([1.0, 0.97, 0.92]) * 0.7),
    )
    return Setting(
        light=Light(
            lamps=tuple(Lamp(lamp.direction.to(device), lamp.colour.to(device)) for lamp in lamps),
            sky=torch.tensor([0.46, 0.48, 0.5], device=device),
            ground=torch.tensor([0.26, 0.24, 0.22], device=device),
            shadow=0.85,
        ),
        camera=Camera(distance=13.0, height_seen=3.7, y=-0.05),
        film=FilmStock(),
        backdrop_seed=int(rng.integers(1 << 30)),
    )
