"""Three-dimensional noise that tiles: the grain of skin, cloth and iris, fixed to the mesh."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

CELLS = 48


@dataclass(frozen=True, eq=False)
class Noise:
    """volume: (1, 4, CELLS, CELLS, CELLS), independent standard normal channels."""

    volume: Tensor

    @classmethod
    def drawn(cls, device: torch.device) -> Noise:
        """Always the same one."""
        generator = torch.Generator().manual_seed(1)
        return cls(torch.randn(1, 4, CELLS, CELLS, CELLS, generator=generator).to(device))

    def at(self, points: Tensor, frequency: float) -> Tensor:
        """(N, 3) -> (N, 4); the volume repeats every 2 / frequency units."""
        place = (points * (frequency / 2)) % 1 * 2 - 1
        sampled = torch.nn.functional.grid_sample(self.volume, place[None, None, None], align_corners=False, padding_mode="border")
        return sampled[0, :, 0, 0].T


def smooth_step(low: float, high: float, x: Tensor) -> Tensor:
    """0 below `low`, 1 above `high` (the other way round when low > high), smooth between."""
    t = ((x - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)
