"""The paper's losses besides appearance: adversarial, feature matching, equivariance. Each takes tensors and returns a scalar."""

from __future__ import annotations

import torch
from torch import Tensor

from livepuppet.networks.keypoints import Keypoints, inverse, product
from livepuppet.training.discriminator import Verdict
from livepuppet.training.transform import Transform


def deceived(generated: list[Verdict]) -> Tensor:
    """Generator's adversarial loss: sum over scales of mean (1 - D(G))^2 (least squares, Mao et al., ICCV 2017, eq. 9)."""
    return torch.stack([((1 - scores.float()) ** 2).mean() for _, scores in generated]).sum()


def told_apart(real: list[Verdict], generated: list[Verdict]) -> Tensor:
    """Discriminator's loss: mean (1 - D(real))^2 + D(generated)^2, summed over scales."""
    pairs = zip(real, generated, strict=True)
    return torch.stack([((1 - a.float()) ** 2 + b.float() ** 2).mean() for (_, a), (_, b) in pairs]).sum()


def matched_features(real: list[Verdict], generated: list[Verdict], weights: tuple[float, ...]) -> Tensor:
    """L1 between the discriminator's feature maps, weighted per block (Wang et al., pix2pixHD, CVPR 2018, eq. 4)."""
    terms = [
        weight * (a.detach().float() - b.float()).abs().mean()
        for (maps_real, _), (maps_generated, _) in zip(real, generated, strict=True)
        for weight, a, b in zip(weights, maps_real, maps_generated, strict=True)
        if weight
    ]
    return torch.stack(terms).sum()


def equivariant_values(driving: Keypoints, warped: Keypoints, transform: Transform) -> Tensor:
    """FOMM, section 3.3, first equivariance constraint: p(X) = T_X<-Y(p(Y)) for a picture Y that is X warped by T. Mean L1."""
    return (driving.value - transform.points(warped.value)).abs().mean()


def equivariant_frames(driving: Keypoints, warped: Keypoints, transform: Transform) -> Tensor:
    """FOMM, section 3.3, second constraint: 1 = J_X^-1 (dT/dp) J_Y, compared with the identity so that frames cannot shrink to nothing."""
    moved = product(transform.jacobians(warped.value), warped.jacobian)
    ratio = product(inverse(driving.jacobian), moved)
    return (torch.eye(2, device=ratio.device) - ratio).abs().mean()
