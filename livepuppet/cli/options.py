"""Options that several commands share, and what makes parts of them."""

from __future__ import annotations

import argparse
import logging
import math
import sys
from collections.abc import Iterable
from pathlib import Path

from livepuppet.errors import OutputExistsError, UsageError
from livepuppet.factory import MICROPHONE_PREFIX, output_size, parse_size, screen_available
from livepuppet.files import existing_files, free_name, list_files, refuse_existing
from livepuppet.live.assembly import PuppetSettings
from livepuppet.live.controls import number_setting
from livepuppet.provenance.label import CORNERS, DEFAULT_TEXT
from livepuppet.provenance.marks import Mark
from livepuppet.provenance.signing import SigningIdentity, load_identity
from livepuppet.registry import PARTS
from livepuppet.types import Tuning

DEFAULT_VIDEO = "livepuppet.mp4"
"""Where the frames go when there is no screen and nobody said where."""

log = logging.getLogger("livepuppet")


def add_engine_arguments(group: argparse._ArgumentGroup) -> None:
    """Which engine moves the picture, where it computes, and how it is tuned."""
    group.add_argument("--engine", choices=sorted(PARTS["engine"]), default="landmark", help="what moves the picture (default: landmark)")
    group.add_argument("--model", metavar="NAME", help="the model of a neural engine: a name of `livepuppet models list`, or a directory")
    group.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda, ...: where a neural engine computes (default: auto)")
    group.add_argument("--mirror", action=argparse.BooleanOptionalAction, default=None, help="move as in a mirror (default: with a webcam)")
    group.add_argument("--gain", type=parse_gain, default=1.0, metavar="G", help="how strongly it moves, 0 to 2 (default: 1)")
    group.add_argument(
        "--smoothing", type=parse_smoothing, default=1.0, metavar="S", help="0 quick and jittery to 4 slow and calm (default: 1)"
    )
    group.add_argument("--mouth", choices=("driver", "avatar", "none"), default="driver", help="whose teeth show (default: driver)")


def add_marking_arguments(group: argparse._ArgumentGroup) -> None:
    """How the pictures say that they are synthetic."""
    group.add_argument("--no-watermark", action="store_true", help="leave out the invisible mark (recordings then say so)")
    group.add_argument("--label", nargs="?", const=DEFAULT_TEXT, metavar="TEXT", help=f"a visible label (default text: '{DEFAULT_TEXT}')")
    group.add_argument("--label-position", choices=CORNERS, default="bottom-right", help="its corner (default: bottom-right)")
    group.add_argument("--sign-with", nargs=2, type=Path, metavar=("CERT", "KEY"), help="sign recordings with your own certificate (PEM)")


def add_puppet_arguments(group: argparse._ArgumentGroup) -> None:
    """The options that choose avatar, driver and engine; `bench` has the same."""
    group.add_argument(
        "--avatar", nargs="+", action="extend", metavar="PATH", help="pictures, or folders of them (default: the shipped avatars)"
    )
    group.add_argument("--avatar-face", type=positive_int, metavar="N", help="which of several faces of a picture moves: 1 is the largest")
    group.add_argument(
        "--camera",
        default="auto",
        metavar="WHICH",
        help="auto, an index, a camera's name, a video file, a URL, demo, vmc://:39539, ifacialmocap://PHONE, livelink://:11111, or none",
    )
    group.add_argument(
        "--microphone", metavar="WHICH", help="with --camera none: whose voice moves the mouth: auto, a microphone's name, or FILE.wav"
    )
    add_engine_arguments(group)


def driver_from(options: argparse.Namespace) -> str:
    """The camera that is asked for, or the voice in its place.

    Raises:
        UsageError: both are.
    """
    if options.microphone is None:
        return str(options.camera)
    if options.camera not in ("auto", "none"):
        raise UsageError("a voice moves the portrait where no camera does: give --microphone with --camera none")
    return f"{MICROPHONE_PREFIX}{options.microphone}"


