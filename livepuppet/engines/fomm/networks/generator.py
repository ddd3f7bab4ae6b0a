"""The occlusion-aware generator (Siarohin et al., NeurIPS 2019, section 3.2, figure 2): encode once, deform, restore."""

from collections import OrderedDict
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from livepuppet.engines.fomm.networks.configuration import Configuration
from livepuppet.engines.fomm.networks.dense_motion import DenseMotion, DenseMotionNetwork
from livepuppet.engines.fomm.networks.keypoints import Keypoints
from livepuppet.engines.fomm.networks.layers import Convolution, Down, Residual, Up, grid_sample


class GeneratorOutput(NamedTuple):
    """prediction: (B, C, H, W) in 0 … 1. motion: what moved it."""

    prediction: Tensor
    motion: DenseMotion


class Generator(nn.Module):
    """Built from a Configuration; loads `generator` of a checkpoint.

    `encode` depends on the source picture alone and is a fifth of the work: call it once per portrait, then `dense_motion_network`
    and `decode` per frame. `forward` does all three, for training and for parity with the original.
    """

    def __init__(self, configuration: Configuration, *, align_corners: bool) -> None:
        super().__init__()
        width, downs = configuration.width, configuration.down_blocks
        self.dense_motion_network = DenseMotionNetwork(configuration, align_corners=align_corners)
        self.first = Convolution(configuration.channels, width(0), 7)
        self.down_blocks = nn.ModuleList(Down(width(depth), width(depth + 1)) for depth in range(downs))
        self.up_blocks = nn.ModuleList(Up(width(depth + 1), width(depth)) for depth in reversed(range(downs)))
        self.bottleneck = nn.Sequential(
            OrderedDict((f"r{index}", Residual(width(downs))) for index in range(configuration.bottleneck_blocks))
        )
        self.final = nn.Conv2d(width(0), configuration.channels, 7, padding=3)
        self.align_corners = align_corners

    def forward(self, image: Tensor, source: Keypoints, driving: Keypoints) -> GeneratorOutput:
        """picture: (B, C, H, W) in 0 … 1.

        Args:
            source: its keypoints.
            driving: where they should go.
        """
        motion = self.dense_motion_network(image, source, driving)
        return GeneratorOutput(self.decode(self.encode(image), motion.deformation, motion.occlusion), motion)

    @torch.jit.export
    def encode(self, image: Tensor) -> Tensor:
        """(B, C, H, W) -> features (B, width(down_blocks), H / 2**down_blocks, …)."""
        features: Tensor = self.first(image)
        for block in self.down_blocks:
            features = block(features)
        return features

    @torch.jit.export
    def decode(self, features: Tensor, deformation: Tensor, occlusion: Tensor) -> Tensor:
        """Deform features, hide what the source does not show, restore the picture: (B, C, H, W) in 0 … 1, float32."""
        size = (features.shape[2], features.shape[3])
        if deformation.shape[1] != size[0] or deformation.shape[2] != size[1]:
            deformation = resize_map(deformation.permute(0, 3, 1, 2), size).permute(0, 2, 3, 1)
            occlusion = resize_map(occlusion, size)
        x = grid_sample(features, deformation, self.align_corners) * occlusion.to(features.dtype)
        x = self.bottleneck(x)
        for block in self.up_blocks:
            x = block(x)
        return torch.sigmoid(self.final(x).float())


def resize_map(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, (B, C, H, W) -> (B, C, *size). Always align_corners=False: that was interpolate's default in every version of torch."""
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=False)
