"""One step of training: forward, the losses of the recipe, backward, both optimisers, averaged weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from livepuppet.engines.fomm.networks.checkpoint import FommModel, build_model
from livepuppet.engines.fomm.networks.dense_motion import DenseMotion
from livepuppet.engines.fomm.networks.generator import GeneratorOutput
from livepuppet.engines.fomm.networks.keypoints import Keypoints
from livepuppet.errors import RunError, UsageError
from livepuppet.training import losses, supervision
from livepuppet.training.appearance import AppearanceLoss, Vgg
from livepuppet.training.discriminator import MultiScaleDiscriminator
from livepuppet.training.pairs import LANDMARKS, Batch
from livepuppet.training.recipe import Recipe
from livepuppet.training.transform import Transform

BETAS = (0.5, 0.999)
"""Adam's, as the original trains."""

Average = Callable[[list[Tensor]], None]
"""Replaces gradients by their mean over all processes."""


class NotFinite(RunError):
    """A loss or a gradient is not a number any more."""


class Trainer:
    """Holds all that changes during a run. `step_number` steps are done.

    Attributes:
        knows_flow: whether any clip does, so that motion can learn alone.
    """

    def __init__(
        self,
        recipe: Recipe,
        clips: int,
        device: torch.device,
        *,
        vgg: Vgg | None = None,
        half: bool = False,
        compiled: bool = False,
        seed: int = 0,
        average: Average | None = None,
        rank: int = 0,
        knows_flow: bool = True,
    ) -> None:
        torch.manual_seed(seed)
        self.knows_flow = knows_flow
        self.recipe, self.clips, self.device, self.seed, self.rank = recipe, clips, device, seed, rank
        self.average = average
        self.layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
        model = build_model(recipe.model)
        self.model = FommModel(model.configuration, model.align_corners, self.placed(model.detector), self.placed(model.generator))
        self.discriminator = self.placed(MultiScaleDiscriminator(recipe.discriminator, recipe.model.channels, recipe.model.keypoints))
        self.appearance = self.placed(AppearanceLoss(recipe, vgg))
        self.averaged = copy.deepcopy(self.model)
        for network in (self.averaged.detector, self.averaged.generator):
            network.eval().requires_grad_(False)
        if half:
            for network in (self.model.detector, self.model.generator, self.discriminator, self.appearance):
                convolve_in_half(network)
        self.generator_optimiser = torch.optim.Adam(
            [
                {"params": list(self.model.generator.parameters()), "lr": recipe.lr_generator, "base": recipe.lr_generator},
                {"params": list(self.model.detector.parameters()), "lr": recipe.lr_kp_detector, "base": recipe.lr_kp_detector},
            ],
            betas=BETAS,
        )
        self.discriminator_optimiser = torch.optim.Adam(
            [{"params": list(self.discriminator.parameters()), "lr": recipe.lr_discriminator, "base": recipe.lr_discriminator}],
            betas=BETAS,
        )
        made_fast: Callable[[Any], Any] = torch.compile if compiled else lambda network: network
        self.detect: Callable[[Tensor], Keypoints] = made_fast(self.model.detector)
        self.estimate: Callable[[Tensor, Keypoints, Keypoints], DenseMotion] = made_fast(self.model.generator.dense_motion_network)
        self.generate: Callable[[Tensor, Keypoints, Keypoints], GeneratorOutput] = made_fast(self.model.generator)
        self.step_number = 0

    def placed(self, network: Any) -> Any:
        return network.to(self.device).to(memory_format=self.layout).train(network.training)

    @property
    def adversarial(self) -> bool:
        """Whether the discriminator takes part by now."""
        start = self.recipe.own.adversarial_from * self.recipe.steps(self.clips)
        return self.recipe.weights.generator_gan > 0 and self.step_number >= start and not self.motion_only

    @property
    def motion_only(self) -> bool:
        """Whether keypoints and dense motion still learn alone, from true flow, and no picture is made."""
        return self.knows_flow and self.step_number < self.recipe.own.motion_first * self.recipe.steps(self.clips)

    def step(self, batch: Batch) -> dict[str, float]:
        """Train on one batch; returns every loss as weighted. Raises NotFinite, after which the weights are as before the step."""
        batch = batch.to(self.device, self.layout)
        self.set_rates()
        randomness = torch.Generator().manual_seed((self.seed * 1_000_003 + self.step_number) * 64 + self.rank)
        adversarial = self.adversarial
        self.discriminator.requires_grad_(False)
        generated, driving, terms = self.generator_terms(batch, randomness, adversarial)
        self.descend(self.generator_optimiser, terms)
        if adversarial and generated is not None:
            self.discriminator.requires_grad_(True)
            real = self.discriminator(batch.driving, driving)
            fake = self.discriminator(generated.prediction.detach(), driving)
            told = {"discriminator": self.recipe.weights.discriminator_gan * losses.discriminator_loss(real, fake)}
            self.descend(self.discriminator_optimiser, told)
            terms |= told
        self.step_number += 1
        self.average_weights()
        return {name: float(term.detach()) for name, term in terms.items()}

    def generator_terms(
        self, batch: Batch, randomness: torch.Generator, adversarial: bool
    ) -> tuple[GeneratorOutput | None, Keypoints, dict[str, Tensor]]:
        """Every loss of detector and generator, weighted. Nothing is generated while motion learns alone."""
        weights, count = self.recipe.weights, len(batch.source)
        both = self.detect(torch.cat((batch.source, batch.driving)))
        source, driving = (Keypoints(both.value[part], both.jacobian[part]) for part in (slice(count), slice(count, None)))
        used = self.teacher_forced(batch, source, driving, randomness)
        generated = None if self.motion_only else self.generate(batch.source, *used)
        motion = self.estimate(batch.source, *used) if generated is None else generated.motion
        terms = {} if generated is None else self.picture_terms(batch, generated, used[0])
        if weights.equivariance_value or weights.equivariance_jacobian:
            transform = Transform.drawn(self.recipe.warp, count, randomness, self.device)
            warped = self.detect(transform.picture(batch.driving).to(batch.driving.dtype))
            terms["equivariance_value"] = weights.equivariance_value * losses.equivariance_value_loss(driving, warped, transform)
            if self.recipe.model.jacobian:
                terms["equivariance_jacobian"] = weights.equivariance_jacobian * losses.equivariance_jacobian_loss(
                    driving, warped, transform
                )
        if adversarial and generated is not None:
            real = self.discriminator(batch.driving, driving)
            fake = self.discriminator(generated.prediction, driving)
            terms["generator_gan"] = weights.generator_gan * losses.generator_loss(fake)
            if any(weights.feature_matching):
                terms["feature_matching"] = losses.feature_matching_loss(real, fake, weights.feature_matching)
        terms |= self.supervised_terms(batch, source, driving, motion)
        return generated, driving, terms

    def picture_terms(self, batch: Batch, generated: GeneratorOutput, source: Keypoints) -> dict[str, Tensor]:
        """How far the pictures are from the driving ones: the network's own, and what livepuppet shows with its help."""
        weights = self.recipe.weights
        terms = {self.appearance.name: self.appearance(generated.prediction, batch.driving)}
        shown = generated.prediction
        if weights.shown:
            with torch.no_grad():
                rest = self.generate(batch.source, source, source)
            shown = losses.composite_as_shown(batch.source, generated, rest, self.model.align_corners)
            terms["shown"] = weights.shown * self.appearance(shown, batch.driving)
        if weights.detail and batch.truth is not None:
            terms["detail"] = weights.detail * supervision.detail_loss(shown, batch.driving, batch.truth)
        return terms

    def supervised_terms(self, batch: Batch, source: Keypoints, driving: Keypoints, motion: DenseMotion) -> dict[str, Tensor]:
        truth, weights = batch.truth, self.recipe.weights
        if truth is None:
            return {}
        terms = {
            "flow": weights.flow * supervision.flow_loss(motion, truth, weights.focus),
            "visibility": weights.visibility * supervision.visibility_loss(motion, truth, weights.focus),
        }
        if self.recipe.model.keypoints == LANDMARKS:
            pairs = ((source, truth.source), (driving, truth.driving))
            terms["landmarks"] = (
                weights.landmarks / 2 * sum_of(supervision.landmark_loss(found, known.value, truth.known) for found, known in pairs)
            )
            terms["frames"] = (
                weights.frames
                / 2
                * sum_of(supervision.jacobian_loss(found, known.value, known.jacobian, truth.known) for found, known in pairs)
            )
        return {name: term for name, term in terms.items() if getattr(weights, name)}

    def teacher_forced(
        self, batch: Batch, source: Keypoints, driving: Keypoints, randomness: torch.Generator
    ) -> tuple[Keypoints, Keypoints]:
        """For a share of the pairs the true landmarks instead of those found: dense motion learns while the detector still does."""
        share, truth = self.recipe.own.teacher_forcing, batch.truth
        if not share or truth is None or self.recipe.model.keypoints != LANDMARKS:
            return source, driving
        chosen = (torch.rand(len(batch.source), generator=randomness) < share).to(self.device) & (truth.known > 0)

        def mixed(true: Keypoints, found: Keypoints) -> Keypoints:
            value = torch.where(chosen[:, None, None], true.value.clamp(-1, 1), found.value)
            return Keypoints(value, torch.where(chosen[:, None, None, None], true.jacobian, found.jacobian))

        return mixed(truth.source, source), mixed(truth.driving, driving)

    def descend(self, optimiser: torch.optim.Optimizer, terms: dict[str, Tensor]) -> None:
        total = sum_of(terms.values())
        if not torch.isfinite(total):
            broken = [name for name, term in terms.items() if not torch.isfinite(term)]
            raise NotFinite(f"the loss '{broken[0] if broken else 'total'}' is NaN at step {self.step_number}")
        optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        parameters = [p for group in optimiser.param_groups for p in group["params"] if p.grad is not None]
        if self.average is not None:
            self.average([p.grad for p in parameters if p.grad is not None])
        norm = nn.utils.clip_grad_norm_(parameters, self.recipe.own.clip_gradient)
        if not torch.isfinite(norm):
            raise NotFinite(f"the gradient is NaN at step {self.step_number}")
        optimiser.step()

    def set_rates(self) -> None:
        factor = self.recipe.rate(self.step_number, self.clips)
        for optimiser in (self.generator_optimiser, self.discriminator_optimiser):
            for group in optimiser.param_groups:
                group["lr"] = group["base"] * factor

    @torch.no_grad()
    def average_weights(self) -> None:
        """Exponential moving average of weights and of the norms' statistics; short at first, so that it does not remember the start."""
        decay = min(self.recipe.own.ema, self.step_number / (self.step_number + 9))
        for ours, theirs in ((self.averaged.detector, self.model.detector), (self.averaged.generator, self.model.generator)):
            new = theirs.state_dict()
            for name, value in ours.state_dict().items():
                if value.is_floating_point():
                    value.lerp_(new[name], 1 - decay)
                else:
                    value.copy_(new[name])

    def parts(self) -> dict[str, Any]:
        return {
            "detector": self.model.detector,
            "generator": self.model.generator,
            "averaged_detector": self.averaged.detector,
            "averaged_generator": self.averaged.generator,
            "discriminator": self.discriminator,
            "generator_optimiser": self.generator_optimiser,
            "discriminator_optimiser": self.discriminator_optimiser,
        }

    def state(self) -> dict[str, Any]:
        """All that is needed to go on as if nothing had happened."""
        return {"step": self.step_number, **{name: part.state_dict() for name, part in self.parts().items()}}

    def restore(self, state: dict[str, Any]) -> None:
        """Raises UsageError when the state belongs to other networks."""
        try:
            for name, part in self.parts().items():
                part.load_state_dict(state[name])
            self.step_number = int(state["step"])
        except (KeyError, RuntimeError, ValueError) as error:
            raise UsageError(f"the checkpoint belongs to another configuration: {str(error).splitlines()[-1].strip()}") from error

    def start_from(self, model: FommModel) -> None:
        """Weights of a model that was loaded, in place of fresh ones.

        Raises:
            UsageError: when its configuration is another.
        """
        if model.configuration != self.recipe.model:
            differs = [
                f"{name} {getattr(model.configuration, name)} (here {getattr(self.recipe.model, name)})"
                for name in model.configuration.__dataclass_fields__
                if getattr(model.configuration, name) != getattr(self.recipe.model, name)
            ]
            raise UsageError(f"the checkpoint belongs to another configuration: {', '.join(differs)}")
        for target in (self.model, self.averaged):
            target.detector.load_state_dict(model.detector.state_dict())
            target.generator.load_state_dict(model.generator.state_dict())


def convolve_in_half(network: nn.Module) -> None:
    """Let every convolution compute and answer in bfloat16, and nothing else.

    Autocast around everything would also round keypoints and deformations (they are matrix products) to about half a pixel of 256.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.forward = partial(half_convolution, module)  # type: ignore[method-assign]


def half_convolution(module: nn.Conv2d, x: Tensor) -> Tensor:
    with torch.autocast(x.device.type, torch.bfloat16):
        return nn.Conv2d.forward(module, x)


def sum_of(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(terms)).sum()
