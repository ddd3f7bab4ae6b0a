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

    def serve(self, target: T, publish: Callable[[list[str]], None]) -> None:
        """Make all calls that wait, in the order in which they were asked for. For the loop's thread only.

        Args:
            target: what they act on.
            publish: given the lines that they returned, before anybody who asked hears of it: who then looks finds it done.
        """
        with self._lock:
            waiting, self._waiting = self._waiting, []
        outcomes: list[tuple[Future[str], str | Exception]] = []
        for call, future in waiting:
            if not future.set_running_or_notify_cancel():
                continue
            try:
                outcomes.append((future, call(target)))
            except Exception as error:  # whoever asked hears of it; the session goes on
                outcomes.append((future, error))
        publish([outcome for _, outcome in outcomes if isinstance(outcome, str)])
        for future, outcome in outcomes:
            if isinstance(outcome, str):
                future.set_result(outcome)
            else:
                future.set_exception(outcome)

    def close(self) -> None:
        """The loop has ended: those who wait are told so, and so is whoever asks from now on."""
        with self._lock:
            self._closed = True
            waiting, self._waiting = self._waiting, []
        for _, future in waiting:
            if future.set_running_or_notify_cancel():
                future.set_exception(RunError("the session has ended"))
