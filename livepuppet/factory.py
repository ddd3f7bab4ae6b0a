"""From what a person writes ("demo", "0", "me.mp4", "window") to the part that is meant. The command line and scripts open parts here."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from livepuppet.errors import SinkError, SourceError, UsageError
from livepuppet.files import check_folder, refuse_existing
from livepuppet.provenance.label import Corner
from livepuppet.provenance.marked_sink import MarkedScreen, MarkedSink
from livepuppet.provenance.marks import Mark
from livepuppet.provenance.signing import load_identity
from livepuppet.registry import PARTS, find_part
from livepuppet.types import FileSink, OpenEngine, OpenSource, Screen, Sink, Size
from livepuppet.video.formats import INPUT_SUFFIXES, RECORDING_SUFFIXES

CALL_SIZE: Size = (1280, 720)
"""What every meeting program and every virtual camera driver is happy with."""

TRACKERS = ("vmc", "ifacialmocap", "livelink")
"""Schemes of addresses from which a phone or another program sends what a face does."""

MICROPHONE_PREFIX = "microphone:"
"""Before the name of the microphone that is meant, or a recording's path."""

CAMERA_PREFIX = "virtual:"
"""Before the name of the virtual camera that is meant."""

log = logging.getLogger("livepuppet")


def open_engine(name: str = "landmark", device: str = "auto", model: str | None = None) -> OpenEngine:
    """Open what moves portraits. Use it as a context manager, or close it, or let the puppet close it.

    Args:
        name: 'landmark', 'fomm', or another part's.
        device: where a neural engine computes: auto, cpu, cuda, …
        model: for an engine that runs one: a name of `livepuppet models list`, or a model's folder.

    Raises:
        MissingPartError: no engine of that name, or its extra is not installed.
        UsageError: the engine takes no model.
        ModelError: the model is damaged, or not what it says.
    """
    make = find_part("engine", name)
    if model is None:
        return make(device=device)
    if "model" not in inspect.signature(make).parameters:
        raise UsageError(f"the engine '{name}' runs no model: name none, or take the engine 'fomm'", parameter="model")
    return make(device=device, model=model)


def open_source(which: str | int | Path = "auto", *, paced: bool = True, size: Size | None = None, fps: float | None = None) -> OpenSource:
    """Open what drives. Use it as a context manager, or close it.

    Args:
        which: 'auto' or 'camera' (the first webcam that delivers; 'auto' takes the demo where there is none), 'demo', a camera's number
            or name, a video's path, an address, a phone or another program ('vmc://:39539', 'ifacialmocap://PHONE', 'livelink://:11111'),
            a voice ('microphone:auto', 'microphone:NAME', 'microphone:voice.wav'), or 'none': the portrait lives on by itself.
        paced: recordings keep their own time; else they come as fast as they are taken.
        size, fps: asked of a camera, which may deliver otherwise.

    Raises:
        UsageError: there is nothing of that name.
        SourceError: it is there, and does not work.
    """
    text = str(which)
    if text == "demo":
        return find_part("source", "demo")(paced=paced)
    asked = {"size": size or CALL_SIZE, "fps": fps or 30.0}
    if text in ("auto", "camera"):
        try:
            return find_part("source", "camera")(**asked)
        except (SourceError, UsageError) as error:
            if text == "camera":
                raise
            reason = str(error) if isinstance(error, SourceError) else "no camera found"
        log.info("%s: playing the built-in demo performance", reason, extra={"parameter": "camera"})
        return find_part("source", "demo")(paced=paced)
    scheme = text.partition("://")[0].lower() if "://" in text else ""
    if scheme in TRACKERS:
        return find_part("source", scheme)(text)
    if text == "none" or text.startswith(MICROPHONE_PREFIX):
        spoken = "none" if text == "none" else text.removeprefix(MICROPHONE_PREFIX)
        return find_part("source", "microphone")(spoken, fps=fps or 30.0, paced=paced)
    path = Path(text)
    number = text.isascii() and text.isdigit()
    if not number and ("://" in text or path.is_file()):
        return find_part("source", "video")(text, paced=paced)
    if path.suffix.lower() in INPUT_SUFFIXES or (os.sep in text and not text.startswith("/dev/")):
        raise UsageError(f"no such video: {text}", parameter="camera")
    return find_part("source", "camera")(int(text) if number else text, **asked)


