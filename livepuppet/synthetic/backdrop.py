"""What stands behind a person: gradients, out-of-focus shapes, a little dirt."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

BLURS = (1, 5, 11, 25, 51)
"""Box widths in pixels of a picture 512 high, applied twice."""


def draw_backdrop(seed: int, height: int, width: int, device: torch.device) -> Tensor:
    """Linear light (H, W, 3), the same for the same seed whatever the size."""
    rng = np.random.default_rng(seed)
    uniform = rng.uniform
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height, device=device), torch.linspace(-width / height, width / height, width, device=device), indexing="ij"
    )
    colourful = float(rng.choice([0.06, 0.15, 0.5], p=[0.55, 0.33, 0.12]))

    def colour() -> Tensor:
        mixed = uniform(0.03, 1, 3) ** 2.2 * colourful + (1 - colourful) * uniform(0.05, 0.95) ** 2.2
        return torch.from_numpy(mixed).float().to(device)

    def rotated(cx: float, cy: float, angle: float) -> tuple[Tensor, Tensor]:
        cosine, sine = math.cos(angle), math.sin(angle)
        return (x - cx) * cosine + (y - cy) * sine, (y - cy) * cosine - (x - cx) * sine

    across = rotated(0, 0, uniform(0, 2 * math.pi))[0][..., None] * 0.5 + 0.5
    picture = torch.lerp(colour().expand(height, width, 3), colour().expand(height, width, 3), across)
    for _ in range(int(rng.choice([0, 1, 2, 4, 8], p=[0.25, 0.2, 0.2, 0.2, 0.15]))):
        u, v = rotated(uniform(-1, 1), uniform(-1, 1), rng.normal(0, 0.15))
        half_w, half_h = uniform(0.05, 0.7), uniform(0.05, 0.9)
        box = uniform() < 0.75
        shape = (u.abs() < half_w) & (v.abs() < half_h) if box else (u / half_w) ** 2 + (v / half_h) ** 2 < 1
        texture = torch.ones_like(u)
        if uniform() < 0.4:
            texture = 1 + 0.4 * uniform() * torch.sign(torch.sin(u * uniform(5, 60)) * torch.sin(v * uniform(5, 60)))
        picture = torch.where(shape[..., None], colour() * texture[..., None], picture)
    dirt = torch.from_numpy(rng.normal(0, 1, (1, 1, 24, 24)) + rng.normal(0, 0.15, (1, 3, 24, 24))).float().to(device)
    dirt = torch.nn.functional.interpolate(dirt, (height, width), mode="bicubic", align_corners=False)[0].permute(1, 2, 0)
    picture = picture * (1 + uniform(0, 0.2) * dirt).clamp(0.2, 2)
    box_width = int(float(rng.choice(BLURS)) * height / 512) | 1
    if box_width > 1:
        planes = picture.permute(2, 0, 1)[None]
        for _ in range(2):
            padded = torch.nn.functional.pad(planes, [box_width // 2] * 4, mode="replicate")
            planes = torch.nn.functional.avg_pool2d(torch.nn.functional.avg_pool2d(padded, (box_width, 1), 1), (1, box_width), 1)
        picture = planes[0].permute(1, 2, 0)
    return picture.clamp(min=0)
