"""Every tensor is where it belongs: rendering, drawing pairs, training and judging, on a device that only pretends to be one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gpu_fixtures import smooth_images
from pretended_device import ELSEWHERE, Elsewhere, MisplacedError, pretended_device
from training_fixtures import SMALL_RECIPE, sliding_clip

from benchmarks.gpu.pool import ClipPool
from livepuppet.errors import UsageError
from livepuppet.synthetic.clips import render_clip
from livepuppet.synthetic.head import Head
from livepuppet.training.evaluation import rebuild
from livepuppet.training.journal import draw_sheet
from livepuppet.training.trainer import Trainer

CPU = torch.device("cpu")
RECIPE = replace(SMALL_RECIPE, own=replace(SMALL_RECIPE.own, motion_first=0.3, adversarial_from=0.6, steps=3))
"""A step of motion alone, one with pictures, one against the adversary."""


def test_the_pretence_holds() -> None:
    with pretended_device():
        there = torch.arange(3, device=ELSEWHERE)
        assert isinstance(there + 1, Elsewhere) and (there + 1).device == ELSEWHERE
        assert (there + 1).cpu().tolist() == [1, 2, 3] and float(there.sum()) == 3
        assert there[torch.tensor([0, 2])].cpu().tolist() == [0, 2]  # allowed on a GPU too
        assert (there + torch.tensor(2)).cpu().tolist() == [2, 3, 4]  # a number goes everywhere
        with pytest.raises(MisplacedError, match="add: tensors of two devices"):
            there + torch.ones(3)
        with pytest.raises(MisplacedError, match="index: tensors of two devices"):
            torch.ones(3)[there]
        with pytest.raises(MisplacedError, match="not brought back"):
            there.numpy()


@pytest.fixture(scope="module")
def geometry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("geometry")
    try:
        Head.load(cache=folder)
    except UsageError as error:
        pytest.skip(str(error))
    return folder


@pytest.mark.parametrize("index", [1, 2, 4])
def test_people_are_rendered_on_one_device(geometry: Path, index: int) -> None:
    wanted = render_clip(Head.load(CPU, cache=geometry), 5, index, frames=2, size=32)
    with pretended_device():
        made = render_clip(Head.load(ELSEWHERE, cache=geometry), 5, index, frames=2, size=32)
    off = np.abs(made.images.astype(int) - wanted.images).max(-1)
    assert (off > 2).mean() < 0.01  # single pixels at edges: sums are taken in another order
    assert (made.truth.seen != wanted.truth.seen).mean() < 0.01
    assert np.allclose(made.truth.landmarks, wanted.truth.landmarks, atol=1e-3)


def losses(device: torch.device) -> list[dict[str, float]]:
    pool = ClipPool(2, 32, 3, device)
    pool.add(sliding_clip(shift=4, size=32))
    trainer, randomness = Trainer(RECIPE, 1, device), torch.Generator().manual_seed(2)
    found = [trainer.step(pool.draw(2, RECIPE.augmentation, randomness)) for _ in range(3)]
    assert draw_sheet(trainer.averaged, pool.draw(2, RECIPE.augmentation, randomness)).shape == (64, 160, 3)
    assert rebuild(trainer.averaged, smooth_images(3, 32))[0].shape == (32, 32, 3)
    return found


def test_a_run_stays_on_its_device() -> None:
    wanted = losses(CPU)
    with pretended_device():
        made = losses(ELSEWHERE)
    assert set(wanted[0]) < set(wanted[1]) < set(wanted[2]) and "discriminator" in wanted[2]
    for ours, theirs in zip(made, wanted, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-5)
