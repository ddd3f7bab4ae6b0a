"""The paper's losses besides appearance: adversarial, feature matching, equivariance. Each takes tensors and returns a scalar."""

from __future__ import annotations

import torch
from torch import Tensor

from livepuppet.engines.fomm.networks.generator import GeneratorOutput, resize_map
from livepuppet.engines.fomm.networks.keypoints import Keypoints, inverse_jacobians, jacobian_product
from livepuppet.engines.fomm.networks.layers import coordinate_grid, grid_sample
from livepuppet.training.discriminator import DiscriminatorOutput
from livepuppet.training.transform import Transform


def generator_loss(generated: list[DiscriminatorOutput]) -> Tensor:
    """Generator's adversarial loss: sum over scales of mean (1 - D(G))^2 (least squares, Mao et al., ICCV 2017, eq. 9)."""
    return torch.stack([((1 - scores.float()) ** 2).mean() for _, scores in generated]).sum()


def discriminator_loss(real: list[DiscriminatorOutput], generated: list[DiscriminatorOutput]) -> Tensor:
    """Discriminator's loss: mean (1 - D(real))^2 + D(generated)^2, summed over scales."""
    pairs = zip(real, generated, strict=True)
    return torch.stack([((1 - a.float()) ** 2 + b.float() ** 2).mean() for (_, a), (_, b) in pairs]).sum()


def feature_matching_loss(real: list[DiscriminatorOutput], generated: list[DiscriminatorOutput], weights: tuple[float, ...]) -> Tensor:
    """L1 between the discriminator's feature maps, weighted per block (Wang et al., pix2pixHD, CVPR 2018, eq. 4)."""
    terms = [
        weight * (a.detach().float() - b.float()).abs().mean()
        for (maps_real, _), (maps_generated, _) in zip(real, generated, strict=True)
        for weight, a, b in zip(weights, maps_real, maps_generated, strict=True)
        if weight
    ]
    return torch.stack(terms).sum()


def equivariance_value_loss(driving: Keypoints, warped: Keypoints, transform: Transform) -> Tensor:
    """FOMM, section 3.3, first equivariance constraint: p(X) = T_X<-Y(p(Y)) for a picture Y that is X warped by T. Mean L1."""
    return (driving.value - transform.points(warped.value)).abs().mean()


def equivariance_jacobian_loss(driving: Keypoints, warped: Keypoints, transform: Transform) -> Tensor:
    """FOMM, section 3.3, second constraint: 1 = J_X^-1 (dT/dp) J_Y, compared with the identity so that frames cannot shrink to nothing."""
    moved = jacobian_product(transform.jacobians(warped.value), warped.jacobian)
    ratio = jacobian_product(inverse_jacobians(driving.jacobian), moved)
    return (torch.eye(2, device=ratio.device) - ratio).abs().mean()


def composite_as_shown(source: Tensor, now: GeneratorOutput, rest: GeneratorOutput, align_corners: bool) -> Tensor:
    """What `livepuppet --engine fomm` shows of a pair, at the network's size: the portrait's own pixels moved, and what the network adds.

    With P the source (B, C, H, W), G and G0 the network's pictures now and at rest, w the warp and o the visibility (against that at rest):
    o w(P) + G - o w(G0), see `livepuppet.engines.fomm.paste`. Only G learns from it. Motion and visibility must not: sharp pixels in a
    place that is a little wrong cost more than blurred ones, and hiding them all would be the cheapest way out.
    """
    size = (source.shape[2], source.shape[3])
    deformation, occlusion = now.motion.deformation.detach(), now.motion.occlusion.detach()
    visible = (occlusion / rest.motion.occlusion.detach().clamp(min=0.05)).clamp(0, 1)
    cells = deformation.shape[1:3]
    step = deformation - coordinate_grid(cells[0], cells[1], source.device)
    field = coordinate_grid(size[0], size[1], source.device) + resize_map(step.permute(0, 3, 1, 2), size).permute(0, 2, 3, 1)
    return now.prediction + resize_map(visible, size) * grid_sample(source - rest.prediction.detach(), field, align_corners)
