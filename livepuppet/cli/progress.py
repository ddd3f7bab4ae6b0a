"""How far a rendering is: a bar in a terminal, now and then a plain line elsewhere, nothing when asked to be quiet."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from livepuppet.rendering.driver import Progress, SilentProgress

log = logging.getLogger("livepuppet")

LINE_EVERY_S = 10.0


@contextmanager
def open_progress(quiet: bool, unit: str = "frames") -> Iterator[Progress]:
    """Progress as it suits where stderr goes."""
    if quiet:
        yield SilentProgress()
    elif sys.stderr.isatty():
        with ProgressBar(unit) as bar:
            yield bar
    else:
        yield LogProgress(unit)


class FrameRate:
    """Counts what is done of one stage."""

    def __init__(self, name: str, total: int | None, unit: str = "frames") -> None:
        self.name, self.total, self.unit = name, total, unit
        self.done = 0
        self.began = time.monotonic()

    @property
    def fps(self) -> float:
        return self.done / max(1e-6, time.monotonic() - self.began)

    def __str__(self) -> str:
        left = f", {(self.total - self.done) / self.fps:.0f} s left" if self.total and self.done else ""
        of = f" of {self.total}" if self.total else ""
        rate = f", {self.fps:.1f} fps" if self.unit == "frames" else ""
        return f"{self.name}: {self.done}{of} {self.unit}{rate}{left}"


class LogProgress:
    """Plain lines: one for each stage's beginning, and one every ten seconds."""

    def __init__(self, unit: str = "frames") -> None:
        self._unit = unit
        self._rate = FrameRate("", None)
        self._said = time.monotonic()

    def stage(self, name: str, total: int | None) -> None:
        self._rate = FrameRate(name, total, self._unit)
        self._said = time.monotonic()
        log.info("%s%s", name, f" ({total} {self._unit})" if total else "")

    def advance(self) -> None:
        self._rate.done += 1
        if time.monotonic() - self._said >= LINE_EVERY_S:
            self._said = time.monotonic()
            log.info("%s", self._rate)


class ProgressBar:
    """A bar with stage, frames, frames per second and the time left."""

    def __init__(self, unit: str = "frames") -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[fps]:.1f} fps" if unit == "frames" else unit),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._rate = FrameRate("", None)
        self._task: int | None = None

    def __enter__(self) -> ProgressBar:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def stage(self, name: str, total: int | None) -> None:
        if self._task is not None:
            self._progress.remove_task(self._progress.task_ids[0])
        self._rate = FrameRate(name, total)
        self._task = self._progress.add_task(name, total=total, fps=0.0)

    def advance(self) -> None:
        self._rate.done += 1
        self._progress.update(self._progress.task_ids[0], completed=self._rate.done, fps=self._rate.fps)
