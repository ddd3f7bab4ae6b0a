"""Clips of people who do not exist, held on the training device: added while others are rendered, drawn from without a file.

A clip of 8 frames at 256 px takes 2.9 MB there, and a batch costs a few kernels: reading the same pairs from files needs a dozen processes.
The pairs are those of `livepuppet.training.pairs`, drawn by a generator instead of by number, so a run does not repeat itself exactly.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from livepuppet.synthetic.clips import Clip, cell_middles
from livepuppet.synthetic.truth import MIRRORED
from livepuppet.training.pairs import Batch
from livepuppet.training.settings import Augmentation
from livepuppet.training.supervision import PairTruth, coordinates, jacobian_units

GREY = (0.299, 0.587, 0.114)


class ClipPool:
    """At most `capacity` clips; the oldest makes room for the newest.

    Args:
        size: side of the pictures in pixels, a multiple of 4.
        frames: of each clip.
        device: where they are kept, and where batches come out.
    """

    def __init__(self, capacity: int, size: int, frames: int, device: torch.device) -> None:
        self.size, self.frames, self.device, self.cells = size, frames, device, size // 4
        shape, cells = (capacity, frames), self.cells

        def room(*sides: int, kind: torch.dtype = torch.float32) -> Tensor:
            return torch.empty((*shape, *sides), dtype=kind, device=device)

        self.images = room(size, size, 3, kind=torch.uint8)
        self.displacement = room(frames, cells, cells, 2, kind=torch.float16)
        self.seen = room(frames, cells, cells, kind=torch.bool)
        self.landmarks, self.jacobians = room(len(MIRRORED), 2), room(len(MIRRORED), 2, 2)
        self.middles = torch.from_numpy(cell_middles(cells, size)).to(device)
        self.added = 0

    def __len__(self) -> int:
        return min(self.added, len(self.images))

    def add(self, clip: Clip) -> None:
        """Keep a clip.

        Raises:
            ValueError: it has another size or another number of frames.
        """
        wanted = (self.frames, self.size, self.size, 3)
        if clip.images.shape != wanted:
            raise ValueError(f"a clip of {clip.images.shape}, where {wanted} is kept")
        place = self.added % len(self.images)

        def tensor(values: object) -> Tensor:
            return torch.as_tensor(values).to(self.device)

        self.images[place] = tensor(clip.images)
        self.displacement[place] = (tensor(clip.truth.flow) - self.middles).to(torch.float16)
        self.seen[place] = tensor(clip.truth.seen)
        self.landmarks[place], self.jacobians[place] = tensor(clip.truth.landmarks), tensor(clip.truth.frames)
        self.added += 1

    def draw(self, count: int, how: Augmentation, randomness: torch.Generator) -> Batch:
        """Pairs of frames of one clip each, with their truth, augmented.

        Args:
            randomness: a generator of the CPU: the same state draws the same pairs on every device.
        """
        clip = torch.randint(len(self), (count,), generator=randomness)
        first = torch.randint(self.frames, (count,), generator=randomness)
        second = (first + torch.randint(1, self.frames, (count,), generator=randomness)) % self.frames
        if not how.time_flip:
            first, second = torch.minimum(first, second), torch.maximum(first, second)
        flipped = (torch.rand(count, generator=randomness) < 0.5) & how.horizontal_flip
        colours = draw_colours(count, how, randomness)
        clip, first, second, flipped = (values.to(self.device) for values in (clip, first, second, flipped))
        truth = self.truth(clip, first, second)
        pictures = [recoloured(self.images[clip, frame], colours) for frame in (first, second)]
        source, driving = (torch.where(flipped[:, None, None, None], picture.flip(3), picture) for picture in pictures)
        return Batch(source, driving, mirrored_where(truth, flipped))

    def truth(self, clip: Tensor, source: Tensor, driving: Tensor) -> PairTruth:
        """In the networks' coordinates, as `pairs.clip_truth` gives it for one pair."""
        flow = self.displacement[clip, driving, source].float() + self.middles
        return PairTruth(
            source_landmarks=coordinates(self.landmarks[clip, source], self.size, self.cells),
            source_jacobians=jacobian_units(self.jacobians[clip, source], self.size, self.cells),
            driving_landmarks=coordinates(self.landmarks[clip, driving], self.size, self.cells),
            driving_jacobians=jacobian_units(self.jacobians[clip, driving], self.size, self.cells),
            flow=coordinates(flow, self.size, self.cells),
            seen=self.seen[clip, driving, source][:, None].float(),
            known=torch.ones(len(clip), device=self.device),
        )


def mirrored_where(truth: PairTruth, flipped: Tensor) -> PairTruth:
    """The truth of a batch in which some pictures (B,) are flipped left to right."""
    flip = torch.tensor([-1.0, 1.0], device=flipped.device)
    order = torch.tensor(MIRRORED, device=flipped.device)
    around = flip[:, None] * flip[None]

    def chosen(other: Tensor, own: Tensor) -> Tensor:
        return torch.where(flipped.view(-1, *[1] * (own.dim() - 1)), other, own)

    return PairTruth(
        source_landmarks=chosen(truth.source_landmarks[:, order] * flip, truth.source_landmarks),
        source_jacobians=chosen(truth.source_jacobians[:, order] * around, truth.source_jacobians),
        driving_landmarks=chosen(truth.driving_landmarks[:, order] * flip, truth.driving_landmarks),
        driving_jacobians=chosen(truth.driving_jacobians[:, order] * around, truth.driving_jacobians),
        flow=chosen((truth.flow * flip).flip(2), truth.flow),
        seen=chosen(truth.seen.flip(3), truth.seen),
        known=truth.known,
    )


def draw_colours(count: int, how: Augmentation, randomness: torch.Generator) -> tuple[Tensor, Tensor]:
    """Per pair: a matrix (B, 3, 3) for brightness, hue and saturation, and a factor (B,) of contrast.

    The hue turns round the grey axis, which keeps the luminance of greys; `pairs.jittered` turns it in HSV.
    """

    def between(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=randomness)

    brightness, contrast, saturation = (between(max(0.0, 1 - x), 1 + x) for x in (how.brightness, how.contrast, how.saturation))
    angle = 2 * math.pi * between(-how.hue, how.hue)
    third, eye = torch.full((3, 3), 1 / 3), torch.eye(3)
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    turn = cos * eye + sin * cross + (1 - cos) * third
    grey = torch.tensor(GREY).expand(3, 3)
    saturate = grey + saturation[:, None, None] * (eye - grey)
    return brightness[:, None, None] * (saturate @ turn), contrast


def recoloured(images: Tensor, colours: tuple[Tensor, Tensor]) -> Tensor:
    """uint8 (B, S, S, 3) -> (B, 3, S, S) in 0 … 1, channels last in memory."""
    matrix, contrast = (values.to(images.device) for values in colours)
    values = torch.einsum("bhwc,bdc->bhwd", images.float() / 255, matrix)
    mean = values.mean((1, 2, 3), keepdim=True)
    return ((values - mean) * contrast[:, None, None, None] + mean).clamp(0, 1).permute(0, 3, 1, 2)
