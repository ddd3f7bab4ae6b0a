"""What a run costs, as it happens: frames per second, capture-to-sink latency, drops, and the time of every stage.

The parts of one frame's age add up: `wait` (capture until the animation took it) + the stages = capture-to-sink latency.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from livepuppet.types import AnyFrame, Floats, Frame

KEPT = 4096
"""Newest measurements kept per series, for percentiles and plots: 2 min at 30 fps. Counts, means and extremes are of the whole run."""

ORDER = ("wait", "observe", "smooth", "transfer", "render", "mark")
"""Of the stages, when they are listed: the way of a frame."""

FPS_WINDOW_S = 2.0
PERCENTILES = (50.0, 95.0, 99.0)
MS = 1000.0


class Series:
    """One measured quantity: exact count, sum and largest of all values, and the newest KEPT of them with their moments."""

    def __init__(self, kept: int = KEPT) -> None:
        self.count = 0
        self.total = 0.0
        self.worst = 0.0
        self._values = np.zeros(kept)
        self._moments = np.zeros(kept)

    def add(self, value: float, driver_frame: float) -> None:
        place = self.count % len(self._values)
        self._values[place] = value
        self._moments[place] = driver_frame
        self.worst = value if self.count == 0 else max(self.worst, value)
        self.count += 1
        self.total += value

    def newest(self) -> tuple[Floats, Floats]:
        """The kept moments and values, oldest first."""
        kept = len(self._values)
        if self.count <= kept:
            return self._moments[: self.count].copy(), self._values[: self.count].copy()
        first = self.count % kept
        return np.roll(self._moments, -first), np.roll(self._values, -first)

    def spread(self) -> Distribution:
        if not self.count:
            return Distribution()
        p50, p95, p99 = np.percentile(self._values[: min(self.count, len(self._values))], PERCENTILES)
        mean = self.total / self.count
        return Distribution(self.count, mean * MS, float(p50) * MS, float(p95) * MS, float(p99) * MS, self.worst * MS)


@dataclass(frozen=True, slots=True)
class Distribution:
    """How one quantity was distributed, in milliseconds.

    Attributes:
        count, mean, worst: of the whole run.
        p50, p95, p99: percentiles of the newest KEPT values.
    """

    count: int = 0
    mean: float = 0.0
    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    worst: float = 0.0


@dataclass(frozen=True)
class Statistics:
    """A run in numbers. Times in milliseconds unless the name says otherwise.

    Attributes:
        seconds: from the first frame taken to the last delivered.
        taken, delivered, dropped: frames that the puppet took, that reached the sinks, and that were left out between source and puppet.
        fps: frames delivered per second, over the last two seconds.
        mean_fps: since the start.
        source_fps: what the source produced, dropped frames included.
        latency: capture to sink.
        interval: between deliveries.
        age_bound_ms: the longest that one frame was worked on, plus the longest source interval: with a one-frame channel latency cannot
            exceed it, so a larger latency.worst shows a queue.
        cpu_ms: the process's processor time per delivered frame, all threads together, capture and encoding included; it depends far less
            than the other times on what else the machine does.
    """

    seconds: float = 0.0
    taken: int = 0
    delivered: int = 0
    dropped: int = 0
    fps: float = 0.0
    mean_fps: float = 0.0
    source_fps: float = 0.0
    latency: Distribution = Distribution()
    interval: Distribution = Distribution()
    age_bound_ms: float = 0.0
    cpu_ms: float = 0.0
    stages: Mapping[str, Distribution] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)

    @property
    def drop_rate(self) -> float:
        """Dropped frames among all that the source produced, 0 … 1."""
        return self.dropped / max(1, self.dropped + self.taken)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: plain numbers and text only, times rounded to microseconds."""
        return {**_rounded(asdict(self)), "drop_rate": round(self.drop_rate, 4)}

    def lines(self) -> tuple[str, ...]:
        """For people, one fact a line: what it is, a tab, its value; stages have two values. An empty line parts the groups."""
        late = self.latency
        lines = [
            f"fps\t{self.fps:.1f}" + (f"  (source {self.source_fps:.1f})" if self.source_fps else ""),
            f"latency\t{late.p50:.0f} ms   p95 {late.p95:.0f}   p99 {late.p99:.0f}   worst {late.worst:.0f}",
            f"dropped\t{self.dropped} of {self.dropped + self.taken}  ({self.drop_rate:.1%})",
        ]
        lines += [""] if self.stages else []
        lines += [f"{name}\t{spread.p50:.1f} ms\tp95 {spread.p95:.1f}" for name, spread in self.stages.items()]
        lines += [""] if self.about else []
        lines += [f"{name}\t{text}" for name, text in self.about.items()]
        return tuple(lines)


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, 3) if isinstance(value, float) else value


def _place(stage: str) -> int:
    """The stages of every frame come first, in their order; the others stay in the order they first came in."""
    return ORDER.index(stage) if stage in ORDER else len(ORDER)


