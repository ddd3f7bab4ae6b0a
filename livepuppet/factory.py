"""From what a person writes ("demo", "0", "me.mp4", "window") to the part that is meant. The command line and scripts open parts here."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from livepuppet.devices.choice import remember_camera
from livepuppet.errors import SourceError, UsageError
from livepuppet.live.puppet import Puppet
from livepuppet.registry import PARTS, find_part
from livepuppet.types import Engine, Sink, Size, Source, Tuning

VIDEO_INPUT_SUFFIXES = frozenset(
    {".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".gif", ".ts", ".wmv", ".3gp", ".y4m", ".ogv"}
)
VIDEO_OUTPUT_SUFFIXES = frozenset({".mp4", ".mov", ".mkv"})
CALL_SIZE: Size = (1280, 720)
"""What every meeting program and every virtual camera driver is happy with."""

CAMERA_PREFIX = "virtual:"
"""Before the name of the virtual camera that is meant."""

log = logging.getLogger("livepuppet")


def open_engine(name: str = "landmark", device: str = "auto", model: str | None = None) -> Engine:
    """The engine of that name. device: auto, cpu, cuda, ...; model: for engines that run one. Raises MissingPartError, ModelError."""
    make = find_part("engine", name)
    if model is None:
        return cast(Engine, make(device=device))
    try:
        return cast(Engine, make(device=device, model=model))
    except TypeError as error:
        raise UsageError(f"the engine '{name}' takes no model: leave --model out, or choose --engine fomm") from error


def open_source(text: str = "auto", *, paced: bool = True, size: Size | None = None, fps: float | None = None) -> Source:
    """The source that `text` means: auto, demo, a camera's index or name, a video file or a URL.

    paced: recordings keep their own time; else they come as fast as they are taken. size, fps: asked of a camera.
    Raises UsageError for what is not there, SourceError for what is there and does not work.
    """
    if text == "demo":
        return cast(Source, find_part("source", "demo")(paced=paced))
    asked = {"size": size or CALL_SIZE, "fps": fps or 30.0}
    if text == "auto":
        try:
            camera = find_part("source", "camera").first(**asked)
        except SourceError as error:
            log.info("%s", error)
            camera = None
        if camera is not None:
            return cast(Source, camera)
        log.info("no camera found: playing the built-in demo performance", extra={"parameter": "camera"})
        return cast(Source, find_part("source", "demo")(paced=paced))
    path = Path(text)
    number = text.isascii() and text.isdigit()
    if not number and ("://" in text or path.is_file()):
        return cast(Source, find_part("source", "video")(text, paced=paced))
    if path.suffix.lower() in VIDEO_INPUT_SUFFIXES or (os.sep in text and not text.startswith("/dev/")):
        raise UsageError(f"no such video: {text}")
    chosen = cast(Source, find_part("source", "camera")(int(text) if number else text, **asked))
    remember_camera(chosen.name)
    return chosen


def open_sink(text: str) -> Sink:
    """The sink that `text` means: window, virtual, virtual:NAME, none, or a film's file name. The session opens it. Raises UsageError."""
    if text.startswith(CAMERA_PREFIX):
        return cast(Sink, find_part("sink", "virtual")(text.removeprefix(CAMERA_PREFIX)))
    if text in PARTS["sink"] and text != "file":
        return cast(Sink, find_part("sink", text)())
    path = Path(text)
    if path.suffix.lower() not in VIDEO_OUTPUT_SUFFIXES:
        known = ", ".join(sorted(VIDEO_OUTPUT_SUFFIXES))
        raise UsageError(f"cannot write to '{text}': an output is window, virtual, none, or a file name ending in {known}")
    return cast(Sink, find_part("sink", "file")(path))


def free_name(path: Path) -> Path:
    """The path itself if nothing is there, else name-2, name-3, ...: no finished recording is overwritten unasked."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_stem(f"{path.stem}-{number}")
    return free


def screen_available() -> bool:
    """Whether a window can be opened. OpenCV aborts the whole process when it is asked to without a display."""
    return bool(find_part("sink", "window").available())


def open_puppet(
    portrait: str | Path, engine: str | Engine = "landmark", *, size: Size | None = None, tuning: Tuning | None = None, hold_s: float = 0.0
) -> Puppet:
    """A puppet ready to be animated frame by frame. portrait: a picture file; size: of the output, None keeps the portrait's shape.

    hold_s: 0 takes the first frame that looks ahead as the reference. Raises PortraitError and what `open_engine` raises.
    """
    from livepuppet.vision.portrait import load_portrait

    made = open_engine(engine) if isinstance(engine, str) else engine
    return Puppet(made, made.prepare(load_portrait(portrait), size), tuning, hold_s=hold_s)


def parse_size(text: str) -> Size:
    """'1280x720' -> (1280, 720). Raises UsageError: not two numbers, or not between 64 and 4096."""
    numbers = text.lower().split("x")
    if len(numbers) != 2 or not all(n.isascii() and n.isdigit() for n in numbers):
        raise UsageError(f"a size is WIDTHxHEIGHT, like 1280x720, not '{text}'")
    width, height = int(numbers[0]), int(numbers[1])
    if not (64 <= width <= 4096 and 64 <= height <= 4096):
        raise UsageError(f"a size is between 64x64 and 4096x4096, not {text}")
    return width - width % 2, height - height % 2


def output_size(asked: Size | None, outputs: Sequence[str]) -> Size | None:
    """The picture's size: as asked, else what calls expect where a virtual camera is among the outputs, else the portrait's own."""
    return asked or (CALL_SIZE if any(f"{output}:".startswith(CAMERA_PREFIX) for output in outputs) else None)
