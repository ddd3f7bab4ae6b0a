"""The shipped pictures to a folder, by one or several processes; goes on where it stopped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from livepuppet.synthetic.acting import Acting
from livepuppet.synthetic.clips import make_folder, write_performance
from livepuppet.synthetic.head import Head
from livepuppet.synthetic.writing import run_workers, shared_head, write_jpeg
from livepuppet.types import Image
from tools.demo_assets.assets import PERFORMANCE_NAME, Stage, actings, distinct, render_portrait


@dataclass(frozen=True)
class Sitting:
    """One portrait to make: a name of `assets.NAMES`, where to, how large."""

    name: str
    path: Path
    size: int


@cache
def shared_stage() -> Stage:
    """One per process."""
    return Stage(shared_head("cpu", None))


def make_portrait(sitting: Sitting) -> Path:
    write_jpeg(render_portrait(shared_head("cpu", None), sitting.name, sitting.size), sitting.path)
    return sitting.path


def make_frame(acting: Acting) -> Image:
    return shared_stage().frame(acting)


def write_demo(out: Path, names: tuple[str, ...], size: int = 1024, workers: int = 1, geometry: Path | None = None) -> tuple[int, int]:
    """Render what is missing of `names` into OUT/avatars/NAME.jpg and OUT/performance.mp4; returns (files made, frames made).

    size: side of the portraits. Raises UsageError (no geometry, the folder cannot be written), RunError (full disk).
    """
    portraits = out / "avatars"
    make_folder(portraits)
    Head.load(wheel=geometry)  # built, checked and cached once, before any worker asks for it
    sittings = [Sitting(name, portraits / f"{name}.jpg", size) for name in names if name != PERFORMANCE_NAME]
    missing = [sitting for sitting in sittings if not sitting.path.exists()]
    film = out / f"{PERFORMANCE_NAME}.mp4"
    made = frames = sum(1 for _ in run_workers(make_portrait, missing, workers))
    if PERFORMANCE_NAME in names and not film.exists():
        frames += write_performance(performed(workers), film, crf=20, preset="slow")
        made += 1
    return made, frames


def performed(workers: int) -> Iterator[Image]:
    """All frames, equal ones in a row rendered once."""
    moments = list(distinct(actings()))
    images = run_workers(make_frame, [acting for acting, _ in moments], workers)
    for image, (_, length) in zip(images, moments, strict=True):
        for _ in range(length):
            yield image
