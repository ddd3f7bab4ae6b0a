"""From two sets of keypoints to a motion of every pixel (Siarohin et al., NeurIPS 2019, section 3.2, equations 4 and 8 … 11)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from livepuppet.engines.fomm.networks.configuration import Configuration
from livepuppet.engines.fomm.networks.keypoints import Keypoints, inverse_jacobians, jacobian_product
from livepuppet.engines.fomm.networks.layers import HourglassNetwork, Shrink, coordinate_grid, grid_sample


class DenseMotion(NamedTuple):
    """deformation: (B, h, w, 2), where in the source each pixel comes from. occlusion: (B, 1, h, w), 1 = visible in the source.

    mask: (B, K+1, h, w), how far each keypoint's motion counts at each pixel; the first is the resting background.
    """

    deformation: Tensor
    occlusion: Tensor
    mask: Tensor


def keypoint_gaussians(points: Tensor, grid: Tensor, variance: float = 0.01) -> Tensor:
    """Gaussians around (B, K, 2) points on an (h, w, 2) grid -> (B, K, h, w); `variance` as in training, in units of the grid."""
    x = grid[0, :, 0] - points[:, :, 0, None]
    y = grid[:, 0, 1] - points[:, :, 1, None]
    return torch.exp(-0.5 / variance * y * y)[..., :, None] * torch.exp(-0.5 / variance * x * x)[..., None, :]


class DenseMotionNetwork(nn.Module):
    """Built from a Configuration; `generator.dense_motion_network` of a checkpoint."""

    def __init__(self, configuration: Configuration, *, align_corners: bool) -> None:
        super().__init__()
        shape = configuration.dense_motion
        parts = configuration.keypoints + 1
        self.hourglass = HourglassNetwork(parts * (configuration.channels + 1), shape)
        self.mask = nn.Conv2d(self.hourglass.outputs, parts, 7, padding=3)
        self.has_occlusion = configuration.occlusion
        self.occlusion = nn.Conv2d(self.hourglass.outputs, 1, 7, padding=3) if configuration.occlusion else nn.Identity()
        self.down = Shrink(configuration.channels, shape.scale) if shape.scale != 1 else nn.Identity()
        self.align_corners = align_corners

    def forward(self, image: Tensor, source: Keypoints, driving: Keypoints) -> DenseMotion:
        """picture: the whole source picture (B, C, H, W)."""
        return self.estimate(self.down(image), source, driving)

    @torch.jit.export
    def estimate(self, small: Tensor, source: Keypoints, driving: Keypoints) -> DenseMotion:
        """The same from the already shrunk source picture `small` (B, C, h, w), which is constant for a portrait."""
        batch, channels, height, width = small.shape
        parts = source.value.shape[1] + 1
        grid = coordinate_grid(height, width, small.device)

        # Equation 4: z -> source + J_source J_driving^-1 (z - driving), for every keypoint; the background stays where it is.
        # As affine maps (B, K+1, 2, 3), so that every place of every copy is one product with (x, y, 1).
        frames = jacobian_product(source.jacobian, inverse_jacobians(driving.jacobian))
        shift = source.value - (frames * driving.value[:, :, None, :]).sum(dim=-1)
        moving = torch.cat((frames, shift[..., None]), dim=-1)
        resting = torch.eye(2, 3, device=small.device).expand(batch, 1, 2, 3)
        maps = torch.cat((resting, moving), dim=1)
        homogeneous = torch.cat((grid.view(height * width, 2), torch.ones(height * width, 1, device=small.device)), dim=1)
        motions = torch.matmul(homogeneous, maps.transpose(2, 3))

        # All K+1 deformed copies in one sampling: they lie below each other in a grid K+1 times as high.
        copies = grid_sample(small, motions.view(batch, parts * height, width, 2), self.align_corners)
        copies = copies.view(batch, channels, parts, height, width).transpose(1, 2)
        heat = keypoint_gaussians(driving.value, grid) - keypoint_gaussians(source.value, grid)
        heat = torch.cat((torch.zeros_like(heat[:, :1]), heat), dim=1).to(small.dtype)
        features = self.hourglass(torch.cat((heat[:, :, None], copies), dim=2).reshape(batch, -1, height, width))

        scores, visible = self.heads(features)
        mask = torch.softmax(scores.float(), dim=1)
        # The mean of the motions, weighted by the mask, is the motion of the mean map: six numbers per place instead of 2 (K+1).
        mean = torch.matmul(mask.view(batch, parts, height * width).transpose(1, 2), maps.view(batch, parts, 6))
        mean = mean.view(batch, height, width, 2, 3)
        deformation = mean[..., 0] * grid[..., 0, None] + mean[..., 1] * grid[..., 1, None] + mean[..., 2]
        occlusion = torch.sigmoid(visible.float()) if self.has_occlusion else torch.ones_like(mask[:, :1])
        return DenseMotion(deformation, occlusion, mask)

    def heads(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of the K+1 motions, and of being visible, before softmax and sigmoid."""
        return self.mask(features), self.occlusion(features)
