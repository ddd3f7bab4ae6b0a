"""Puts parts together: a puppet from a portrait's path, and a session from sources, sinks and settings."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from livepuppet.errors import UsageError
from livepuppet.factory import open_engine
from livepuppet.live.avatar_loader import AvatarLoader
from livepuppet.live.puppet import Puppet, driven_by_numbers
from livepuppet.live.session import Limits, Session
from livepuppet.live.stats import Meter, Statistics
from livepuppet.provenance.marked_sink import MarkedSink
from livepuppet.types import AnyEngine, ExpressionSource, Image, Sink, Size, Source, Tuning
from livepuppet.vision.imgproc import checked_image
from livepuppet.vision.portrait import load_portrait, shipped_avatars


def open_puppet(
    portrait: str | Path | Image,
    engine: str | AnyEngine = "landmark",
    *,
    size: Size | None = None,
    avatar_face: int | None = None,
    tuning: Tuning | None = None,
    hold_s: float = 0.0,
    device: str = "auto",
    model: str | None = None,
) -> Puppet:
    """Open a puppet that is ready to be animated frame by frame. Use it as a context manager, or close it.

    Args:
        portrait: an image file, or an image, RGB uint8 (H, W, 3).
        engine: an engine, or the name of one to be opened.
        size: of the output, width and height; None keeps the portrait's shape.
        avatar_face: which of several faces of the portrait moves: 1 is the largest, which None takes.
        tuning: gain, smoothing and the like.
        hold_s: 0 takes the first frame in which the driver looks ahead as the reference.
        device, model: for an engine that is named, see `open_engine`.

    Raises:
        PortraitError: the portrait cannot be used.
        UsageError: the image is not RGB uint8.
        What `open_engine` raises.
    """
    image = load_portrait(portrait) if isinstance(portrait, str | Path) else checked_image(portrait, "portrait")
    opened: AnyEngine = open_engine(engine, device, model) if isinstance(engine, str) else engine
    try:
        avatar = opened.prepare(image, size) if avatar_face is None else opened.prepare(image, size, avatar_face)
        return Puppet(opened, avatar, tuning, hold_s=hold_s)
    except BaseException:
        if isinstance(engine, str):
            opened.close()
        raise


def run(
    source: Source,
    puppet: Puppet,
    sinks: Sequence[Sink] | Sink,
    *,
    seconds: float | None = None,
    frames: int | None = None,
    fps: float | None = None,
    mirror: bool | None = None,
) -> Statistics:
    """Let the source drive the puppet into the sinks until something ends it; all of them are closed afterwards, the puppet is not.

    Args:
        source: the driver. A live one drops frames that nobody took in time, a recorded one loses none.
        puppet: what moves.
        sinks: where the frames go, one or several. Those of `open_sink` mark and sign what they are given; your own are given the bare
            frames.
        seconds: of the source's own time, after which it ends; None: with the source.
        frames: after so many it ends.
        fps: at most so many frames a second.
        mirror: whether the driver's image is flipped first, as in a mirror; None: where the source is a webcam.

    Returns:
        What was measured of this run: frames, drops, latency, time per stage.

    Raises:
        UsageError: no sink, or a limit that is not a number above 0.
        SourceError, SinkError: a part failed; what was written until then is whole.
    """
    sinks = list(sinks) if isinstance(sinks, Sequence) else [sinks]
    if not sinks:
        raise UsageError("sinks is empty: give at least one; open_sink('none') takes frames and keeps none", parameter="sinks")
    limits = Limits(seconds, frames, fps)
    puppet.meter.reset()
    for sink in sinks:
        if isinstance(sink, MarkedSink):
            sink.engine = puppet.engine.name
    mirrored = source.mirrored if mirror is None else mirror
    session = Session(source, puppet, sinks, mirror=mirrored, limits=limits)
    statistics = session.run()
    if session.failures:
        raise session.failures[0]
    return statistics


@dataclass(frozen=True)
class PuppetSettings:
    """What a person chose of engine, avatars and output.

    Attributes:
        engine, device, model: see `open_engine`.
        avatars: portraits, or folders of them; empty for those that come with the package.
        avatar_face: which of several faces of a portrait moves, None the largest.
        size: of the output, None for the portrait's own.
        fps: at most so many frames a second, None for no limit.
        mirror: None takes what people expect of the source.
        tuning: gain, smoothing and the like.
    """

    engine: str = "landmark"
    device: str = "auto"
    model: str | None = None
    avatars: tuple[Path, ...] = ()
    avatar_face: int | None = None
    size: Size | None = None
    fps: float | None = None
    mirror: bool | None = None
    tuning: Tuning = field(default_factory=Tuning)


def assemble_session(settings: PuppetSettings, source: Source, sinks: list[Sink], limits: Limits, meter: Meter) -> Session:
    """Engine, avatars and puppet for the settings, put together with what drives and what shows them. Raises what each of them raises."""
    opened = []
    if settings.size is not None:
        for sink in sinks:
            if sink.live:  # a camera that calls can see from the first moment, and says that it is starting
                sink.open(settings.size, settings.fps or source.fps, lossless=False)
                opened.append(sink)
    engine = open_engine(settings.engine, settings.device, settings.model)
    if isinstance(source, ExpressionSource):
        driven_by_numbers(engine)
    avatars = AvatarLoader(engine, list(settings.avatars) or shipped_avatars(), settings.size, settings.avatar_face)
    avatar = avatars.first()
    puppet = Puppet(engine, avatar, settings.tuning, meter=meter)
    height, width = avatar.image.shape[:2]
    meter.describe(engine=engine.name, device=engine.device, avatar=avatars.name, source=source.name, picture=f"{width} x {height}")
    mirror = source.mirrored if settings.mirror is None else settings.mirror
    return Session(source, puppet, sinks, avatars=avatars, meter=meter, mirror=mirror, limits=limits, opened=opened)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """A polite kill or a hang-up ends the session as Ctrl-C does, so that recordings are finished; also where a parent had it ignored."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
