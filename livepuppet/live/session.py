"""The loop: a capture thread fills the channel, the main thread animates the newest frame and hands it to every sink.

The camera's own image goes into `Status.driving`, which only a screen ever sees. No other sink gets anything but what the puppet drew.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from livepuppet.errors import LivepuppetError, SinkError, UsageError
from livepuppet.live.avatar_loader import AvatarLoader
from livepuppet.live.control_state import ControlState
from livepuppet.live.keymap import press_key
from livepuppet.live.latest import LatestFrame
from livepuppet.live.puppet import Puppet, frame_seconds
from livepuppet.live.stats import Meter, Statistics
from livepuppet.types import AnyFrame, ExpressionFrame, Follower, Frame, Image, Screen, Sink, Source
from livepuppet.vision.expressions import mirrored_expression

TICK_S = 1 / 30
"""Longest wait for a frame before keys are read and the window is drawn again."""
SILENCE_S = 0.5
"""A live source that delivers nothing for this long counts as lost; the puppet then rests."""

log = logging.getLogger("livepuppet.live.session")


@dataclass(frozen=True)
class Limits:
    """When a session ends by itself, and how fast it goes; None sets no limit.

    Attributes:
        seconds: of the source's own time (`media_time`, else `captured_at`), more than 0.
        frames: delivered to the sinks, 1 or more.
        fps: at most so many frames per second are animated, more than 0; the others are left out.

    Raises:
        UsageError: a limit that is not such a number.
    """

    seconds: float | None = None
    frames: int | None = None
    fps: float | None = None

    def __post_init__(self) -> None:
        for name in ("seconds", "fps"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise UsageError(f"{name} is {value}: give a number above 0, or None for no limit", parameter=name)
        if self.frames is not None and self.frames < 1:
            raise UsageError(f"frames is {self.frames}: give a whole number above 0, or None for no limit", parameter="frames")


class Session:
    """Drives one puppet from one source into any number of sinks, until something ends it. `livepuppet.run` is one with defaults.

    A capture thread reads the source; the thread that calls `run` animates the newest frame and writes it to every sink. Of a live source,
    frames that nobody took in time are dropped, of a recording none. A sink that fails is reported and closed, and the others go on; an
    error of the source or the engine ends the session.

    Attributes:
        source, puppet, avatars, meter: as given.
        controls: what a person adjusts: every setting and action of `controls`.
        state: how it stands; other threads may read it, and change it through `controls.submit`.
        mark, new_recording: as given; may be set until `run`.
        recorded: told of each recording that is finished, with the file's name.
        failures: the errors of sinks that failed.
        delivered: frames that reached the sinks.
        first_delivered_at: `time.monotonic()` of the first of them; None before.
        reason: why the session ended, for people.
    """

    def __init__(
        self,
        source: Source,
        puppet: Puppet,
        sinks: Sequence[Sink],
        *,
        avatars: AvatarLoader | None = None,
        meter: Meter | None = None,
        mirror: bool = False,
        limits: Limits | None = None,
        new_recording: Callable[[], tuple[Sink, Path]] | None = None,
        mark: Callable[[Image], Image] | None = None,
        opened: Collection[Sink] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Put the parts together; nothing is opened or read before `run`.

        Args:
            source: the driver.
            puppet: what moves.
            sinks: where the frames go; one that is a `Screen` is shown the state and asked for keys.
            avatars: the portraits that keys 1 to 9 choose among.
            meter: what is measured; None takes the puppet's.
            mirror: whether the driver's image is flipped first, as in a mirror.
            limits: when it ends by itself.
            new_recording: opens what key R records to, and says the file's name.
            mark: the last touch to every finished image.
            opened: those of the sinks that are open already, at the size of the puppet's avatar.
            clock: monotonic seconds, the clock of `Frame.captured_at`.
        """
        self.source, self.puppet, self.avatars = source, puppet, avatars
        self.meter = meter or puppet.meter
        self.failures: list[SinkError] = []
        self.delivered = 0
        self.first_delivered_at: float | None = None
        self.reason = ""
        self._sinks = list(sinks)
        self._opened = list(opened)
        self._limits = limits or Limits()
        self._clock = clock
        self.mark = mark
        self.new_recording = new_recording
        self.recorded: Callable[[Path], None] | None = None
        self._recording: tuple[Sink, Path] | None = None
        self.controls = ControlState(
            puppet,
            self.meter,
            avatars,
            source=source,
            mirror=mirror,
            record=self._toggle_recording,
            recording=lambda: str(self._recording[1]) if self._recording else "",
            end=self.end,
            clock=clock,
        )
        self.state = self.controls.state(self._output_names())
        self._shown: Image = puppet.avatar.image
        self._first_at: float | None = None
        self._last: AnyFrame | None = None
        self._heard_at = clock()
        self._rested_at = 0.0
        self._over = threading.Event()
        live = source.live
        self._lossless = not live and not any(sink.live for sink in self._sinks)
        self._channel = LatestFrame(lossless=not live)

    # The run

    def run(self) -> Statistics:
        """Open the sinks, run to the end, close source and sinks (the puppet stays open).

        Returns:
            What was measured.

        Raises:
            SinkError: a sink cannot be opened.
            SourceError, or what else the source or the engine raised.
        """
        capture = threading.Thread(target=self._capture, name="livepuppet-capture")
        try:
            self._open_sinks()
            self._heard_at = self._clock()
            capture.start()
            while not self._over.is_set():
                self.step(TICK_S)
        finally:
            self._over.set()
            self._channel.close()
            self.source.close()
            if capture.ident is not None:
                capture.join()
            if self.avatars is not None:
                self.avatars.close()
            for sink in list(self._sinks):
                self._close_sink(sink)
            self.controls.close()
            self.state = self.controls.state((), self.reason or "stopped")
        return self.meter.snapshot()

    def step(self, timeout: float) -> None:
        """One turn of the loop: take the newest frame if one comes within `timeout` seconds, animate it, hear keys and other threads."""
        frame = self._channel.take(timeout)
        now = self._clock()
        if frame is not None:
            self._heard_at = now
            if self._due(frame):
                self.meter.frame_in(frame)
                self._deliver(self._animated(frame))
        elif self._channel.ended:
            self.end(self.reason or "the source has ended")
        elif self.source.live and now - self._heard_at > SILENCE_S and now - self._rested_at >= TICK_S:
            self._rested_at = now
            self.controls.darken()
            if not self._over_at(now - self._last.captured_at + frame_seconds(self._last) if self._last else now):
                self._deliver(self.puppet.rest(self._last.index if self._last else 0, now))
        self._swap_avatar()
        self.controls.notice_source()
        self._hear_keys()
        self.controls.serve(self._publish_state)
        if not self._sinks and not self._over.is_set():
            self.end("no output is left")

    def _publish_state(self) -> None:
        state = self.controls.state(self._output_names())
        if state != self.state:  # programs take another object for news
            self.state = state

    def end(self, reason: str) -> None:
        """Finish after the present frame; may be called from any thread."""
        self.reason = reason
        self._over.set()

    def _capture(self) -> None:
        error: BaseException | None = None
        try:
            while not self._over.is_set():
                frame = self.source.read()
                if frame is None or not self._channel.put(frame):
                    break
        except BaseException as caught:  # it is raised again in the main thread, where a person will see it
            error = caught
        self._channel.close(error)

    # One frame

    def _due(self, frame: AnyFrame) -> bool:
        """Whether this frame is wanted: the end is not reached, and no more than so many a second."""
        now = frame_seconds(frame)
        if self._first_at is None:
            self._first_at = now
        limits = self._limits
        if self._over_at(now):
            return False
        if limits.fps is not None and self._last is not None:
            since = now - frame_seconds(self._last)
            return since < 0 or since >= 0.9 / limits.fps  # a tenth of tolerance, so that a 30 fps camera passes a cap of 30
        return True

    def _over_at(self, now: float) -> bool:
        """Whether the time asked for is over, at that second of the source's own time; ends the session then."""
        limit = self._limits.seconds
        if limit is None or self._first_at is None or now - self._first_at < limit:
            return False
        self.end(f"{limit:g} seconds are over")
        return True

    def _animated(self, frame: AnyFrame) -> Frame:
        self._last = frame
        if isinstance(frame, ExpressionFrame):
            return self.puppet.animate(mirrored_expression(frame) if self.controls.mirror else frame)
        return self.puppet.animate(replace(frame, image=self.controls.framed(frame.image)))

    def _deliver(self, frame: Frame) -> None:
        if self.controls.frozen:
            frame = replace(frame, image=self._shown)
        elif self.mark is not None:
            with self.meter.stage("mark"):
                frame = replace(frame, image=self.mark(frame.image))
        self._shown = frame.image
        status = None
        if any(isinstance(sink, Screen) for sink in self._sinks):
            status = self.controls.status()
        recording = self._recording[0] if self._recording else None
        for sink in list(self._sinks):
            try:
                with self.meter.stage("recording" if sink is recording else sink.name):  # else every file is a stage of its own
                    if status is not None and isinstance(sink, Screen):
                        sink.show(status)
                    if isinstance(sink, Follower):
                        sink.follow(self.puppet.told())
                    sink.write(frame)
            except SinkError as error:
                self._give_up(sink, error)
        self.meter.delivered(frame)
        self.delivered += 1
        self.first_delivered_at = self.first_delivered_at or self._clock()
        if self._limits.frames is not None and self.delivered >= self._limits.frames:
            self.end(f"{self._limits.frames} frames are done")

    # Sinks

    def _output_names(self) -> tuple[str, ...]:
        return tuple(sink.name for sink in self._sinks)

    def _open_sinks(self) -> None:
        height, width = self.puppet.avatar.image.shape[:2]
        for sink in self._sinks:
            if sink in self._opened:
                continue
            sink.open((width, height), self._limits.fps or self.source.fps, lossless=self._lossless)

    def _give_up(self, sink: Sink, error: SinkError) -> None:
        log.warning("%s", error)
        self.controls.say(str(error))
        self.failures.append(bare(error))
        self._close_sink(sink)

    def _close_sink(self, sink: Sink) -> None:
        if sink in self._sinks:
            self._sinks.remove(sink)
        recorded = self._recording[1] if self._recording and sink is self._recording[0] else None
        if recorded is not None:
            self._recording = None
        try:
            sink.close()
        except SinkError as error:
            if str(error) not in map(str, self.failures):
                log.warning("%s", error)
                self.failures.append(bare(error))
        if recorded is not None and self.recorded is not None:
            self.recorded(recorded)

    def _toggle_recording(self) -> str:
        if self._recording is not None:
            self._close_sink(self._recording[0])
            return "recording finished"
        if self.new_recording is None:
            return "no place to record to"
        height, width = self._shown.shape[:2]
        try:
            sink, path = self.new_recording()
            sink.open((width, height), self._limits.fps or self.source.fps, lossless=False)
        except LivepuppetError as error:
            return str(error)
        self._recording = (sink, path)
        self._sinks.append(sink)
        return f"recording to {path}"

    # The person

    def _hear_keys(self) -> None:
        for sink in self._sinks[:]:
            if isinstance(sink, Screen):
                pressed = sink.keys()
                for key in pressed:
                    self.controls.say(press_key(self.controls, key))

    def _swap_avatar(self) -> None:
        if self.avatars is None:
            return
        avatar = self.avatars.poll()
        if avatar is not None:
            self.puppet.wear(avatar)
            self.meter.describe(avatar=self.avatars.name)
        self.controls.say(self.avatars.trouble())


def bare(error: SinkError) -> SinkError:
    """The error without its traceback, which would keep the failed sink alive with its encoder's threads and memory, for hours perhaps."""
    log.debug("a sink failed", exc_info=error)
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
