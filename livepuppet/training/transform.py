"""Random warps of a picture, an affine map plus a thin-plate-like bend, with their Jacobians (FOMM, section 3.3, equivariance).

The bend is that of the original's code: one scalar displacement, added to x and to y alike, sum_k w_k r_k^2 log(r_k + 1e-6) over a grid of
control points with L1 distances r_k. Its Jacobian is written out rather than differentiated, which spares a second backward pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from livepuppet.engines.fomm.networks.layers import coordinate_grid
from livepuppet.training.settings import ThinPlateWarp

TINY = 1e-6


@dataclass(frozen=True, eq=False)
class Transform:
    """linear (B, 2, 2), shift (B, 2); controls (M, 2), bends (B, M)."""

    linear: Tensor
    shift: Tensor
    controls: Tensor
    bends: Tensor

    @classmethod
    def drawn(cls, warp: ThinPlateWarp, batch: int, generator: torch.Generator, device: torch.device) -> Transform:
        """Drawn on the CPU, so that the same seed gives the same warp on any device."""
        noise = warp.sigma_affine * torch.randn(batch, 2, 3, generator=generator)
        controls = coordinate_grid(warp.points_tps, warp.points_tps, torch.device("cpu")).reshape(-1, 2)
        bends = warp.sigma_tps * torch.randn(batch, len(controls), generator=generator)
        linear = noise[:, :, :2] + torch.eye(2)
        return cls(linear.to(device), noise[:, :, 2].to(device), controls.to(device), bends.to(device))

    def points(self, points: Tensor) -> Tensor:
        """Where points (B, N, 2) go, -1 … 1 across the picture."""
        distance = (points[:, :, None] - self.controls).abs().sum(-1)
        bend = (self.bends[:, None] * distance**2 * torch.log(distance + TINY)).sum(-1, keepdim=True)
        return points @ self.linear.transpose(1, 2) + self.shift[:, None] + bend

    def jacobians(self, points: Tensor) -> Tensor:
        """Derivative of `points` there: (B, N, 2, 2), rows x and y of the result."""
        away = points[:, :, None] - self.controls
        distance = away.abs().sum(-1)
        slope = self.bends[:, None] * (2 * distance * torch.log(distance + TINY) + distance**2 / (distance + TINY))
        gradient = (slope[..., None] * away.sign()).sum(2)
        return self.linear[:, None] + gradient[:, :, None, :]

    def picture(self, picture: Tensor) -> Tensor:
        """The warped picture: at each pixel, what `picture` (B, C, H, W) shows where that pixel goes; reflected at the borders."""
        batch, _, height, width = picture.shape
        grid = coordinate_grid(height, width, picture.device).view(1, -1, 2).expand(batch, -1, -1)
        places = self.points(grid).view(batch, height, width, 2)
        return torch.nn.functional.grid_sample(picture.float(), places, padding_mode="reflection", align_corners=True)
