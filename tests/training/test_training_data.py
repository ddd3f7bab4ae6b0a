"""From files of any kind to numbered pairs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from media import set_display_matrix, write_numbered_video
from numpy.typing import NDArray
from training_fixtures import CLIP_SIZE, moving_pattern, sliding_clip, write_frames_as_images, write_frames_as_video

from livepuppet.engines.fomm.networks.layers import grid_sample
from livepuppet.errors import UsageError
from livepuppet.training.dataset import MOST_FRAMES, FrameStore, gather_dataset, thin_frames, video_images
from livepuppet.training.pairs import Numbers, Pairs, collate, jittered, loader, with_cells
from livepuppet.training.recipe import RECIPES, Recipe
from livepuppet.training.settings import Augmentation

PLAIN = replace(RECIPES["tiny-64"], augmentation=Augmentation(horizontal_flip=False, time_flip=False))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    (data / "deep").mkdir(parents=True)
    write_frames_as_video(data / "wide.mp4", moving_pattern(6, 48, 96))
    write_frames_as_video(data / "deep" / "tall.gif", moving_pattern(5, 80, 40), "gif")
    write_frames_as_images(data / "pictures", moving_pattern(4, 50, 50), ".jpg")
    write_frames_as_video(data / "single.mp4", moving_pattern(1, 48, 48))
    (data / "broken.mp4").write_bytes(b"no video at all" * 50)
    whole = data / "whole.avi"
    write_frames_as_video(whole, moving_pattern(20, 64, 64), "mpeg4")
    (data / "notes.txt").write_text("not a clip")
    write_frames_as_images(data / "damaged", moving_pattern(2, 32, 32))
    (data / "damaged" / "00001.png").write_bytes(b"\x89PNG")
    sliding_clip().save(data / "clip-000001.npz")
    (data / "clip-000002.npz").write_bytes(b"PK nothing")
    return data


def test_every_format_is_read_and_what_cannot_be_is_listed(folder: Path, tmp_path: Path) -> None:
    album = gather_dataset(folder, tmp_path / "cache", CLIP_SIZE)
    assert {clip.name for clip in album.training} == {"wide", "tall", "pictures", "whole", "clip-000001"}
    why = {path.name: reason for path, reason in album.skipped}
    assert set(why) == {"single.mp4", "broken.mp4", "damaged", "clip-000002.npz"}
    assert why["single.mp4"] == "one frame shows no motion" and "broken.mp4" in why["broken.mp4"]
    assert "00001.png is no readable picture" in why["damaged"]
    lengths = {clip.name: len(FrameStore.load(clip.path)) for clip in album.training if not clip.synthetic}
    assert lengths == {"wide": 6, "tall": 5, "pictures": 4, "whole": 20}
    image = FrameStore.load(next(clip.path for clip in album.training if clip.name == "wide")).image(3)
    assert image.shape == (CLIP_SIZE, CLIP_SIZE, 3)
    middle = cv2.resize(moving_pattern(6, 48, 96)[3][:, 24:72], (CLIP_SIZE, CLIP_SIZE), interpolation=cv2.INTER_CUBIC)
    assert np.abs(image.astype(float) - middle).mean() < 6  # the middle square, resized; the rest is the codec's


def test_a_phone_s_clip_is_trained_on_upright_and_in_its_own_colours(tmp_path: Path) -> None:
    """Turned by a note in the file, and BT.709, which most readers take for BT.601: red would be off by some twenty levels."""
    plain = next(video_images(write_numbered_video(tmp_path / "plain.mp4", 3)))
    assert np.abs(plain[100, 20].astype(int) - (200, 30, 60)).max() <= 4
    set_display_matrix(write_numbered_video(tmp_path / "phone.mp4", 3), (0, 1, -1, 0))
    assert np.array_equal(next(video_images(tmp_path / "phone.mp4")), np.rot90(plain, -1))


def test_clips_are_decoded_once(folder: Path, tmp_path: Path) -> None:
    first = gather_dataset(folder, tmp_path / "cache", CLIP_SIZE)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    assert gather_dataset(folder, tmp_path / "cache", CLIP_SIZE).training == first.training
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()} == before


def test_train_and_test_folders_are_respected_and_otherwise_every_20th_is_held_out(tmp_path: Path) -> None:
    for name in ("train/a", "train/b", "test/c"):
        write_frames_as_images(tmp_path / "split" / name, moving_pattern(2, 32, 32))
    album = gather_dataset(tmp_path / "split", tmp_path / "cache", 32)
    assert [clip.name for clip in album.training] == ["a", "b"] and [clip.name for clip in album.held_out] == ["c"]
    for index in range(20):
        write_frames_as_images(tmp_path / "flat" / f"{index:02d}", moving_pattern(2, 32, 32))
    album = gather_dataset(tmp_path / "flat", tmp_path / "cache", 32)
    assert len(album.training) == 19 and [clip.name for clip in album.held_out] == ["19"]


def test_a_folder_without_clips_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder at"):
        gather_dataset(tmp_path / "absent", tmp_path / "cache", CLIP_SIZE)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no clip to train on: put videos"):
        gather_dataset(tmp_path / "empty", tmp_path / "cache", CLIP_SIZE)
    (tmp_path / "empty" / "bad.mp4").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"1 skipped: bad\.mp4"):
        gather_dataset(tmp_path / "empty", tmp_path / "cache", CLIP_SIZE)


def test_long_clips_are_thinned_evenly() -> None:
    images = (np.full((8, 8, 3), i % 256, np.uint8) for i in range(1000))
    kept = [int(image[0, 0, 0]) + 256 * (n * 8 // 256) for n, image in enumerate(thin_frames(images, 8))]
    assert len(kept) <= MOST_FRAMES and kept == list(range(0, 1000, 8))


def album_of(folder: Path, tmp_path: Path, recipe: Recipe, **options: bool) -> Pairs:
    return Pairs(gather_dataset(folder, tmp_path / "cache", CLIP_SIZE).training, recipe, seed=5, **options)


def test_a_pair_is_known_by_its_number(folder: Path, tmp_path: Path) -> None:
    recipe = RECIPES["tiny-64"]
    pairs, again = album_of(folder, tmp_path, recipe), album_of(folder, tmp_path, recipe)
    for number in (0, 7, 123_456):
        one, other = pairs[number], again[number]
        assert np.array_equal(one.source, other.source) and np.array_equal(one.driving, other.driving)
        assert (
            one.source.shape == (CLIP_SIZE, CLIP_SIZE, 3)
            and one.source.dtype == np.float32
            and 0 <= one.source.min() <= one.source.max() <= 1
        )
    assert not np.array_equal(pairs[0].source, pairs[1].source)
    assert [list(Numbers(3, 2, 4, rank, 2)) for rank in range(2)] == [[[12, 13, 14], [18, 19, 20]], [[15, 16, 17], [21, 22, 23]]]


def warped_back(source: NDArray[np.float32], flow: torch.Tensor) -> torch.Tensor:
    """What the generator would see of the source, at the feature grid."""
    features = torch.nn.functional.avg_pool2d(torch.from_numpy(source.copy()).permute(2, 0, 1)[None], 4)
    return grid_sample(features, flow[None], align_corners=True)[0]


@pytest.mark.parametrize("flips", [False, True])
def test_truth_stays_true_through_augmentation(tmp_path: Path, flips: bool) -> None:
    """Whatever is flipped, in space or time: the source at the true flow is the driving picture."""
    (tmp_path / "data").mkdir()
    sliding_clip().save(tmp_path / "data" / "clip-000000.npz")
    recipe = replace(PLAIN, augmentation=Augmentation(horizontal_flip=flips, time_flip=flips))
    pairs = album_of(tmp_path / "data", tmp_path, recipe)
    directions = set()
    for number in range(12):
        pair = pairs[number]
        assert pair.truth is not None and float(pair.truth.known) == 1
        driving = torch.nn.functional.avg_pool2d(torch.from_numpy(pair.driving.copy()).permute(2, 0, 1)[None], 4)[0]
        seen = pair.truth.seen.bool().expand_as(driving)
        assert float((warped_back(pair.source, pair.truth.flow) - driving).abs()[seen].mean()) < 0.01
        moved = pair.truth.driving_landmarks - pair.truth.source_landmarks
        directions.add(bool(moved[:, 0].mean() > 0))
        cell = pair.truth.driving_landmarks[5]
        at = ((cell + 1) / 2 * 15).round().long().clamp(0, 15)
        step = pair.truth.flow[at[1], at[0]] - torch.stack([at[0], at[1]]) / 15 * 2 + 1
        assert torch.allclose(step, pair.truth.source_landmarks[5] - cell, atol=1e-2)  # flow and landmarks tell the same story
    assert directions == ({True, False} if flips else {False})


def test_frames_flip_with_the_picture(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    sliding_clip().save(tmp_path / "data" / "clip-000000.npz")
    recipe = replace(PLAIN, augmentation=Augmentation(horizontal_flip=True, time_flip=False))
    pairs = album_of(tmp_path / "data", tmp_path, recipe)
    found = {round(float(pair.truth.driving_jacobians[0, 0, 1]), 4) for pair in (pairs[n] for n in range(12)) if pair.truth is not None}
    assert len(found) == 2 and min(found) == -max(found)


def test_jitter_does_nothing_at_one_and_keeps_within_bounds() -> None:
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    assert np.allclose(jittered(image, (1.0, 1.0, 1.0, 0.0)), image / 255, atol=1e-5)
    wild = jittered(image, (1.4, 1.5, 0.2, 0.3))
    assert wild.shape == image.shape and wild.min() >= 0 and wild.max() <= 1
    assert np.ptp(jittered(image, (1.0, 1.0, 0.0, 0.0)), axis=2).max() < 1e-5  # no saturation: grey


def test_clips_of_one_person_count_as_one_where_the_recipe_says_so(tmp_path: Path) -> None:
    for name in ("anna#1", "anna#2", "anna#3", "bert#1"):
        write_frames_as_images(tmp_path / "data" / name, moving_pattern(2, 32, 32))
    by_clip = album_of(tmp_path / "data", tmp_path, PLAIN)
    by_person = album_of(tmp_path / "data", tmp_path, replace(PLAIN, id_sampling=True))
    assert [len(group) for group in by_clip.groups] == [1, 1, 1, 1]
    assert sorted(len(group) for group in by_person.groups) == [1, 3]


def test_zoom_keeps_the_size(tmp_path: Path) -> None:
    write_frames_as_images(tmp_path / "data" / "a", moving_pattern(3, 40, 40))
    recipe = replace(PLAIN, augmentation=Augmentation(zoom=(0.7, 1.4)))
    pairs = album_of(tmp_path / "data", tmp_path, recipe)
    assert {pairs[n].source.shape for n in range(8)} == {(CLIP_SIZE, CLIP_SIZE, 3)}


def test_batches_mix_clips_with_and_without_truth(folder: Path, tmp_path: Path) -> None:
    pairs = album_of(folder, tmp_path, PLAIN)
    batch = collate([pairs[n] for n in range(16)])
    assert batch.source.shape == (16, 3, CLIP_SIZE, CLIP_SIZE) and batch.truth is not None
    assert 0 < float(batch.truth.known.sum()) < 16 and batch.truth.flow.shape == (16, 16, 16, 2)
    one = pairs[0].truth
    assert one is not None and with_cells(one, 32).seen.shape == (1, 32, 32)


@pytest.mark.slow
def test_workers_change_nothing(folder: Path, tmp_path: Path) -> None:
    pairs = album_of(folder, tmp_path, RECIPES["tiny-64"])
    alone, helped = (list(loader(pairs, Numbers(2, 3, 6), workers, pinned=False)) for workers in (0, 2))
    assert len(alone) == len(helped) == 3
    for one, other in zip(alone, helped, strict=True):
        assert torch.equal(one.source, other.source) and torch.equal(one.driving, other.driving)
