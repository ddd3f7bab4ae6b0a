"""The clips that benchmarks/evidence.py measures: camera recordings, and puppets of the same people, at every bit rate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from livepuppet.live.assembly import open_puppet
from livepuppet.rendering.render import render
from livepuppet.types import Frame, Image
from livepuppet.video.reader import VideoReader
from livepuppet.video.writer import VideoFormat, VideoWriter

RATES_KBIT = (4000, 1000, 300)
METHODS = ("camera", "landmark", "fomm", "render")
SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".gif"}
LIMIT_PX = 960
LEAST_DRIVING_S = 4.0
CLOCK = 90_000


def read_clip(path: Path, seconds: float) -> tuple[list[Image], list[float]]:
    """The recording's first seconds: frames with even sides, and their times."""
    video = VideoReader(path, limit=LIMIT_PX)
    images, times = [], []
    try:
        for frame in video:
            time_s = video.seconds(frame.pts)
            if time_s >= seconds:
                break
            height, width = (n - n % 2 for n in frame.image.shape[:2])
            images.append(np.ascontiguousarray(frame.image[:height, :width]))
            times.append(time_s)
    finally:
        video.close()
    return images, times


def write_clip(path: Path, images: list[Image], times: list[float], options: dict[str, str]) -> None:
    height, width = images[0].shape[:2]
    format = VideoFormat("libx264", "yuv420p", options=options, constant_quality=False)
    unfinished = path.with_stem(f".{path.stem}")
    writer = VideoWriter(unfinished, (width, height), format=format, fps=len(times) / max(times[-1], 0.04))
    for image, time_s in zip(images, times, strict=True):
        writer.write(image, round(time_s * CLOCK))
    writer.close()
    unfinished.replace(path)


def length_of(path: Path) -> float:
    """Seconds, as the file claims."""
    video = VideoReader(path)
    try:
        return video.duration or 0.0
    finally:
        video.close()


def make_puppet(still: Image, driver: tuple[list[Image], list[float]], engine: str, model: str | None) -> list[Image]:
    """What a live session shows for each driving frame."""
    with open_puppet(still, engine, model=model) as puppet:
        return [puppet.animate(Frame(image, i, time_s, time_s)).image for i, (image, time_s) in enumerate(zip(*driver, strict=True))]


def choose_drivers(recordings: list[Path]) -> dict[Path, Path]:
    """Who drives each person's live puppets: the next recording that is long enough."""
    long_enough = [path for path in recordings if length_of(path) >= LEAST_DRIVING_S]
    drivers = {}
    for path in recordings:
        others = [other for other in long_enough if other != path]
        drivers[path] = next((other for other in others if other > path), others[0])
    return drivers


def make_clips(recordings: list[Path], folder: Path, seconds: float, model: str | None, only: Sequence[str] = ()) -> None:
    """Every recording and its puppets at every rate, as folder/PERSON.METHOD.RATE.mp4; what is there already stays.

    Args:
        only: names of recordings, so that several processes can share the work.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drivers = choose_drivers(recordings)
    for path in recordings:
        if only and path.stem not in only:
            continue
        for method in METHODS:
            wanted = {rate: folder / f"{path.stem}.{method}.{rate}.mp4" for rate in RATES_KBIT}
            if all(target.is_file() for target in wanted.values()):
                continue
            print(f"{path.stem}: {method}", flush=True)
            images, times = read_clip(path, seconds)
            if method == "render":
                still, whole = folder / f"{path.stem}.png", folder / f"{path.stem}.render.mp4"
                Picture.fromarray(images[0]).save(still)
                render(still, path, whole, end=seconds, crf=6, watermark=False)
                images, times = read_clip(whole, seconds)
            elif method != "camera":
                driving = read_clip(drivers[path], seconds)
                images, times = make_puppet(images[0], driving, method, model if method == "fomm" else None), driving[1]
            for rate, target in wanted.items():
                limits = {"b": f"{rate}k", "maxrate": f"{rate}k", "bufsize": f"{2 * rate}k", "preset": "veryfast", "g": "60", "bf": "0"}
                write_clip(target, images, times, limits)