class Meter:
    """Counts and times a session. Every method may be called from any thread.

    Args:
        clock: monotonic seconds, the same clock that stamps `Frame.captured_at`.
        cpu_clock: processor seconds of this process. about: facts to show beside the numbers (engine, device, source, sizes), see
            `describe`.
        warm_up_s: what happens so long after the first frame is forgotten again.
    """

    def __init__(
        self,
        *,
        warm_up_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.process_time,
        kept: int = KEPT,
        **about: str,
    ) -> None:
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._kept = kept
        self._warm_up_s = warm_up_s
        self._warm_at: float | None = None
        self._lock = threading.Lock()
        self._about = dict(about)
        self._clear()

    def _clear(self) -> None:
        self._started_at: float | None = None
        self._cpu_from = self._cpu_to = 0.0
        self._latency = Series(self._kept)
        self._interval = Series(self._kept)
        self._source_interval = Series(self._kept)
        self._busy = Series(self._kept)
        self._stages: dict[str, Series] = {}
        self._taken = self._dropped = 0
        self._last_index: int | None = None
        self._last_captured_at = 0.0
        self._taken_at: float | None = None
        self._delivered_at: float | None = None

    @property
    def warm(self) -> bool:
        """Whether the warm-up is over and what is counted counts."""
        with self._lock:
            return self._warm_at is not None and not self._warm_up_s

    def reset(self) -> None:
        """Forget all measurements (after the warm-up, say); what was described stays."""
        with self._lock:
            self._clear()

    def describe(self, **facts: str) -> None:
        """Add or change facts shown beside the numbers, by name; an empty text removes one."""
        with self._lock:
            self._about = {name: text for name, text in (self._about | facts).items() if text}

    @property
    def about(self) -> Mapping[str, str]:
        """The facts described so far."""
        return self._about  # replaced, never changed

    def frame_in(self, frame: AnyFrame) -> None:
        """The animation has taken this frame from the channel. Numbers left out since the last one count as dropped."""
        now = self._clock()
        with self._lock:
            if self._warm_at is None:
                self._warm_at = now + self._warm_up_s
            elif self._warm_up_s and now >= self._warm_at:
                self._warm_up_s = 0.0
                self._clear()
            if self._started_at is None:
                self._started_at = now
                self._cpu_from = self._cpu_to = self._cpu_clock()
            steps = 0 if self._last_index is None else frame.index - self._last_index
            if steps > 0:  # a reopened source may count from 0 again: that drops nothing
                self._dropped += steps - 1
                elapsed = frame.captured_at - self._last_captured_at
                if elapsed >= 0:
                    self._source_interval.add(elapsed / steps, now)
            self._taken += 1
            self._last_index, self._last_captured_at = frame.index, frame.captured_at
            self._taken_at = now
            self._stage("wait").add(max(0.0, now - frame.captured_at), now)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block. Use it as `with meter.stage("observe"): …`."""
        start = self._clock()
        try:
            yield
        finally:
            self.add(name, self._clock() - start)

    def add(self, name: str, seconds: float) -> None:
        """Record a stage that was timed elsewhere (in a sink's own thread, say)."""
        now = self._clock()
        with self._lock:
            self._stage(name).add(seconds, now)

    def _stage(self, name: str) -> Series:
        if name not in self._stages:
            self._stages[name] = Series(self._kept)
        return self._stages[name]

    def delivered(self, frame: Frame, now: float | None = None) -> None:
        """The animated frame is with the sinks; `frame.captured_at` is still the driving frame's own."""
        now = self._clock() if now is None else now
        with self._lock:
            self._latency.add(max(0.0, now - frame.captured_at), now)
            if self._delivered_at is not None:
                self._interval.add(max(0.0, now - self._delivered_at), now)
            self._delivered_at = now
            if self._started_at is not None:
                self._cpu_to = self._cpu_clock()
            if self._taken_at is not None:
                self._busy.add(max(0.0, now - self._taken_at), now)
                self._taken_at = None

    def latencies(self) -> tuple[Floats, Floats]:
        """The newest deliveries: seconds since the first frame measured, and each one's capture-to-sink latency in seconds."""
        with self._lock:
            driver_frames, values = self._latency.newest()
            return driver_frames - (self._started_at or 0.0), values

    def stage_times(self) -> dict[str, Floats]:
        """The newest times of every stage, in seconds."""
        with self._lock:
            return {name: series.newest()[1] for name, series in self._stages.items()}

    def snapshot(self) -> Statistics:
        """All numbers as they stand. Costs about half a millisecond: for a screen, a few times a second is enough."""
        now = self._clock()
        with self._lock:
            ended_at = self._delivered_at if self._delivered_at is not None else self._started_at
            source = self._source_interval
            interval = source.total / source.count if source.count else 0.0
            return Statistics(
                seconds=max(0.0, ended_at - self._started_at) if ended_at is not None and self._started_at is not None else 0.0,
                taken=self._taken,
                delivered=self._latency.count,
                dropped=self._dropped,
                fps=self._fps(now),
                mean_fps=self._interval.count / self._interval.total if self._interval.total else 0.0,
                source_fps=1.0 / interval if interval else 0.0,
                latency=self._latency.spread(),
                interval=self._interval.spread(),
                age_bound_ms=(self._busy.worst + source.worst) * MS if self._busy.count else 0.0,
                cpu_ms=(self._cpu_to - self._cpu_from) / max(1, self._latency.count) * MS,
                stages={name: self._stages[name].spread() for name in sorted(self._stages, key=_place)},
                about=dict(self._about),
            )

    def _fps(self, now: float) -> float:
        """Deliveries of the last FPS_WINDOW_S seconds, per second; it falls while nothing is delivered."""
        driver_frames, _ = self._latency.newest()
        recent = driver_frames[driver_frames > now - FPS_WINDOW_S]
        span = now - float(recent[0]) if len(recent) > 1 else 0.0
        return (len(recent) - 1) / span if span > 0 else 0.0
