"""What synthetic clips know besides the pictures, in the networks' own coordinates, and the losses that teach it."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from livepuppet.engines.fomm.networks.dense_motion import DenseMotion
from livepuppet.engines.fomm.networks.keypoints import Keypoints
from livepuppet.engines.fomm.networks.layers import coordinate_grid

FRAME_DM = 1.15
"""Length on the resting face that a local frame's unit stands for: with it, frames of usual close-ups are near the identity."""
EXPRESSIVE = (1, 2, 5, 6, 7, 8, 14, 15)
"""Landmarks of eyes and mouth, around which flow counts more."""
FOCUS_RADIUS = 0.15


@dataclass(frozen=True, eq=False)
class PairTruth:
    """Of a batch. Landmarks (B, 16, 2) and frames (B, 16, 2, 2) of both pictures; flow (B, G, G, 2): where in the source each cell of the
    driving picture comes from; seen (B, 1, G, G): whether the source shows it; known (B,): whether the pair has any truth."""

    source_landmarks: Tensor
    source_jacobians: Tensor
    driving_landmarks: Tensor
    driving_jacobians: Tensor
    flow: Tensor
    seen: Tensor
    known: Tensor

    def to(self, device: torch.device) -> PairTruth:
        return PairTruth(*(getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)))

    @property
    def source(self) -> Keypoints:
        return Keypoints(self.source_landmarks, self.source_jacobians)

    @property
    def driving(self) -> Keypoints:
        return Keypoints(self.driving_landmarks, self.driving_jacobians)


def coordinates(pixels: Tensor, size: int, cells: int) -> Tensor:
    """Pixels of a picture `size` wide -> the networks' -1 … 1.

    -1 and 1 are the middles of the first and last cell of the generator's feature grid, where deformation is applied: cell i covers the
    pixels i * size / cells … (i + 1) * size / cells.
    """
    return (pixels * (cells / size) - 0.5) * (2 / (cells - 1)) - 1


def jacobian_units(frames: Tensor, size: int, cells: int) -> Tensor:
    """Pixels per dm -> the networks' units per FRAME_DM."""
    return frames * (FRAME_DM * 2 * cells / size / (cells - 1))


def landmark_loss(found: Keypoints, landmarks: Tensor, known: Tensor) -> Tensor:
    """Mean L1 over the landmarks that lie inside the picture."""
    inside = (landmarks.abs().amax(-1) < 1) * known[:, None]
    return ((found.value - landmarks).abs().mean(-1) * inside).sum() / inside.sum().clamp(min=1)


def jacobian_loss(found: Keypoints, landmarks: Tensor, frames: Tensor, known: Tensor) -> Tensor:
    inside = (landmarks.abs().amax(-1) < 1) * known[:, None]
    return ((found.jacobian - frames).abs().mean((-1, -2)) * inside).sum() / inside.sum().clamp(min=1)


def resized_truth(truth: PairTruth, height: int, width: int) -> tuple[Tensor, Tensor]:
    """flow (B, height, width, 2) and seen (B, 1, height, width) on another grid than the data's."""
    if truth.seen.shape[2:] == (height, width):
        return truth.flow, truth.seen
    flow = torch.nn.functional.interpolate(truth.flow.permute(0, 3, 1, 2), (height, width), mode="nearest").permute(0, 2, 3, 1)
    return flow, torch.nn.functional.interpolate(truth.seen, (height, width), mode="nearest")


def expressive(truth: PairTruth, height: int, width: int) -> Tensor:
    """How near each place of the driving picture is to eyes or mouth, (B, height, width): 1 there, 0 from about twice FOCUS_RADIUS on."""
    grid = coordinate_grid(height, width, truth.flow.device)
    distance = (grid[None, None] - truth.driving_landmarks[:, EXPRESSIVE, None, None]).norm(dim=-1).amin(1)
    return torch.exp(-((distance / FOCUS_RADIUS) ** 2))


def emphasis(truth: PairTruth, height: int, width: int, focus: float) -> Tensor:
    """How much each place counts, (B, height, width): 1, up to 1 + focus around eyes and mouth, and 0 where the truth is not known."""
    known = truth.known[:, None, None].expand(-1, height, width)
    return known * (1 + focus * expressive(truth, height, width)) if focus else known


def flow_loss(motion: DenseMotion, truth: PairTruth, focus: float) -> Tensor:
    """L1 of the deformation where the source shows the point; up to 1 + focus times as much around eyes and mouth."""
    height, width = motion.deformation.shape[1:3]
    flow, seen = resized_truth(truth, height, width)
    weight = seen[:, 0] * emphasis(truth, height, width, focus)
    error = (motion.deformation - flow).abs().sum(-1)
    return (error * weight).sum() / weight.sum().clamp(min=1)


def visibility_loss(motion: DenseMotion, truth: PairTruth, focus: float) -> Tensor:
    """Cross entropy of the occlusion map with what the source really shows; focus as for flow: the inside of a mouth is a few cells.

    Written out: torch's own refuses autocast, and ends the process on a nan where the trainer would stop in words.
    """
    height, width = motion.occlusion.shape[2:]
    seen = resized_truth(truth, height, width)[1]
    predicted = motion.occlusion.float().clamp(1e-4, 1 - 1e-4)
    loss = -(seen * predicted.log() + (1 - seen) * (1 - predicted).log())[:, 0]
    weight = emphasis(truth, height, width, focus)
    return (loss * weight).sum() / weight.sum().clamp(min=1)


def detail_loss(made: Tensor, wanted: Tensor, truth: PairTruth) -> Tensor:
    """L1 of two pictures (B, C, H, W), and of their gradients, around eyes and mouth: lids, teeth and the dark between the lips are too
    small for a mean over the picture to miss them."""
    error = (made - wanted).abs().mean(1)
    across = (made.diff(dim=3) - wanted.diff(dim=3)).abs().mean(1)
    down = (made.diff(dim=2) - wanted.diff(dim=2)).abs().mean(1)
    near = expressive(truth, made.shape[2], made.shape[3]) * truth.known[:, None, None]
    total = (error * near).sum() + (across * near[:, :, 1:]).sum() + (down * near[:, 1:]).sum()
    return total / near.sum().clamp(min=1)