def add_output_arguments(group: argparse._ArgumentGroup, default: str = "window") -> None:
    group.add_argument(
        "--output",
        action="append",
        metavar="WHERE",
        help=f"window, virtual (a camera for calls), FILE.mp4, or none; may be repeated (default: {default})",
    )
    group.add_argument("--size", metavar="WxH", help="size of the picture (default: the portrait's own; 1280x720 with --output virtual)")
    group.add_argument("--fps", type=positive_float, metavar="N", help="most frames per second")


def add_overwrite_argument(group: argparse._ActionsContainer) -> None:
    group.add_argument("--overwrite", action="store_true", help="files that are there may be overwritten (default: ask, or refuse)")


def confirm_overwriting(written: Iterable[tuple[str, Path | None]], overwrite: bool) -> bool:
    """Whether files that are there may be overwritten: as asked for, or, in a terminal, as the person answers.

    Raises:
        OutputExistsError: they may not.
        UsageError: a folder is in the place of a file.
    """
    written = list(written)
    try:
        refuse_existing(written, overwrite=overwrite)
    except OutputExistsError:
        if not ask(f"{list_files([there for _, path in written if path for there in existing_files(path)])}. Overwrite?"):
            raise
        return True
    return overwrite


def ask(question: str) -> bool:
    """A question to whoever sits at the terminal; no where nobody does, or they say anything but yes."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    print(f"livepuppet: {question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def choose_outputs(asked: list[str] | None) -> list[str]:
    """The outputs as asked, or a window, or a video where there is no screen.

    Raises:
        UsageError: a window asked for, and no screen.
    """
    if asked:
        outputs = list(dict.fromkeys(asked))
        if "window" in outputs and not screen_available():
            raise UsageError("there is no screen for --output window: choose a file (--output video.mp4), virtual or none")
        return outputs
    if screen_available():
        return ["window"]
    video = str(free_name(Path(DEFAULT_VIDEO)))
    log.info("no screen found: writing %s (choose with --output)", video)
    return [video]


def settings_from(options: argparse.Namespace, outputs: list[str]) -> PuppetSettings:
    """Engine, avatars and picture as asked for.

    Raises:
        UsageError: for a size that is none.
    """
    return PuppetSettings(
        engine=options.engine,
        device=options.device,
        model=options.model,
        avatars=tuple(Path(path) for path in options.avatar or ()),
        avatar_face=options.avatar_face,
        size=output_size(parse_size(options.size) if options.size else None, outputs),
        fps=options.fps,
        mirror=options.mirror,
        tuning=tuning_from(options),
    )


def tuning_from(options: argparse.Namespace) -> Tuning:
    return Tuning(gain=options.gain, smoothing=options.smoothing, mouth=options.mouth)


def mark_from(options: argparse.Namespace, *, video: bool) -> Mark:
    """video: the frames go into files only. Raises UsageError for a label that cannot be drawn."""
    return Mark(watermark=not options.no_watermark, label=options.label, corner=options.label_position, video=video)


def identity_for(options: argparse.Namespace) -> SigningIdentity | None:
    """Who signs: as asked, or None for this user's own key.

    Raises:
        UsageError: for a certificate or key that cannot be used.
    """
    return load_identity(*options.sign_with) if options.sign_with else None


def positive_float(text: str) -> float:
    """A number above 0, as argparse takes it."""
    value = parse_number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"must be more than 0, not {text}")
    return value


def positive_int(text: str) -> int:
    """A whole number above 0."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, not {text}")
    return int(text)


def parse_gain(text: str) -> float:
    return number_between(text, *_range_of("gain"))


def parse_smoothing(text: str) -> float:
    return number_between(text, *_range_of("smoothing"))


def _range_of(setting: str) -> tuple[float, float]:
    """An option that is also a setting of the running session has its range."""
    number = number_setting(setting)
    return number.low, number.high


def number_between(text: str, low: float, high: float) -> float:
    """A number of a closed interval."""
    value = parse_number(text)
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"must be {low:g} to {high:g}, not {text}")
    return value


def parse_number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be a number, not {text}")
    return value
