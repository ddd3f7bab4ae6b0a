"""The hand-over of wishes from other threads to the loop, which fulfils them between two frames."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from livepuppet.errors import RunError

T = TypeVar("T")

MOST_WAITING = 256
"""Wishes that wait at once; a program that sends them faster than frames come is told so."""


class Requests(Generic[T]):
    """Calls that any thread may ask for, and that the loop makes with the object they act on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[Callable[[T], str], Future[str]]] = []
        self._closed = False

    def submit(self, call: Callable[[T], str]) -> Future[str]:
        """Ask for a call, from any thread. The future holds what it returns or raises; RunError where the session is over or too many
        wait."""
        future: Future[str] = Future()
        with self._lock:
            if self._closed:
                future.set_exception(RunError("the session has ended"))
            elif len(self._waiting) >= MOST_WAITING:
                future.set_exception(RunError(f"{MOST_WAITING} requests are waiting already: send them more slowly"))
            else:
                self._waiting.append((call, future))
        return future

    def serve(self, target: T) -> list[str]:
        """Make all calls that wait, in the order in which they were asked for; the lines they return. For the loop's thread only."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        said = []
        for call, future in waiting:
            if not future.set_running_or_notify_cancel():
                continue
            try:
                line = call(target)
            except Exception as error:  # whoever asked hears of it; the session goes on
                future.set_exception(error)
            else:
                said.append(line)
                future.set_result(line)
        return said

    def close(self) -> None:
        """The loop has ended: those who wait are told so, and so is whoever asks from now on."""
        with self._lock:
            self._closed = True
            waiting, self._waiting = self._waiting, []
        for _, future in waiting:
            if future.set_running_or_notify_cancel():
                future.set_exception(RunError("the session has ended"))
