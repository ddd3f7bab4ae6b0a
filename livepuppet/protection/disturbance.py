"""An adversarial perturbation against a First Order Motion Model: projected gradient ascent on how far its animation departs.

Madry et al., "Towards deep learning models resistant to adversarial attacks" (2018), with momentum (Dong et al. 2018) and expectation
over the crop (Athalye et al. 2018), because nobody knows how closely an attacker will cut the photo. Goal after Ruiz et al., "Disrupting
deepfakes" (2020): the output away from what it was, here together with the motion and the keypoints that lead to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from livepuppet.engines.fomm.model_store import ModelDirectory
from livepuppet.engines.fomm.networks.checkpoint import FommModel
from livepuppet.engines.fomm.networks.keypoints import Keypoints, relative_keypoints
from livepuppet.errors import ModelError
from livepuppet.protection.replay import Replay
from livepuppet.types import Image

Window = tuple[float, float, float]
"""Left, top and side of a square, in pixels; may reach beyond the picture."""

CROPS = ((0.0, 0.0, 1.0), (0.03, -0.03, 1.1), (-0.04, 0.02, 0.92))
"""Shifts (parts of the side) and scales of the window that the perturbation must work in."""
STEP, FINAL_STEP = 0.25, 0.06
"""Step sizes as parts of the strength, first and last."""
MOMENTUM = 0.75
MOTION_WEIGHT, KEYPOINT_WEIGHT = 8.0, 0.3
"""What a mean deviation of the deformation and of the keypoints (both in half pictures) weighs against one of the output (in 0 … 1)."""


class SourceFeatures(NamedTuple):
    """What a model takes from a photo: its keypoints, and whatever else it needs to move it."""

    source: Keypoints
    rest: tuple[Tensor, ...]


class AnimatedFrame(NamedTuple):
    """prediction: (1, 3, size, size) in 0 … 1.  deformation: where each place comes from, in -1 … 1."""

    prediction: Tensor
    deformation: Tensor


class AttackTarget(Protocol):
    """A model that gradients run through. Pictures are (1, 3, size, size) in 0 … 1."""

    size: int

    def look(self, image: Tensor) -> SourceFeatures: ...

    def detect(self, image: Tensor) -> Keypoints: ...

    def move(self, look: SourceFeatures, reference: Keypoints, driving: Keypoints) -> AnimatedFrame: ...


class NetworkTarget:
    """A checkpoint's networks."""

    def __init__(self, model: FommModel, device: torch.device) -> None:
        self.size = model.configuration.size
        self._model = model
        self._unit = torch.ones((), device=device)
        for network in (model.detector, model.generator):
            network.to(device).eval().requires_grad_(False)

    def look(self, image: Tensor) -> SourceFeatures:
        return SourceFeatures(self.detect(image), (image,))

    def detect(self, image: Tensor) -> Keypoints:
        found: Keypoints = self._model.detector(image)
        return found

    def move(self, look: SourceFeatures, reference: Keypoints, driving: Keypoints) -> AnimatedFrame:
        generated = self._model.generator(look.rest[0], look.source, relative_keypoints(look.source, reference, driving, self._unit))
        return AnimatedFrame(generated.prediction, generated.motion.deformation)


class InstalledTarget:
    """The ONNX graphs of a model directory: the model just as it animates here.

    Raises:
        ModelError: its message says what is wrong.
    """

    def __init__(self, directory: ModelDirectory, device: torch.device) -> None:
        names = directory.manifest.graphs.get("onnx")
        if names is None:
            raise ModelError(
                f"the model '{directory.manifest.name}' has no ONNX graphs to work against: give its checkpoint instead",
                parameter="checkpoint",
            )
        directory.verify()
        self.size = directory.manifest.size
        self._unit = torch.ones((), device=device)
        self._prepare = Replay(directory.file(names["prepare"]), device)
        self._detect = Replay(directory.file(names["animate"]), device, "detecting")
        self._render = Replay(directory.file(names["animate"]), device, "rendering")

    def look(self, image: Tensor) -> SourceFeatures:
        out = self._prepare.run(portrait=image[0].permute(1, 2, 0) * 255)
        return SourceFeatures(Keypoints(out["source_value"], out["source_jacobian"]), (out["features"], out["small"]))

    def detect(self, image: Tensor) -> Keypoints:
        out = self._detect.run(driving=image[0].permute(1, 2, 0) * 255)
        return Keypoints(out["driving_value"], out["driving_jacobian"])

    def move(self, look: SourceFeatures, reference: Keypoints, driving: Keypoints) -> AnimatedFrame:
        out = self._render.run(
            features=look.rest[0], small=look.rest[1], source_value=look.source.value, source_jacobian=look.source.jacobian,
            reference_value=reference.value, reference_jacobian=reference.jacobian, scale=self._unit,
            motion_value=driving.value, motion_jacobian=driving.jacobian,
        )  # fmt: skip
        return AnimatedFrame(out["image"].permute(2, 0, 1)[None] / 255, out["deformation"])


