"""Keeps what MediaPipe's C++ writes about itself off the terminal, and nothing else: a page of absl, EGL and TensorFlow Lite lines.

It goes past Python, straight to file descriptor 2, from threads of its own at any time. While one of its graphs is open, that descriptor
leads to a small process which passes on every line that is not of that kind. It outlives this one by a moment, so that the last words of a
crashing library reach the terminal as well.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

NOISE = (
    rb"[IWE]\d{4} \d\d:\d\d:\d+\.\d|WARNING: (All log messages before absl|Logging before InitGoogle)"
    rb"|INFO: (Created TensorFlow Lite|\[\w+\.cc:\d+\])"
)
"""How the lines begin that are left out. Fatal ones (F0000 …) are not among them."""

RELAY = f"""
import re, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
noise = re.compile({NOISE!r})
for line in sys.stdin.buffer:
    if not noise.match(line):
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
"""


class Relay:
    """The process that reads lines and passes on those that are not noise.

    Args:
        target: descriptor where they go, that of stderr.
    """

    def __init__(self, target: int) -> None:
        self._target = identity(target)
        reading, self.entrance = os.pipe()
        try:
            command = [sys.executable, "-I", "-S", "-c", RELAY]
            self._process = subprocess.Popen(command, stdin=reading, stdout=subprocess.DEVNULL, stderr=target)
        except OSError:
            os.close(self.entrance)
            raise
        finally:
            os.close(reading)

    def leads_to(self, target: int) -> bool:
        """Whether it writes where this descriptor does, and still runs."""
        return self._target == identity(target) and self._process.poll() is None

    def close(self) -> None:
        """Let it pass on what it has, and end. Processes started meanwhile may hold on to it: it is not waited for long."""
        os.close(self.entrance)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)


def identity(descriptor: int) -> tuple[int, int]:
    """Device and inode of an open file.

    Raises:
        OSError: for a closed one.
    """
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


_lock = threading.Lock()
_depth = 0
_relay: Relay | None = None
_terminal = -1
"""A copy of the real descriptor 2 while the relay stands in for it."""


@contextlib.contextmanager
def without_native_noise() -> Iterator[None]:
    """Filter descriptor 2 meanwhile, in all threads; may be nested. Where it cannot be done, nothing is filtered."""
    _begin()
    try:
        yield
    finally:
        _end()


@atexit.register
def _finish() -> None:
    """Whatever is still open: the last lines reach the terminal before the process is gone."""
    global _relay, _terminal
    with _lock:
        if _terminal >= 0:
            os.dup2(_terminal, 2)
            os.close(_terminal)
            _terminal = -1
        if _relay is not None:
            _relay.close()
            _relay = None


def _begin() -> None:
    global _depth, _relay, _terminal
    with _lock:
        _depth += 1
        if _depth > 1:
            return
        try:
            if _relay is None or not _relay.leads_to(2):
                if _relay is not None:
                    _relay.close()
                _relay = Relay(2) if sys.executable else None
            if _relay is not None:
                _terminal = os.dup(2)
                os.dup2(_relay.entrance, 2)
        except OSError:  # stderr is closed, or no process can be started: nothing to filter, or nothing to filter it with
            _terminal = -1


def _end() -> None:
    global _depth, _terminal
    with _lock:
        _depth -= 1
        if _depth == 0 and _terminal >= 0:
            os.dup2(_terminal, 2)
            os.close(_terminal)
            _terminal = -1
