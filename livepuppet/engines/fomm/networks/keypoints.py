"""Keypoints with local affine frames: the type, how motion is carried over, and the network that finds them.

Paper: Siarohin et al., NeurIPS 2019, section 3.1 (local affine transformations) and equation 16 (relative motion).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from livepuppet.engines.fomm.networks.configuration import Configuration
from livepuppet.engines.fomm.networks.layers import HourglassNetwork, Shrink, coordinate_grid


class Keypoints(NamedTuple):
    """value: (B, K, 2), x and y in -1 … 1 across the picture. jacobian: (B, K, 2, 2), the local affine frame at each.

    Both float32 whatever the network's precision. A model without jacobians has the identity there.
    """

    value: Tensor
    jacobian: Tensor


def inverse_jacobians(matrices: Tensor, smallest: float = 1e-6) -> Tensor:
    """Inverses of (…, 2, 2) matrices; a singular one gets the determinant `smallest`, so that no infinity enters the network.

    Written out because ONNX has no matrix inverse and CUDA's needs a workspace that CUDA graphs cannot capture.
    """
    a, b, c, d = matrices[..., 0, 0], matrices[..., 0, 1], matrices[..., 1, 0], matrices[..., 1, 1]
    determinant = a * d - b * c
    floor = torch.where(determinant < 0, -smallest, smallest)
    determinant = torch.where(determinant.abs() < smallest, floor, determinant)
    adjugate = torch.stack((torch.stack((d, -b), dim=-1), torch.stack((-c, a), dim=-1)), dim=-2)
    return adjugate / determinant[..., None, None]


def jacobian_product(left: Tensor, right: Tensor) -> Tensor:
    """Matrix products of (…, 2, 2) by (…, 2, 2) as four multiplications and a sum: a batched GEMM of 2 x 2 is all overhead."""
    return (left[..., :, :, None] * right[..., None, :, :]).sum(dim=-2)


def relative_keypoints(source: Keypoints, reference: Keypoints, driving: Keypoints, scale: Tensor) -> Keypoints:
    """The source moved as the driver moved since `reference`: equation 16, with displacements multiplied by `scale` (a scalar tensor).

    With `reference = source` and scale 1 the result is `driving` itself: absolute motion is a case of relative motion.
    """
    value = source.value + scale * (driving.value - reference.value)
    jacobian = jacobian_product(jacobian_product(driving.jacobian, inverse_jacobians(reference.jacobian)), source.jacobian)
    return Keypoints(value, jacobian)


class KeypointDetector(nn.Module):
    """A picture (B, C, H, W) in 0 … 1 -> Keypoints. Built from a Configuration; loads `kp_detector` of a checkpoint."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        shape = configuration.detector
        self.predictor = HourglassNetwork(configuration.channels, shape)
        self.kp = nn.Conv2d(self.predictor.outputs, configuration.keypoints, 7)
        self.has_jacobian = configuration.jacobian
        self.maps = 1 if configuration.single_jacobian else configuration.keypoints
        self.jacobian: nn.Module = nn.Identity()
        if configuration.jacobian:
            self.jacobian = heads = nn.Conv2d(self.predictor.outputs, 4 * self.maps, 7)
            nn.init.zeros_(heads.weight)  # training starts from identity frames (supplement, B)
            with torch.no_grad():
                assert heads.bias is not None
                heads.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 1.0]).repeat(self.maps))
        self.down = Shrink(configuration.channels, shape.scale) if shape.scale != 1 else nn.Identity()
        self.temperature = configuration.temperature
        self.keypoints = configuration.keypoints

    def forward(self, image: Tensor) -> Keypoints:
        features = self.predictor(self.down(image))
        scores = self.kp(features).float()
        batch, height, width = scores.shape[0], scores.shape[2], scores.shape[3]
        heat = torch.softmax(scores.view(batch, self.keypoints, height * width) / self.temperature, dim=2)
        grid = coordinate_grid(height, width, scores.device).view(height * width, 2)
        value = torch.matmul(heat, grid)
        if not self.has_jacobian:
            identity = torch.eye(2, device=value.device).expand(batch, self.keypoints, 2, 2)
            return Keypoints(value, identity)
        # The frame at a keypoint is the mean of the map under the keypoint's heat.
        fields = self.jacobian(features).float().view(batch, self.maps, 4, height * width)
        frames = torch.matmul(fields, heat.unsqueeze(-1))
        return Keypoints(value, frames.view(batch, self.keypoints, 2, 2))