@dataclass(frozen=True, eq=False)
class AttackView:
    """One way to cut the photo, and what the model makes of the unprotected one: keypoints and a result per driving frame."""

    window: Window
    source: Keypoints
    results: tuple[AnimatedFrame, ...]


class Attack:
    """The model, the photo and the driving performance; `perturb` works, `animate` shows.

    Attributes:
        photo: RGB uint8 (H, W, 3).
        window: the square around the face that the model is shown.
        driving: RGB uint8 (size, size, 3) each, faces cut as for the model; the first is the reference.
    """

    def __init__(self, victim: AttackTarget, photo: Image, window: Window, driving: Sequence[Image], device: torch.device) -> None:
        self.victim, self.device, self.window = victim, device, window
        self.photo = self._tensor(photo)
        with torch.no_grad():
            self.driving = [victim.detect(self._tensor(image)) for image in driving]
            self.views = [self._view(window, crop) for crop in CROPS]

    def perturb(
        self, strength: float, steps: int, seed: int = 0, progress: Callable[[int, float], None] | None = None
    ) -> NDArray[np.float32]:
        """The change, float32 (H, W, 3) in levels of 255, none beyond `strength`.

        Args:
            progress: called with step and departure.
        """
        limit = strength / 255
        random = torch.Generator().manual_seed(seed)
        change = ((torch.rand(self.photo.shape, generator=random) * 2 - 1) * limit).to(self.device)
        momentum = torch.zeros_like(change)
        for step, (view, number) in zip(range(steps), self._turns(), strict=False):
            change.requires_grad_(True)
            value = self._value((self.photo + change).clamp(0, 1), view, number)
            (slope,) = torch.autograd.grad(value, change)
            with torch.no_grad():
                momentum = MOMENTUM * momentum + slope / slope.abs().mean().clamp_min(1e-12)
                pace = STEP + (FINAL_STEP - STEP) * step / steps
                change = (change + limit * pace * momentum.sign()).clamp(-limit, limit)
            if progress:
                progress(step + 1, float(value.detach()))
        return np.ascontiguousarray((change[0] * 255).permute(1, 2, 0).cpu().numpy(), np.float32)

    def animate(self, photo: Image) -> list[Image]:
        """What the model makes of a version of the photo: a frame for each driving frame."""
        frames = []
        with torch.no_grad():
            look = self.victim.look(self._cut(self._tensor(photo), self.window))
            for driving in self.driving:
                frame = self.victim.move(look, self.driving[0], driving).prediction[0]
                frames.append((frame * 255).round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().cpu().numpy())
        return frames

    def keypoint_shift(self, photo: Image) -> float:
        """Mean displacement of the photo's keypoints against the original's, in pixels of the model's picture."""
        with torch.no_grad():
            found = self.victim.look(self._cut(self._tensor(photo), self.window)).source
        return float((found.value - self.views[0].source.value).norm(dim=-1).mean()) * self.victim.size / 2

    def _value(self, photo: Tensor, view: AttackView, number: int) -> Tensor:
        """How far the result departs from that of the original."""
        look = self.victim.look(self._cut(photo, view.window))
        moved, plain = self.victim.move(look, self.driving[0], self.driving[number]), view.results[number]
        picture_off = (moved.prediction - plain.prediction).abs().mean()
        motion_off = (moved.deformation - plain.deformation).abs().mean()
        keypoints_off = (look.source.value - view.source.value).norm(dim=-1).mean()
        value: Tensor = picture_off + MOTION_WEIGHT * motion_off + KEYPOINT_WEIGHT * keypoints_off
        return value

    def _turns(self) -> Iterator[tuple[AttackView, int]]:
        """Views and driving frames in turn, without the reference, which moves nothing."""
        count = 0
        while True:
            yield self.views[count % len(self.views)], 1 + count % (len(self.driving) - 1) if len(self.driving) > 1 else 0
            count += 1

    def _view(self, window: Window, crop: Window) -> AttackView:
        left, top, side = window
        reach = side * crop[2]
        moved = (left + side * crop[0] + (side - reach) / 2, top + side * crop[1] + (side - reach) / 2, reach)
        look = self.victim.look(self._cut(self.photo, moved))
        return AttackView(moved, look.source, tuple(self.victim.move(look, self.driving[0], driving) for driving in self.driving))

    def _tensor(self, image: Image) -> Tensor:
        return torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None].to(self.device) / 255

    def _cut(self, image: Tensor, window: Window) -> Tensor:
        """The window at the model's size, differentiable; pixels of large windows are averaged, edges mirrored."""
        size, (left, top, side) = self.victim.size, window
        height, width = image.shape[2:]
        finer = max(1, int(side / size))
        steps = (torch.arange(size * finer, device=self.device) + 0.5) / (size * finer)
        x, y = (left + steps * side) / width * 2 - 1, (top + steps * side) / height * 2 - 1
        grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)[None]
        cut = functional.grid_sample(image, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
        result: Tensor = functional.avg_pool2d(cut, finer) if finer > 1 else cut
        return result
