"""Pairs of frames by number: pair n is the same whenever and by whomever it is drawn, so a run goes on exactly where it stopped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from livepuppet.synthetic.clips import Clip
from livepuppet.synthetic.truth import MIRRORED
from livepuppet.training.dataset import FrameStore, TrainingClip
from livepuppet.training.recipe import Recipe
from livepuppet.training.settings import Augmentation
from livepuppet.training.supervision import PairTruth, coordinates, jacobian_units
from livepuppet.types import Image

Generator = np.random.Generator
Plain = NDArray[np.float32]
LANDMARKS = len(MIRRORED)
FLOW_CELL_PX = 4
"""Of synthetic clips and of the feature grid alike."""


@dataclass(frozen=True, eq=False)
class Batch:
    """source, driving: (B, 3, S, S) in 0 … 1. truth: where the clips know it."""

    source: Tensor
    driving: Tensor
    truth: PairTruth | None

    def to(self, device: torch.device, layout: torch.memory_format = torch.contiguous_format) -> Batch:
        source, driving = (x.to(device, non_blocking=True).contiguous(memory_format=layout) for x in (self.source, self.driving))
        return Batch(source, driving, self.truth.to(device) if self.truth is not None else None)


@dataclass(frozen=True, eq=False)
class Pair:
    """One pair: pictures (S, S, 3) float32 in 0 … 1, and its truth without the batch's axis."""

    source: Plain
    driving: Plain
    truth: PairTruth | None


def no_truth(cells: int) -> PairTruth:
    eye = torch.eye(2).expand(LANDMARKS, 2, 2)
    zeros = torch.zeros(LANDMARKS, 2)
    return PairTruth(zeros, eye, zeros, eye, torch.zeros(cells, cells, 2), torch.zeros(1, cells, cells), torch.tensor(0.0))


@lru_cache(maxsize=64)
def recorded(footage: TrainingClip) -> FrameStore:
    return FrameStore.load(footage.path)


@lru_cache(maxsize=16)
def synthetic(footage: TrainingClip) -> Clip:
    return Clip.load(footage.path)


def fitting(image: Image, size: int) -> Image:
    return image if image.shape[0] == size else cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA).astype(np.uint8)


def clip_truth(clip: Clip, source: int, driving: int, size: int) -> PairTruth:
    """In the networks' coordinates."""
    own, cells = clip.images.shape[1], clip.truth.flow.shape[2]

    def tensor(values: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values))

    return PairTruth(
        source_landmarks=coordinates(tensor(clip.truth.landmarks[source]), own, cells),
        source_jacobians=jacobian_units(tensor(clip.truth.frames[source]), own, cells),
        driving_landmarks=coordinates(tensor(clip.truth.landmarks[driving]), own, cells),
        driving_jacobians=jacobian_units(tensor(clip.truth.frames[driving]), own, cells),
        flow=coordinates(tensor(clip.truth.flow[driving, source]), own, cells),
        seen=tensor(clip.truth.seen[driving, source][None].astype(np.float32)),
        known=torch.tensor(1.0),
    )


def mirrored(truth: PairTruth) -> PairTruth:
    """Of the pictures flipped left to right."""
    flip = torch.tensor([-1.0, 1.0])
    order = torch.tensor(MIRRORED)
    around = flip[:, None] * flip[None]
    return PairTruth(
        source_landmarks=truth.source_landmarks[order] * flip,
        source_jacobians=truth.source_jacobians[order] * around,
        driving_landmarks=truth.driving_landmarks[order] * flip,
        driving_jacobians=truth.driving_jacobians[order] * around,
        flow=(truth.flow * flip).flip(1),
        seen=truth.seen.flip(2),
        known=truth.known,
    )


def draw_jitter(how: Augmentation, rng: Generator) -> tuple[float, float, float, float]:
    """Factors of brightness, contrast and saturation, and the hue's shift in turns."""
    brightness, contrast, saturation = (
        float(rng.uniform(max(0.0, 1 - share), 1 + share)) for share in (how.brightness, how.contrast, how.saturation)
    )
    return brightness, contrast, saturation, float(rng.uniform(-how.hue, how.hue))


def jittered(image: Image, jitter: tuple[float, float, float, float]) -> Plain:
    """(S, S, 3) uint8 -> float32 in 0 … 1."""
    brightness, contrast, saturation, hue = jitter
    picture = image
    if hue:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(np.int16) + round(hue * 180)) % 180
        picture = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(np.uint8)
    values = picture.astype(np.float32) * np.float32(brightness / 255)
    values = (values - values.mean()) * np.float32(contrast) + values.mean()
    grey = values @ np.array([0.299, 0.587, 0.114], np.float32)
    values = grey[..., None] + (values - grey[..., None]) * np.float32(saturation)
    return np.asarray(values.clip(0, 1), np.float32)


