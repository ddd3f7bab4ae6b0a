"""The vocabulary that every part shares: what flows (Image, Frame, Motion, Avatar, Status) and who acts on it.

One frame's way:  Source --Frame--> Channel --newest Frame--> Puppet --Frame--> Sink, Sink, ...
                                                 engine.observe -> transfer -> render
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.uint8]
"""RGB, uint8, shape (H, W, 3), C-contiguous. BGR exists only inside files that talk to OpenCV."""

Floats: TypeAlias = NDArray[np.float64]
Size: TypeAlias = tuple[int, int]
"""Width and height in pixels, in that order."""

Mouth: TypeAlias = Literal["driver", "avatar", "none"]


@dataclass(frozen=True, eq=False, slots=True)
class Frame:
    """One image on its way from a source to the sinks.

    Attributes:
        image: RGB uint8 (H, W, 3).
        index: position in the source's count; gaps are frames that were dropped on the way.
        captured_at: time.monotonic() seconds at which the source had the image; travels unchanged to the sinks, so capture-to-sink
            latency is a subtraction.
        media_time: seconds since the start of the recording the frame was read from, growing on when the recording loops; None from a
            camera.
    """

    image: Image
    index: int
    captured_at: float
    media_time: float | None = None


@dataclass(frozen=True, eq=False, slots=True)
class ExpressionFrame:
    """What a driver does, told in numbers instead of shown in an image: by a phone, another program, or a voice.

    Attributes:
        weights: float64 (52,), 0 … 1, one per unit of EXPRESSION_UNITS.
        index, captured_at, media_time: as a Frame's.
        head: yaw, pitch, roll of the head in radians, signed as `Motion.view`; zeros look straight ahead.
        shift: float64 (3,), where the head is, face widths from its place at rest: to the image's right, down, towards the camera.
        gaze: float64 (2,), the eyes' turn in radians beyond what the eyeLook units say: to the image's right, down.
    """

    weights: Floats
    index: int = 0
    captured_at: float = 0.0
    media_time: float | None = None
    head: Floats = field(default_factory=lambda: np.zeros(3))
    shift: Floats = field(default_factory=lambda: np.zeros(3))
    gaze: Floats = field(default_factory=lambda: np.zeros(2))


AnyFrame: TypeAlias = Frame | ExpressionFrame
"""What drives: an image of the driver, or numbers that tell what they do."""


@dataclass(frozen=True, eq=False)
class Motion:
    """A point in an engine's own space of motions. Two motions of one engine blend linearly (see `blend`).

    Attributes:
        pose: float64 (P,), the rigid part, in units that do not depend on the image's size (radians, face widths, log scale).
        expression: float64 (E,), everything that is not rigid, likewise without pixels.
        view: yaw, pitch, roll of the head in radians as the camera sees it, all 0 when it looks straight into the lens; yaw > 0 when the
            head turns to the image's right side, pitch > 0 when it looks down, roll > 0 when it tilts clockwise in the image. Zeros
            where the engine knows no head.
        points: float64 (N, 2), where the engine saw the driver, in pixels of the observed image. For people to look at, and to find the
            driver's position in the image; nothing else computes with it.
        detail: what the engine wants to carry along besides (the pixels of the driver's mouth, say); never blended or smoothed: the newer
            one wins.
    """

    pose: Floats
    expression: Floats
    view: Floats = field(default_factory=lambda: np.zeros(3))
    points: Floats = field(default_factory=lambda: np.zeros((0, 2)))
    detail: object | None = None

    def blend(self, other: Motion, weight: float) -> Motion:
        """The motion `weight` (0 … 1) of the way from this one to `other`; points and detail are the nearer one's."""
        if weight <= 0:
            return self
        if weight >= 1:
            return other
        nearer = other if weight >= 0.5 else self
        return replace(
            nearer,
            pose=self.pose + weight * (other.pose - self.pose),
            expression=self.expression + weight * (other.expression - self.expression),
            view=self.view + weight * (other.view - self.view),
        )


@dataclass(frozen=True, slots=True)
class Tuning:
    """What a person may adjust while the puppet moves.

    Attributes:
        gain: how strongly the driver's motion moves the avatar; 1 = as much as the driver moved, 0 = not at all (0 … 2).
        smoothing: 0 = none, 1 = the default strength, up to 4. See `vision.smoothing`.
        mouth: the inside of an open mouth: the driver's own, one made from the portrait's palette, or none.
        relative: move by how the driver moved since the reference frame (True), or take the driver's motion as it is (False).
    """

    gain: float = 1.0
    smoothing: float = 1.0
    mouth: Mouth = "driver"
    relative: bool = True


@runtime_checkable
class Avatar(Protocol):
    """A portrait made ready by one engine. Immutable: it may be shared between threads and puppets."""

    @property
    def image(self) -> Image:
        """The portrait at output size, RGB uint8 (H, W, 3): what `render` returns for `neutral`, bit for bit."""

    @property
    def neutral(self) -> Motion:
        """The motion that leaves the portrait as it is."""


A = TypeVar("A", bound=Avatar)
"""An engine's own kind of avatar."""


class Engine(Protocol[A]):
    """Moves a portrait. Holds no state that a frame could change, except where the tracker last saw the face.

    Motions come in two kinds that share the type: what `observe` returns is the driver's; what `transfer` returns is the avatar's,
    relative to `avatar.neutral`, and is what `render` takes.

    Threads: `observe` is called by one thread at a time, in the order of the frames. `prepare`, `transfer` and `render` may be called by
    several threads at once, also beside `observe`; every call gives what it would have given alone, whichever avatar and motion the
    others work on. `close` is called when no other call is under way.

    These members are all that a puppet needs of an engine of your own; derive it from `Closing` to use it in a `with` statement.
    """

    name: str

    @property
    def device(self) -> str:
        """Where it computes, for people: device, precision and provider, as used and not as asked for."""

    def prepare(self, portrait: Image, size: Size | None = None, face: int | None = None) -> A:
        """Make a portrait ready: once per portrait, may take seconds, may run in another thread than `observe`.

        Says (logging, level INFO) when it chose among several faces, or turned the portrait upright.

        Args:
            portrait: RGB uint8 (H, W, 3), any size.
            size: the output's width and height; None keeps the portrait's own shape.
            face: which of several faces moves: 1 is the largest, which None takes.

        Raises:
            NoFaceError: saying what to do about it, where the engine needs a face and finds none.
            UsageError: there are fewer faces.
        """

    def observe(self, image: Image) -> Motion | None:
        """What the driver does in this frame, RGB uint8 (H, W, 3); None: no face."""

    def transfer(self, avatar: A, reference: Motion, driving: Motion, tuning: Tuning) -> Motion:
        """The avatar's motion, for the driver's motion since `reference`. driving == reference gives `avatar.neutral`."""

    def render(self, avatar: A, motion: Motion, tuning: Tuning) -> Image:
        """The avatar's image for that motion, shaped as `avatar.image`. `avatar.neutral` gives `avatar.image` exactly.

        Raises:
            FrameError: this one motion gives no image (a network computed NaN): the caller shows the image before.
        """

    def distance(self, avatar: A, driving: Motion) -> float:
        """How far the driver's pose and expression are from the portrait's own, for choosing a reference frame.

        0 = alike; about 1 = a poor reference. Comparable between frames of one driver and one avatar only (FOMM, best-frame search).
        """

    def idle(self, avatar: A, seconds: float) -> Motion:
        """The avatar's own small motion while nobody drives it (breathing, a blink now and then), smooth in `seconds`."""

    def close(self) -> None:
        """Free what the engine holds. May be called twice."""


@runtime_checkable
class Restartable(Protocol):
    """An engine that remembers the driver from frame to frame, and can be told that what comes does not follow what was."""

    def restart(self) -> None:
        """Forget the driver: the next frame is of another video, or of another place of it."""


AnyEngine: TypeAlias = Engine[Any]
"""An engine of which only the protocol matters; it is given no avatars but its own."""


@runtime_checkable
class ExpressiveEngine(Protocol):
    """An engine that can also be driven by numbers. Its motions may be mixed with those that it observed."""

    def express(self, told: ExpressionFrame) -> Motion:
        """The driver's motion, as if `observe` had seen it; weights of 0 and a head at rest give the reference that it counts from."""

    def add_expression(self, motion: Motion, weights: Floats) -> Motion:
        """A driver's motion with an expression (52,) added to the face's own."""

    def replace_mouth(self, motion: Motion, weights: Floats) -> Motion:
        """A driver's motion with another mouth: what it says of lips, jaw and cheeks is forgotten for these weights (52,)."""

    def tell(self, reference: Motion, driving: Motion) -> ExpressionFrame:
        """The other way round: the units, the head and the gaze that explain the driver's motion since the reference best."""


class Closing:
    """Makes a context manager of whatever has a `close`."""

    def close(self) -> None:
        """Free what is held. May be called twice."""

    def __enter__(self: C) -> C:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


C = TypeVar("C", bound=Closing)


@runtime_checkable
class Source(Protocol):
    """Delivers driving frames. Opened by being constructed (raises SourceError or UsageError), read by one thread.

    These members are all that `run` and `Session` need of a source of your own; derive it from `Closing` to use it in a `with` statement.
    """

    name: str
    live: bool
    """True: frames that nobody took in time are dropped. False: `read` is never called before the last frame was taken."""
    fps: float
    """Nominal frames per second, > 0."""
    mirrored: bool
    """Whether people expect to see themselves as in a mirror here (a webcam), unless they say otherwise."""

    @property
    def trouble(self) -> str:
        """One line for people while the source is not delivering but still trying (an unplugged camera); else ''."""

    def read(self) -> AnyFrame | None:
        """Wait for the next frame; None: the source has ended or was closed.

        Raises:
            SourceError: its message says what is wrong.
        """

    def close(self) -> None:
        """Stop, and free the device. May be called twice and from another thread, where it ends a waiting `read`."""


@runtime_checkable
class ExpressionSource(Source, Protocol):
    """A source that delivers ExpressionFrames, and nothing while its driver is not seen."""

    delivers_expressions: Literal[True]


@dataclass(frozen=True, eq=False)
class Status:
    """What a window may show beside the frame.

    Attributes:
        message: one line, '' for none.
        driving: the camera's image, in which the driver sees themselves (given to no other sink).
        points: where the engine sees the driver, (N, 2) in pixels of `driving`.
        guide: show the framing guide (no reference yet).
        armed: how much of the 'hold still' has passed, 0 … 1.
        overlay: opacity of the avatar laid over the camera's image, 0 … 1.
        statistics, help: lines of text, empty when not asked for.
    """

    message: str = ""
    driving: Image | None = None
    points: Floats = field(default_factory=lambda: np.zeros((0, 2)))
    guide: bool = False
    armed: float = 0.0
    overlay: float = 0.0
    avatar: Image | None = None
    statistics: tuple[str, ...] = ()
    help: tuple[str, ...] = ()
    recording: bool = False


class OpenSource(Source, Protocol):
    """A source that `open_source` opened: also a context manager, which closes it."""

    def __enter__(self: S) -> S: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


S = TypeVar("S", bound=OpenSource)


class OpenEngine(Engine[Any], Protocol):
    """An engine that `open_engine` opened: also a context manager, which closes it."""

    def __enter__(self: E) -> E: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


E = TypeVar("E", bound=OpenEngine)


class Sink(Protocol):
    """Takes finished frames. `open` before the first `write`; all calls from one thread; none of them may wait long.

    These members are all that `run` and `Session` need of a sink of your own: they open and close it. Derive it from `Closing` to use it in
    a `with` statement. What `open_sink` returns opens itself besides, and marks what it is given.
    """

    name: str
    live: bool
    """True where a person watches as it happens (window, virtual camera); False where only the result counts (a file)."""

    def open(self, size: Size, fps: float, *, lossless: bool) -> None:
        """Get ready for frames of this size.

        Args:
            lossless: `write` waits rather than drop (nobody is watching live).

        Raises:
            SinkError: saying what to do.
        """

    def write(self, frame: Frame) -> None:
        """Take one frame.

        Raises:
            SinkError: when the sink has failed (also earlier, in its own thread).
        """

    def close(self) -> None:
        """Finish: a file is complete and playable afterwards. May be called twice.

        Raises:
            SinkError: its message says what is wrong.
        """


@runtime_checkable
class Follower(Protocol):
    """A sink that wants to hear in numbers what the driver does."""

    def follow(self, told: ExpressionFrame | None) -> None:
        """What belongs to the next frame; None while no driver is seen."""


@runtime_checkable
class Screen(Protocol):
    """A sink that a person sits in front of: it shows a status and hears keys."""

    def show(self, status: Status) -> None:
        """What to draw beside the frames from now on."""

    def keys(self) -> list[str]:
        """Keys pressed since the last call: single characters, upper case letters, 'left', 'right', 'up', 'down', 'esc', 'close'."""


@runtime_checkable
class FileSink(Protocol):
    """A sink that writes a file.

    Attributes:
        path, seal: where the file will be, and what `close` calls with the whole file, to sign it, before it gives it its name.
    """

    path: Path
    seal: Callable[[Path], object] | None
