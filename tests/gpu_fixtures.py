"""What tests on a GPU share. They are marked `cuda` and skipped, with the reason, where there is none.

LIVEPUPPET_TEST_DEVICE=cpu runs them without a GPU, to prove the tests themselves: then both sides of every comparison are the CPU's.
CARRIED names the folder that benchmarks/gpu/prepare.py filled, for machines that lack what it takes to make such things.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from livepuppet.types import Image


def accelerator() -> torch.device:
    """The device that is tested; skips the test where it is not there."""
    device = torch.device(os.environ.get("LIVEPUPPET_TEST_DEVICE", "cuda"))
    if device.type == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA here")
    return device


def only_on_cuda() -> torch.device:
    """For tests of what the CPU does not have."""
    device = accelerator()
    if device.type != "cuda":
        pytest.skip("the CPU has nothing like it")
    return device


def carried() -> Path | None:
    """The folder of benchmarks/gpu/prepare.py, where it was named and is filled."""
    folder = Path(os.environ.get("CARRIED", ""))
    return folder if (folder / "arrays.npz").is_file() else None


def smooth_images(count: int, size: int, seed: int = 0) -> list[Image]:
    """Pictures that a network stays sane on: noise at a sixteenth of the size, enlarged."""
    coarse = torch.rand(count, 3, size // 16, size // 16, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False).clamp(0, 1)
    return list((smooth * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy())


def face_crops(size: int) -> list[Image]:
    """Faces as a model sees them: the carried ones, or smooth pictures where none were carried."""
    folder = carried()
    if folder is None:
        return smooth_images(8, size)
    with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
        crops = arrays["crops"]
    assert crops.shape[1:3] == (size, size)
    return list(crops)


def psnr(one: Image, other: Image) -> float:
    error = float(((one.astype(np.float64) - other) ** 2).mean())
    return 10 * float(np.log10(255**2 / error)) if error else 99.0