def open_sink(
    text: str | Path,
    *,
    overwrite: bool = False,
    watermark: bool = True,
    label: str | None = None,
    label_position: Corner = "bottom-right",
    sign_with: tuple[Path, Path] | None = None,
) -> MarkedSink:
    """Open where frames go. Use it as a context manager, or close it; the first frame opens what it needs.

    Args:
        text: 'window', 'virtual' or 'virtual:NAME' (a camera for calls), 'none', or a video's path.
        overwrite: whether a video may take the place of a file that is there; it does when it is closed.
        watermark: whether every frame carries the invisible mark.
        label: a visible text, None for none.
        label_position: the label's corner.
        sign_with: certificate and key (PEM) for a video's credentials; None takes this user's own key.

    Raises:
        UsageError: no such output, or a label or certificate that cannot be used.
        OutputExistsError: the video is there already, and may not be overwritten.
        MissingPartError: what it needs is not installed.
    """
    sink = make_sink(str(text), overwrite=overwrite)
    mark = Mark(watermark=watermark, label=label, corner=label_position, video=not sink.live)
    identity = load_identity(*sign_with) if sign_with else None
    return (MarkedScreen if isinstance(sink, Screen) else MarkedSink)(sink, mark, identity=identity)


def make_sink(text: str, *, overwrite: bool = False) -> Sink:
    """The bare sink that `text` means, for whoever marks and signs by other means.

    Raises:
        UsageError: no such output.
        SinkError: a file that could not be written.
        OutputExistsError: a file is there already, and `overwrite` was not given.
    """
    if text.startswith(CAMERA_PREFIX):
        return find_part("sink", "virtual")(text.removeprefix(CAMERA_PREFIX))
    if text.lower().startswith("vmc://"):
        return find_part("sink", "vmc")(text)
    if text in PARTS["sink"] and text not in ("file", "vmc"):
        return find_part("sink", text)()
    path = Path(text)
    if path.suffix.lower() not in RECORDING_SUFFIXES:
        known = ", ".join(sorted(RECORDING_SUFFIXES))
        raise UsageError(
            f"cannot write to '{text}': an output is window, virtual, none, or a file name ending in {known}", parameter="output"
        )
    check_folder(path, "output", SinkError)
    refuse_existing([("output", path)], overwrite=overwrite)
    return find_part("sink", "file")(path, overwrite=overwrite)


def sign_files(sinks: Iterable[Sink], seal: Callable[[Path], object]) -> None:
    """Have the files of those sinks that write any sealed when they are whole."""
    for sink in sinks:
        if isinstance(sink, FileSink):
            sink.seal = seal


def screen_available() -> bool:
    """Whether a window can be opened. OpenCV aborts the whole process when it is asked to without a display."""
    from livepuppet.sinks.window import display_available

    return display_available()


def parse_size(text: str) -> Size:
    """'1280x720' -> (1280, 720).

    Raises:
        UsageError: not two numbers, or not between 64 and 4096.
    """
    numbers = text.lower().split("x")
    if len(numbers) != 2 or not all(n.isascii() and n.isdigit() for n in numbers):
        raise UsageError(f"a size is WIDTHxHEIGHT, like 1280x720, not '{text}'", parameter="size")
    width, height = int(numbers[0]), int(numbers[1])
    if not (64 <= width <= 4096 and 64 <= height <= 4096):
        raise UsageError(f"a size is between 64x64 and 4096x4096, not {text}", parameter="size")
    return width - width % 2, height - height % 2


def output_size(asked: Size | None, outputs: Sequence[str]) -> Size | None:
    """The output's size: as asked, else what calls expect where a virtual camera is among the outputs, else the portrait's own."""
    return asked or (CALL_SIZE if any(f"{output}:".startswith(CAMERA_PREFIX) for output in outputs) else None)
