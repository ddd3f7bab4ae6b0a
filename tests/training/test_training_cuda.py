"""Training on a GPU: the same losses as on the CPU, in single precision nearly to the digit, in half precision about so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from gpu_fixtures import accelerator
from training_fixtures import SMALL_RECIPE, sliding_clip

from livepuppet.training.dataset import TrainingClip
from livepuppet.training.pairs import Batch, Pairs, collate
from livepuppet.training.trainer import Trainer

pytestmark = pytest.mark.cuda

RECIPE = replace(SMALL_RECIPE, own=replace(SMALL_RECIPE.own, adversarial_from=0.0))


@pytest.fixture
def device() -> Iterator[torch.device]:
    """With products in full single precision: cuDNN's default is TF32, ten bits."""
    found = accelerator()
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield found
    torch.backends.cudnn.allow_tf32 = before


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    path = tmp_path / "clip-000000.npz"
    sliding_clip(shift=4, size=32).save(path)
    pairs = Pairs((TrainingClip("clip", "clip", path, synthetic=True),), RECIPE, 0)
    return collate([pairs[number] for number in range(4)])


def losses(where: torch.device, batch: Batch, steps: int, *, half: bool = False) -> list[dict[str, float]]:
    trainer = Trainer(RECIPE, 1, where, half=half)
    return [trainer.step(batch) for _ in range(steps)]


def test_a_step_is_the_cpus(device: torch.device, batch: Batch) -> None:
    """Every loss of the recipe, the adversary's too; the second step tells whether the gradients were the same."""
    ours, theirs = losses(device, batch, 2), losses(torch.device("cpu"), batch, 2)
    assert {"discriminator", "generator_gan", "feature_matching", "flow", "shown", "detail"} <= set(theirs[0])
    for step, tolerance in ((0, 2e-3), (1, 3e-2)):
        for name, value in theirs[step].items():
            assert ours[step][name] == pytest.approx(value, rel=tolerance, abs=2e-3), (step, name)


def test_a_step_in_half_precision_is_about_that(device: torch.device, batch: Batch) -> None:
    ours, theirs = losses(device, batch, 3, half=True), losses(torch.device("cpu"), batch, 3)
    for name, value in theirs[0].items():
        assert ours[0][name] == pytest.approx(value, rel=0.1, abs=0.05), name
    assert all(value == value for step in ours for value in step.values())
