"""Many people to a folder, by one or several processes; goes on where it stopped."""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from livepuppet.errors import RunError, UsageError
from livepuppet.files import write_atomically
from livepuppet.synthetic.acting import Kind
from livepuppet.synthetic.clips import (
    SHEET,
    make_folder,
    render_avatar,
    render_clip,
    render_performance,
    write_clip_recipe,
    write_performance,
)
from livepuppet.synthetic.head import Head
from livepuppet.types import Image

logger = logging.getLogger("livepuppet.synth")

Given = TypeVar("Given")
Made = TypeVar("Made")

SUFFIX = {"clips": ".npz", "avatars": ".jpg", "performances": ".mp4"}
PROGRESS_EVERY = 20
SHEET_ROWS, SHEET_COLUMNS = 8, 8
JPEG_QUALITY = 92


@dataclass(frozen=True)
class SynthesisRequest:
    """What to render: see `livepuppet synth --help`."""

    what: str
    out: Path
    seed: int
    frames: int
    size: int
    look: str | None
    acting: Kind | None
    device: str
    geometry: Path | None

    def path(self, index: int) -> Path:
        return self.out / f"{self.what.removesuffix('s')}-{index:06d}{SUFFIX[self.what]}"

    def recipe(self) -> dict[str, object]:
        """What makes two files of one series alike."""
        return {name: value for name, value in asdict(self).items() if name not in ("out", "device", "geometry")}


@cache
def shared_head(device: str, geometry: Path | None) -> Head:
    """One per process."""
    return Head.load(device, wheel=geometry)


def render_request(order: SynthesisRequest, index: int) -> int:
    """Render and write person `index`; returns the number of frames."""
    head = shared_head(order.device, None)
    path = order.path(index)
    match order.what:
        case "clips":
            clip = render_clip(head, order.seed, index, frames=order.frames, size=order.size, kind=order.acting, look=order.look)
            clip.save(path)
            return order.frames
        case "avatars":
            write_jpeg(render_avatar(head, order.seed, index, size=order.size, look=order.look), path)
            return 1
        case _:
            return write_performance(render_performance(head, order.seed, index, frames=order.frames), path)


def write_jpeg(image: Image, path: Path) -> None:
    import cv2

    content = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
    write_atomically(path, lambda file: file.write(content))


def start_worker() -> None:
    """One thread each: the processes share the cores; and no return of memory to the system between frames (page faults cost tenfold)."""
    torch.set_num_threads(1)


def write_all(order: SynthesisRequest, indices: Iterable[int], workers: int = 1) -> tuple[int, int]:
    """Render what is missing; returns (files made, frames made).

    Raises:
        UsageError: (no geometry, another recipe).
        RunError: (full disk).
    """
    make_folder(order.out)
    try:
        device = torch.device(order.device)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"no device '{order.device}' here: {str(error).splitlines()[0]}") from error
    Head.load(wheel=order.geometry)  # built, checked and cached once, before any worker asks for it
    write_clip_recipe(order.out, order.recipe())
    missing = [index for index in indices if not order.path(index).exists()]
    made = frames = 0
    for made, count in enumerate(run_workers(partial(render_request, order), missing, workers), 1):
        frames += count
        if made % PROGRESS_EVERY == 0 and made < len(missing):
            logger.info("%d of %d", made, len(missing))
    if order.what == "clips" and made:
        write_sheet(order)
    return made, frames


def run_workers(work: Callable[[Given], Made], things: Sequence[Given], workers: int) -> Iterator[Made]:
    """`work` of everything, in order: here, or in `workers` processes.

    Raises:
        RunError: when one of them dies.
    """
    if workers == 1 or len(things) < 2:
        yield from map(work, things)
        return
    # glibc gives big blocks back to the system at once and then faults them in again; these two keep them
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**30))
    os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**31))
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), start_worker) as pool:
        tasks = deque(pool.submit(work, thing) for thing in things)
        try:
            while tasks:
                yield tasks.popleft().result()
        except BrokenProcessPool as error:
            raise RunError("a rendering process died (out of memory?): take fewer workers", parameter="workers") from error
        finally:
            for task in tasks:
                task.cancel()


def write_sheet(order: SynthesisRequest) -> None:
    """sheet.jpg: the first clips, a row each, to look at."""
    from livepuppet.synthetic.clips import Clip

    paths = sorted(order.out.glob(f"clip-*{SUFFIX['clips']}"))[:SHEET_ROWS]
    rows = [np.hstack(list(Clip.load(path).images[:SHEET_COLUMNS])) for path in paths]
    write_jpeg(np.vstack(rows), order.out / SHEET)
