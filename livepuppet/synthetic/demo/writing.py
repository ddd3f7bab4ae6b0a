"""The shipped pictures to a folder, by one or several processes; goes on where it stopped."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol, TypeVar

from livepuppet.errors import UsageError
from livepuppet.interfaces import Image
from livepuppet.synthetic.acting import Acting
from livepuppet.synthetic.clips import write_performance
from livepuppet.synthetic.demo.assets import PERFORMANCE_NAME, Stage, actings, distinct, render_portrait
from livepuppet.synthetic.head import Head
from livepuppet.synthetic.writing import start_worker, write_jpeg

Given = TypeVar("Given")
Made = TypeVar("Made")


class Over(Protocol):
    """Applies a function to everything in a list, in order."""

    def __call__(self, work: Callable[[Given], Made], things: list[Given], /) -> Iterator[Made]: ...


@dataclass(frozen=True)
class Sitting:
    """One portrait to make: a name of `assets.NAMES`, where to, how large."""

    name: str
    path: Path
    size: int


@cache
def head_of_process() -> Head:
    return Head.load()


@cache
def stage_of_process() -> Stage:
    return Stage(head_of_process())


def make_portrait(sitting: Sitting) -> Path:
    write_jpeg(render_portrait(head_of_process(), sitting.name, sitting.size), sitting.path)
    return sitting.path


def make_frame(acting: Acting) -> Image:
    return stage_of_process().frame(acting)


def write_demo(out: Path, names: tuple[str, ...], size: int = 1024, workers: int = 1, geometry: Path | None = None) -> tuple[int, int]:
    """Render what is missing of `names` into OUT/avatars/NAME.jpg and OUT/performance.mp4; returns (files made, frames made).

    size: side of the portraits. Raises UsageError (no geometry, the folder cannot be written), RunError (full disk).
    """
    portraits = out / "avatars"
    try:
        portraits.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write to {out}: {error.strerror}") from error
    Head.load(wheel=geometry)  # built, checked and cached once, before any worker asks for it
    sittings = [Sitting(name, portraits / f"{name}.jpg", size) for name in names if name != PERFORMANCE_NAME]
    missing = [sitting for sitting in sittings if not sitting.path.exists()]
    film = out / f"{PERFORMANCE_NAME}.mp4"
    made = frames = 0
    with hands(workers) as over:
        for _ in over(make_portrait, missing):
            made, frames = made + 1, frames + 1
        if PERFORMANCE_NAME in names and not film.exists():
            frames += write_performance(performed(over), film, crf=20, preset="slow")
            made += 1
    return made, frames


def performed(over: Over) -> Iterator[Image]:
    """All frames, equal ones in a row rendered once."""
    moments = list(distinct(actings()))
    images = over(make_frame, [acting for acting, _ in moments])
    for image, (_, length) in zip(images, moments, strict=True):
        for _ in range(length):
            yield image


@contextmanager
def hands(workers: int) -> Iterator[Over]:
    """This process, or `workers` of them."""
    if workers == 1:
        yield map
        return
    with multiprocessing.get_context("spawn").Pool(workers, start_worker) as pool:
        yield pool.imap
