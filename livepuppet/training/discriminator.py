"""The multi-scale discriminator (FOMM, section 3.3; patches as in Isola et al., pix2pix, CVPR 2017). Named as in the original."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from livepuppet.engines.fomm.networks.dense_motion import keypoint_gaussians
from livepuppet.engines.fomm.networks.keypoints import Keypoints
from livepuppet.engines.fomm.networks.layers import Shrink, coordinate_grid
from livepuppet.training.settings import DiscriminatorShape

DiscriminatorOutput = tuple[list[Tensor], Tensor]
"""Feature maps after each block, and the map of scores (B, 1, h, w): 1 real, 0 generated."""


class Block(nn.Module):
    """Convolution 4 x 4 without padding, instance norm, leaky ReLU, perhaps a halving."""

    def __init__(self, inputs: int, outputs: int, *, norm: bool, pool: bool, spectral: bool) -> None:
        super().__init__()
        self.conv: nn.Module = nn.Conv2d(inputs, outputs, 4)
        if spectral:
            self.conv = nn.utils.parametrizations.spectral_norm(self.conv)
        self.norm = nn.InstanceNorm2d(outputs, affine=True) if norm else nn.Identity()
        self.pool = nn.AvgPool2d(2) if pool else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.pool(nn.functional.leaky_relu(self.norm(self.conv(x)), 0.2))
        return out


class Discriminator(nn.Module):
    """At one scale: (B, C, H, W) -> Verdict."""

    def __init__(self, shape: DiscriminatorShape, channels: int, keypoints: int) -> None:
        super().__init__()
        widths = [channels + keypoints * shape.use_kp]
        widths += [min(shape.max_features, shape.block_expansion << (depth + 1)) for depth in range(shape.num_blocks)]
        self.down_blocks = nn.ModuleList(
            Block(widths[i], widths[i + 1], norm=i > 0, pool=i < shape.num_blocks - 1, spectral=shape.sn) for i in range(shape.num_blocks)
        )
        self.conv: nn.Module = nn.Conv2d(widths[-1], 1, 1)
        if shape.sn:
            self.conv = nn.utils.parametrizations.spectral_norm(self.conv)
        self.use_kp = shape.use_kp

    def forward(self, picture: Tensor, keypoints: Keypoints) -> DiscriminatorOutput:
        x = picture
        if self.use_kp:
            grid = coordinate_grid(x.shape[2], x.shape[3], x.device)
            x = torch.cat((x, keypoint_gaussians(keypoints.value, grid).to(x.dtype)), dim=1)
        maps = []
        for block in self.down_blocks:
            x = block(x)
            maps.append(x)
        return maps, self.conv(x)


class MultiScaleDiscriminator(nn.Module):
    """One discriminator per scale of the picture; keypoints are taken as they are, no gradient reaches them."""

    def __init__(self, shape: DiscriminatorShape, channels: int, keypoints: int) -> None:
        super().__init__()
        names = [f"{scale:g}".replace(".", "-") for scale in shape.scales]
        self.discs = nn.ModuleDict({name: Discriminator(shape, channels, keypoints) for name in names})
        self.shrinks = nn.ModuleList(Shrink(channels, scale) if scale != 1 else nn.Identity() for scale in shape.scales)

    def forward(self, picture: Tensor, keypoints: Keypoints) -> list[DiscriminatorOutput]:
        fixed = Keypoints(keypoints.value.detach(), keypoints.jacobian.detach())
        return [disc(shrink(picture), fixed) for disc, shrink in zip(self.discs.values(), self.shrinks, strict=True)]