def zoomed(images: list[Image], ratio: float, rng: Generator) -> list[Image]:
    """Resized by `ratio` and cropped (or padded by reflection) back to size at one random place."""
    size = images[0].shape[0]
    side = max(2, round(size * ratio))
    scaled = [cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR) for image in images]
    if side < size:
        before = (size - side) // 2
        return [
            cv2.copyMakeBorder(i, before, size - side - before, before, size - side - before, cv2.BORDER_REFLECT_101).astype(np.uint8)
            for i in scaled
        ]
    y, x = rng.integers(0, side - size + 1, 2)
    return [np.ascontiguousarray(image[y : y + size, x : x + size]).astype(np.uint8) for image in scaled]


class Pairs(Dataset[Pair]):
    """Endless: pair number n, of any n >= 0."""

    def __init__(self, clips: tuple[TrainingClip, ...], recipe: Recipe, seed: int, *, augment: bool = True) -> None:
        self.recipe, self.seed, self.augment = recipe, seed, augment
        groups: dict[str, list[TrainingClip]] = {}
        for index, clip in enumerate(clips):
            groups.setdefault(clip.identity if recipe.id_sampling else str(index), []).append(clip)
        self.groups = list(groups.values())
        self.knows = any(clip.synthetic for clip in clips)

    def __getitem__(self, number: int) -> Pair:
        rng = np.random.default_rng([self.seed, number])
        group = self.groups[rng.integers(len(self.groups))]
        footage = group[rng.integers(len(group))]
        size, how = self.recipe.model.size, self.recipe.augmentation
        count = len(synthetic(footage).images) if footage.synthetic else len(recorded(footage))
        first, second = sorted(rng.choice(count, 2, replace=False).tolist())
        if self.augment and how.time_flip and rng.uniform() < 0.5:
            first, second = second, first
        truth: PairTruth | None
        if footage.synthetic:
            clip = synthetic(footage)
            images = [fitting(clip.images[first], size), fitting(clip.images[second], size)]
            truth = clip_truth(clip, first, second, size)
        else:
            frames = recorded(footage)
            images = [fitting(frames.image(first), size), fitting(frames.image(second), size)]
            truth = no_truth(size // FLOW_CELL_PX) if self.knows else None
            if self.augment and how.zoom != (1.0, 1.0):
                images = zoomed(images, float(rng.uniform(*how.zoom)), rng)
        jitter = draw_jitter(how, rng) if self.augment else (1.0, 1.0, 1.0, 0.0)
        pictures = [jittered(image, jitter) for image in images]
        if self.augment and how.horizontal_flip and rng.uniform() < 0.5:
            pictures = [np.ascontiguousarray(picture[:, ::-1]) for picture in pictures]
            truth = mirrored(truth) if truth is not None else None
        return Pair(pictures[0], pictures[1], truth)


def collate(pairs: list[Pair]) -> Batch:
    source, driving = (
        torch.from_numpy(np.stack(side)).permute(0, 3, 1, 2).contiguous()
        for side in zip(*((p.source, p.driving) for p in pairs), strict=True)
    )
    truths = [pair.truth for pair in pairs if pair.truth is not None]
    if len(truths) < len(pairs):
        return Batch(source, driving, None)
    cells = max(truth.seen.shape[1] for truth in truths)
    truths = [with_cells(truth, cells) for truth in truths]
    return Batch(
        source, driving, PairTruth(*(torch.stack([getattr(truth, name) for truth in truths]) for name in PairTruth.__dataclass_fields__))
    )


def with_cells(truth: PairTruth, cells: int) -> PairTruth:
    """Clips of other sizes have other flow grids: bring them to one."""
    if truth.seen.shape[1] == cells:
        return truth
    index = torch.arange(cells) * truth.seen.shape[1] // cells
    named = {name: getattr(truth, name) for name in PairTruth.__dataclass_fields__}
    named["flow"], named["seen"] = truth.flow[index][:, index], truth.seen[:, index][:, :, index]
    return PairTruth(**named)


class Numbers:
    """Batches of pair numbers from a step on, for process `rank` of `world`."""

    def __init__(self, batch: int, first_step: int, last_step: int, rank: int = 0, world: int = 1) -> None:
        self.batch, self.first, self.last, self.rank, self.world = batch, first_step, last_step, rank, world

    def __len__(self) -> int:
        return self.last - self.first

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.first, self.last):
            start = (step * self.world + self.rank) * self.batch
            yield list(range(start, start + self.batch))


def loader(pairs: Pairs, numbers: Numbers, workers: int, *, pinned: bool) -> DataLoader[Pair]:
    """Batches in order, decoded ahead by `workers` processes."""
    ahead = {"prefetch_factor": 4, "multiprocessing_context": "spawn", "persistent_workers": True} if workers else {}
    return DataLoader(pairs, batch_sampler=numbers, num_workers=workers, collate_fn=collate, pin_memory=pinned, **ahead)  # type: ignore[arg-type]
