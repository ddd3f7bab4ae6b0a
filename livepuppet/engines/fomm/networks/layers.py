"""The building blocks that the three networks share. Attribute names are those of published checkpoints.

No module here or beside it keeps anything between calls; all are scriptable as written (torch.jit.script).
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from livepuppet.engines.fomm.networks.configuration import Hourglass, blur_width


def coordinate_grid(height: int, width: int, device: torch.device) -> Tensor:
    """(height, width, 2) float32: x and y of each pixel's centre, -1 at the first and +1 at the last (so for any `align_corners`)."""
    x = torch.arange(width, device=device, dtype=torch.float32) * (2.0 / (width - 1)) - 1.0
    y = torch.arange(height, device=device, dtype=torch.float32) * (2.0 / (height - 1)) - 1.0
    return torch.stack((x[None, :].expand(height, width), y[:, None].expand(height, width)), dim=-1)


def grid_sample(image: Tensor, grid: Tensor, align_corners: bool) -> Tensor:
    """`picture` (B, C, H, W) at `grid` (B, h, w, 2) -> (B, C, h, w); bilinear, zero outside.

    Always in float32: half precision would place samples only to about 1/16 pixel at 256 px.
    """
    sampled = functional.grid_sample(image.float(), grid.float(), mode="bilinear", padding_mode="zeros", align_corners=align_corners)
    return sampled.to(image.dtype)


class Convolution(nn.Module):
    """Convolution, batch norm, ReLU at one size: (B, in, H, W) -> (B, out, H, W)."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.norm(self.conv(x)))


class Down(nn.Module):
    """The same and a halving: (B, in, H, W) -> (B, out, H/2, W/2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        halved: Tensor = functional.avg_pool2d(torch.relu(self.norm(self.conv(x))), kernel_size=2)
        return halved


class Up(nn.Module):
    """A doubling and the same: (B, in, H, W) -> (B, out, 2H, 2W)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        doubled = functional.interpolate(x, scale_factor=2.0, mode="nearest")
        return torch.relu(self.norm(self.conv(doubled)))


class Residual(nn.Module):
    """x + conv(relu(norm(conv(relu(norm(x)))))), all (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(channels)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv1(torch.relu(self.norm1(x)))
        change: Tensor = self.conv2(torch.relu(self.norm2(inner)))
        return x + change


class Shrink(nn.Module):
    """Anti-aliased reduction to `scale`: Gaussian blur, then every 1/scale-th pixel: (B, C, H, W) -> (B, C, sH, sW)."""

    weight: Tensor

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        width = blur_width(scale)
        sigma = (1 / scale - 1) / 2
        offset = torch.arange(width, dtype=torch.float32) - (width - 1) / 2
        bell = torch.exp(-(offset**2) / (2 * sigma**2))
        kernel = bell[:, None] * bell[None, :]
        self.register_buffer("weight", (kernel / kernel.sum()).expand(channels, 1, width, width).clone())
        self.channels = channels
        self.padding = width // 2
        self.step = round(1 / scale)

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight.to(x.dtype), stride=self.step, padding=self.padding, groups=self.channels)


class Encoder(nn.Module):
    """The descending half: returns the input and every smaller map, largest first."""

    def __init__(self, inputs: int, shape: Hourglass) -> None:
        super().__init__()
        widths = [inputs] + [shape.width(depth + 1) for depth in range(shape.blocks)]
        self.down_blocks = nn.ModuleList(Down(a, b) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = [x]
        for block in self.down_blocks:
            maps.append(block(maps[-1]))
        return maps


class Decoder(nn.Module):
    """The ascending half: joins each map with the encoder's of the same size."""

    def __init__(self, inputs: int, shape: Hourglass) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for depth in reversed(range(shape.blocks)):
            joined = 1 if depth == shape.blocks - 1 else 2  # the deepest map comes alone, the others beside the encoder's
            blocks.append(Up(joined * shape.width(depth + 1), shape.width(depth)))
        self.up_blocks = nn.ModuleList(blocks)
        self.outputs = shape.width(0) + inputs

    def forward(self, maps: list[Tensor]) -> Tensor:
        depth = len(maps) - 1
        x = maps[depth]
        for block in self.up_blocks:
            depth -= 1
            x = torch.cat((block(x), maps[depth]), dim=1)
        return x


class HourglassNetwork(nn.Module):
    """(B, inputs, H, W) -> (B, outputs, H, W); H and W divisible by 2**blocks."""

    def __init__(self, inputs: int, shape: Hourglass) -> None:
        super().__init__()
        self.encoder = Encoder(inputs, shape)
        self.decoder = Decoder(inputs, shape)
        self.outputs = self.decoder.outputs

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.decoder(self.encoder(x))
        return result
