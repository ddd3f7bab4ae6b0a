"""People who do not exist, rendered on a GPU: the same people and the same truth as on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from gpu_fixtures import accelerator, carried

from livepuppet.errors import UsageError
from livepuppet.synthetic.clips import Clip, render_clip
from livepuppet.synthetic.head import Head

pytestmark = pytest.mark.cuda

SIZE = 64


@pytest.fixture(scope="module")
def geometry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return carried() or tmp_path_factory.mktemp("geometry")


@pytest.fixture(scope="module")
def clips(geometry: Path) -> Iterator[tuple[Clip, Clip]]:
    """One person on the tested device and on the CPU."""
    device = accelerator()
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        heads = [Head.load(where, cache=geometry) for where in (device, torch.device("cpu"))]
    except UsageError as error:
        pytest.skip(str(error))
    ours, theirs = (render_clip(head, 5, 1, frames=3, size=SIZE, look="photo") for head in heads)
    yield ours, theirs
    torch.backends.cuda.matmul.allow_tf32 = before


def test_the_pictures_are_the_cpus(clips: tuple[Clip, Clip]) -> None:
    """But for single pixels at edges, where another rounding shows another surface."""
    ours, theirs = clips
    off = np.abs(ours.images.astype(int) - theirs.images)
    assert off.mean() < 1.0
    assert (off.max(-1) > 8).mean() < 0.02


def test_the_truth_is_the_cpus(clips: tuple[Clip, Clip]) -> None:
    ours, theirs = clips
    assert np.abs(ours.truth.landmarks - theirs.truth.landmarks).max() < 0.05
    assert np.abs(ours.truth.frames - theirs.truth.frames).max() < 0.05 * np.abs(theirs.truth.frames).max()
    assert (ours.truth.seen != theirs.truth.seen).mean() < 0.02
    assert (ours.truth.body != theirs.truth.body).mean() < 0.02
    both = ours.truth.seen & theirs.truth.seen & (ours.truth.body & theirs.truth.body)[:, None]
    assert np.quantile(np.abs(ours.truth.flow - theirs.truth.flow)[both], 0.98) < 0.1
    assert np.allclose(ours.expression, theirs.expression)
