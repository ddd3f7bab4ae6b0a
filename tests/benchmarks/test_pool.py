"""The clips on the training device: drawn pairs are those that `training.pairs` makes from files."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from training_fixtures import sliding_clip

from benchmarks.gpu.pool import ClipPool, draw_colours, mirrored_where, recoloured
from livepuppet.training.pairs import clip_truth, mirrored
from livepuppet.training.settings import Augmentation
from livepuppet.training.supervision import PairTruth

SIZE, FRAMES = 32, 3
PLAIN = Augmentation(horizontal_flip=False)


def pool(capacity: int = 4, clips: int = 2) -> ClipPool:
    made = ClipPool(capacity, SIZE, FRAMES, torch.device("cpu"))
    for index in range(clips):
        made.add(sliding_clip(shift=2 + 2 * index, size=SIZE, frames=FRAMES))
    return made


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def assert_close(one: PairTruth, other: PairTruth, tolerance: float = 2e-3) -> None:
    for field in fields(PairTruth):
        a, b = getattr(one, field.name), getattr(other, field.name)
        assert a.shape == b.shape and (a - b).abs().max() <= tolerance, field.name


def single(truth: PairTruth, index: int) -> PairTruth:
    return PairTruth(*(getattr(truth, field.name)[index] for field in fields(PairTruth)))


def test_the_truth_is_that_of_pairs() -> None:
    clip = sliding_clip(shift=2, size=SIZE, frames=FRAMES)
    truth = pool().truth(torch.tensor([0, 0]), torch.tensor([0, 2]), torch.tensor([1, 0]))
    for index, (source, driving) in enumerate(((0, 1), (2, 0))):
        assert_close(single(truth, index), clip_truth(clip, source, driving, SIZE))


def test_flipping_is_that_of_pairs() -> None:
    truth = pool().truth(torch.tensor([0, 1]), torch.tensor([0, 2]), torch.tensor([1, 0]))
    flipped = mirrored_where(truth, torch.tensor([True, False]))
    assert_close(single(flipped, 0), mirrored(single(truth, 0)))
    assert_close(single(flipped, 1), single(truth, 1), 0)


def test_pictures_go_with_their_truth() -> None:
    """Each driving cell's colour is found in the source where the flow says, flipped or not."""
    made = pool(clips=1)
    batch = made.draw(16, Augmentation(), random())
    assert batch.truth is not None and batch.source.shape == (16, 3, SIZE, SIZE)
    found = torch.nn.functional.grid_sample(
        torch.nn.functional.avg_pool2d(batch.source, 4), batch.truth.flow, align_corners=True, padding_mode="border"
    )
    wanted = torch.nn.functional.avg_pool2d(batch.driving, 4)
    seen = batch.truth.seen.expand_as(found) > 0
    still = torch.nn.functional.avg_pool2d(batch.source, 4)
    assert (found - wanted).abs()[seen].mean() < 0.4 * (still - wanted).abs()[seen].mean()


def test_two_frames_of_one_clip_and_never_the_same() -> None:
    batch = pool().draw(64, PLAIN, random())
    assert ((batch.source - batch.driving).abs().amax((1, 2, 3)) > 0.05).all()


def test_without_turning_time_round_the_source_comes_first() -> None:
    truth = pool(clips=1).draw(64, Augmentation(horizontal_flip=False, time_flip=False), random()).truth
    assert truth is not None
    assert (truth.driving_landmarks[..., 0] < truth.source_landmarks[..., 0]).all()  # the texture slides to the left


def test_one_generator_draws_one_batch() -> None:
    made, how = pool(), Augmentation(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.1)
    one, other, third = (made.draw(4, how, random(seed)) for seed in (3, 3, 4))
    assert torch.equal(one.driving, other.driving) and not torch.equal(one.driving, third.driving)


def test_the_oldest_clip_makes_room() -> None:
    made = pool(capacity=2, clips=3)
    assert len(made) == 2 and made.added == 3
    newest = torch.from_numpy(sliding_clip(shift=6, size=SIZE, frames=FRAMES).images)
    assert torch.equal(made.images[0], newest)


def test_a_clip_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a clip of \(3, 64, 64, 3\), where \(3, 32, 32, 3\) is kept"):
        pool().add(sliding_clip(size=64, frames=FRAMES))


def test_colours_change_as_asked() -> None:
    images = torch.randint(0, 255, (32, 8, 8, 3), generator=random(), dtype=torch.uint8)
    plain = recoloured(images, draw_colours(32, PLAIN, random()))
    assert (plain - images.permute(0, 3, 1, 2) / 255).abs().max() < 1e-5
    grey = torch.full((32, 8, 8, 3), 128, dtype=torch.uint8)
    turned = recoloured(grey, draw_colours(32, Augmentation(hue=0.5, saturation=0.5), random()))
    assert (turned - 128 / 255).abs().max() < 1e-4  # grey has neither hue nor saturation
    bright = recoloured(images, draw_colours(32, Augmentation(brightness=0.3), random(1))).mean((1, 2, 3))
    assert bright.std() > 0.05
