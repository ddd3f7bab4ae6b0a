"""Clips of any kind -> frames ready to be drawn from: every clip is read once, cut square, resized, and kept as JPEG bytes in one file.

A folder may hold videos, folders of pictures (one folder, one clip), and clips of synthetic people, in any mixture; with subfolders `train`
and `test`, as the original project's data sets have, the first is trained on and the second held out.
"""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.errors import RunError, UsageError
from livepuppet.files import write_atomically
from livepuppet.synthetic.clips import Clip
from livepuppet.types import Image
from livepuppet.video.formats import CLIP_SUFFIXES

PICTURES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"))
MOST_FRAMES = 128
"""Kept per clip, evenly spaced; a longer clip is thinned."""
JPEG_QUALITY = 96
HELD_OUT_EVERY = 20
"""Without a `test` folder every 20th clip is held out, if there are as many."""

logger = logging.getLogger("livepuppet.train")


@dataclass(frozen=True)
class TrainingClip:
    """One clip that can be drawn from.

    Attributes:
        path: frames of a recorded clip (see `FrameStore`), or a synthetic clip's own file.
        identity: what clips of one person share (`id_sampling`): the part of the name before '#', as the original has it.
    """

    name: str
    identity: str
    path: Path
    synthetic: bool


@dataclass(frozen=True)
class Dataset:
    """What a data folder came to.

    Attributes:
        skipped: files that cannot be trained on, and why.
    """

    training: tuple[TrainingClip, ...]
    held_out: tuple[TrainingClip, ...]
    skipped: tuple[tuple[Path, str], ...] = field(default=())


@dataclass(frozen=True, eq=False)
class FrameStore:
    """A recorded clip: frame i is the JPEG in content[ends[i-1] : ends[i]]."""

    content: NDArray[np.uint8]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends)

    def image(self, index: int) -> Image:
        start = int(self.ends[index - 1]) if index else 0
        picture = cv2.imdecode(self.content[start : int(self.ends[index])], cv2.IMREAD_COLOR)
        return np.ascontiguousarray(np.asarray(picture, np.uint8)[..., ::-1])

    @classmethod
    def of(cls, images: list[Image]) -> FrameStore:
        parts = [cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].reshape(-1) for image in images]
        return cls(np.concatenate(parts), np.cumsum([len(part) for part in parts]))

    @classmethod
    def load(cls, path: Path) -> FrameStore:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return cls(archive["content"], archive["ends"])

    def save(self, path: Path) -> None:
        buffer = io.BytesIO()
        np.savez(buffer, content=self.content, ends=self.ends)
        write_atomically(path, lambda file: file.write(buffer.getvalue()))


def square_crop(image: Image, size: int) -> Image:
    """The middle square, resized."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    cut = image[top : top + side, left : left + side]
    return np.ascontiguousarray(cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_CUBIC)).astype(
        np.uint8
    )


def video_images(path: Path) -> Iterator[Image]:
    """Every frame, upright and in its own colours.

    Raises:
        ValueError: for a file that is not a readable video.
    """
    from livepuppet.video.reader import VideoReader  # here, since people who do not exist train without a video library

    try:
        video = VideoReader(path)
    except UsageError as error:
        raise ValueError(str(error)) from error
    try:
        yield from (frame.image for frame in video)
    finally:
        video.close()


def folder_images(folder: Path) -> Iterator[Image]:
    """Its pictures by name.

    Raises:
        ValueError: when one is damaged.
    """
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES):
        picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR) if path.stat().st_size else None
        if picture is None:
            raise ValueError(f"{path.name} is no readable picture")
        yield np.ascontiguousarray(np.asarray(picture, np.uint8)[..., ::-1])


def thin_frames(images: Iterator[Image], size: int) -> list[Image]:
    """At most MOST_FRAMES squared frames, evenly spaced: when too many have come, every second is let go."""
    kept: list[Image] = []
    stride = 1
    for index, image in enumerate(images):
        if index % stride:
            continue
        kept.append(square_crop(image, size))
        if len(kept) > MOST_FRAMES:
            kept = kept[::2]
            stride *= 2
    return kept


def find_clips(folder: Path) -> list[Path]:
    """Videos, folders of pictures and synthetic clips below a folder, by name."""
    found: set[Path] = set()
    for path in folder.rglob("*"):
        if any(part.startswith(".") for part in path.relative_to(folder).parts) or not path.is_file():
            continue
        suffix = path.suffix.lower()
        if suffix in CLIP_SUFFIXES or (suffix == ".npz" and path.name.startswith("clip-")):
            found.add(path)
        elif suffix in PICTURES and path.parent != folder:
            found.add(path.parent)
    return sorted(found)


def prepare_clips(path: Path, cache: Path, size: int) -> TrainingClip:
    """Read one clip and keep its frames in the cache, unless they are there.

    Raises:
        ValueError: why it cannot be used.
    """
    name, identity = path.stem, path.stem.partition("#")[0]
    if path.suffix == ".npz":
        if len(Clip.load(path).images) < 2:
            raise ValueError("one frame shows no motion")
        return TrainingClip(name, identity, path, synthetic=True)
    stamp = path.stat()
    key = hashlib.sha256(f"{path.resolve()}|{stamp.st_mtime_ns}|{stamp.st_size}|{size}|{MOST_FRAMES}".encode()).hexdigest()[:24]
    kept = cache / f"{key}.npz"
    if not kept.is_file():
        images = thin_frames(folder_images(path) if path.is_dir() else video_images(path), size)
        if len(images) < 2:
            raise ValueError("no frame in it" if not images else "one frame shows no motion")
        FrameStore.of(images).save(kept)
    return TrainingClip(name, identity, kept, synthetic=False)


def gather_dataset(folder: Path, cache: Path, size: int) -> Dataset:
    """All clips of a folder.

    Raises:
        UsageError: when there is nothing to train on.
        RunError: when the cache's disk is full.
    """
    if not folder.is_dir():
        raise UsageError(f"no folder at {folder}")
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot write to {cache}: {error.strerror}") from error
    skipped: list[tuple[Path, str]] = []

    def read(paths: list[Path]) -> list[TrainingClip]:
        out = []
        for number, path in enumerate(paths, 1):
            try:
                out.append(prepare_clips(path, cache, size))
            except ValueError as error:
                skipped.append((path, str(error)))
                logger.warning("skipped %s: %s", path, error)
            if number % 100 == 0:
                logger.info("read %d of %d clips", number, len(paths))
        return out

    if (folder / "train").is_dir():
        training = read(find_clips(folder / "train"))
        held_out = read(find_clips(folder / "test")) if (folder / "test").is_dir() else []
    else:
        everything = read(find_clips(folder))
        held_out = everything[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]
        training = [clip for clip in everything if clip not in held_out]
    if not training:
        bad = f" ({len(skipped)} skipped: {skipped[0][0].name}: {skipped[0][1]})" if skipped else ""
        raise UsageError(f"{folder} holds no clip to train on{bad}: put videos in it, or folders of pictures, one folder per clip")
    return Dataset(tuple(training), tuple(held_out), tuple(skipped))
