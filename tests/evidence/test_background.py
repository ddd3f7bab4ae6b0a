"""A background frozen to the bit is told from one with a sensor's noise, and none at all tells nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from livepuppet.engines.landmark.face_model import TEMPLATE
from livepuppet.evidence.background import BLOCK_PX, LATER_FRAMES, BackgroundSampler, blocks_beside
from livepuppet.vision.face_landmarks import Landmarks

HEIGHT, WIDTH = 240, 320


def face_at(width: float) -> Landmarks:
    """A face that wide in the middle of the picture."""
    points = np.zeros((478, 3))
    points[: len(TEMPLATE), :2] = TEMPLATE[:, :2] * width + (WIDTH / 2, HEIGHT / 2)
    return points


def sample(noise: float, width: float = 80.0) -> BackgroundSampler:
    rng = np.random.default_rng(0)
    wall: NDArray[np.float64] = rng.uniform(80, 160, (HEIGHT, WIDTH))
    sampler = BackgroundSampler()
    for _ in range(LATER_FRAMES + 6):
        sampler.add(np.clip(wall + rng.normal(0, noise, wall.shape), 0, 255).astype(np.uint8), face_at(width))
    return sampler


def test_a_frozen_background_does_not_breathe_and_a_noisy_one_does() -> None:
    assert sample(0.0).changed == [0.0] * 6
    assert min(sample(2.0).changed) > 0.99


def test_a_face_that_fills_the_picture_leaves_no_background() -> None:
    assert sample(2.0, width=300.0).changed == []


def test_the_blocks_compared_lie_beside_the_person() -> None:
    outside = blocks_beside(HEIGHT, WIDTH, face_at(80.0))
    assert outside[0, 0] and not outside[HEIGHT // 2 // BLOCK_PX, WIDTH // 2 // BLOCK_PX]
    assert not outside[-1].any(), "shoulders are below"
