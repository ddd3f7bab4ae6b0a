"""What all trackers share: datagrams from one sender, as they come; patience when they do not."""

from __future__ import annotations

import logging
import socket
import threading
import time
from dataclasses import replace
from typing import Literal
from urllib.parse import urlsplit

from livepuppet.errors import SourceError, UsageError
from livepuppet.types import Closing, ExpressionFrame

log = logging.getLogger("livepuppet.tracker")

SILENT_S = 1.0
"""After so long without a frame the person is told, and another sender may take over."""
POLL_S = 0.1
LARGEST_DATAGRAM = 65_536
STRANGE_LIMIT = 20
"""So many packets in a row that cannot be read, and the person is told."""


class Tracker(Closing):
    """A source of ExpressionFrames that arrive in datagrams. Subclasses know how one is read, and what is asked of the sender.

    Attributes:
        program: what sends, for people.
    """

    live = True
    fps = 60.0
    mirrored = False
    delivers_expressions: Literal[True] = True
    program = "tracker"

    def __init__(self, host: str, port: int) -> None:
        """Listen on that address of this machine ('' for all of them); port 0 takes a free one. Raises SourceError where that is taken."""
        self.name = self.program
        self._closed = threading.Event()
        self._reading = threading.Lock()
        self._index = 0
        self._sender: tuple[str, int] | None = None
        self._heard_at = time.monotonic()
        self._ever = False
        self._strange = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind((host, port))
        except OSError as error:
            self._socket.close()
            why = "another program listens there already" if error.errno in (98, 48, 10048) else error.strerror or str(error)
            raise SourceError(f"cannot listen for {self.program} on port {port}: {why}") from error
        self._socket.settimeout(POLL_S)
        self.port = int(self._socket.getsockname()[1])

    @property
    def trouble(self) -> str:
        if self._strange >= STRANGE_LIMIT:
            return f"what arrives on port {self.port} is not {self.program}'s: choose the right program, or another port"
        if time.monotonic() - self._heard_at > SILENT_S:
            seen = "sees no face, or has stopped" if self._ever else f"has not sent anything yet (listening on port {self.port})"
            return f"{self.program} {seen}"
        return ""

    def read(self) -> ExpressionFrame | None:
        """Wait for the newest frame there is."""
        with self._reading:
            while not self._closed.is_set():
                self.ask(time.monotonic())
                newest = self._newest()
                if newest is not None:
                    self._ever = True
                    self._index += 1
                    return replace(newest, index=self._index - 1, captured_at=time.monotonic())
        return None

    def close(self) -> None:
        self._closed.set()
        if self._reading.acquire(timeout=5 * POLL_S):  # a port is free again only when nobody waits at it
            self._reading.release()
        self._socket.close()

    def ask(self, now: float) -> None:
        """Whatever must be said to the sender from time to time."""

    def parse(self, data: bytes) -> ExpressionFrame | None:
        """One datagram; None where it tells of no face, or not yet.

        Raises:
            ValueError: it is none of this protocol's.
        """
        raise NotImplementedError

    def forget(self) -> None:
        """Another sender begins, or the same one after a silence."""

    def send(self, data: bytes, address: tuple[str, int]) -> None:
        """Say something to the sender; a network that is not there at the moment is waited for."""
        try:
            self._socket.sendto(data, address)
        except OSError as error:
            log.debug("cannot reach %s: %s", address, error)

    def _newest(self) -> ExpressionFrame | None:
        """The last frame among the datagrams that wait, after waiting for one."""
        newest: ExpressionFrame | None = None
        timeout = POLL_S
        while True:
            try:
                self._socket.settimeout(timeout)
                data, sender = self._socket.recvfrom(LARGEST_DATAGRAM)
            except (TimeoutError, BlockingIOError):
                return newest
            except OSError as error:  # closed meanwhile, or Windows' word that nobody listens at the other end
                if not self._closed.is_set():
                    log.debug("%s", error)
                    self._closed.wait(POLL_S)
                return newest
            timeout = 0.0
            frame = self._frame(data, (str(sender[0]), int(sender[1])))
            newest = frame or newest

    def _frame(self, data: bytes, sender: tuple[str, int]) -> ExpressionFrame | None:
        now = time.monotonic()
        if sender != self._sender:
            if self._sender is not None and now - self._heard_at < SILENT_S:
                return None  # two phones at once would make one face of two
            self._sender = sender
            self.forget()
        elif now - self._heard_at > SILENT_S:
            self.forget()
        try:
            frame = self.parse(data)
        except ValueError as error:
            self._strange += 1
            log.debug("%s: a packet of %d bytes is left out: %s", self.program, len(data), error)
            return None
        self._strange = 0
        if frame is not None:
            self._heard_at = now
        return frame


def split_address(text: str, scheme: str, port: int) -> tuple[str, int]:
    """'vmc://:39539' -> ('', 39539); a port that is not said is `port`.

    Raises:
        UsageError: it cannot be understood.
    """
    try:
        parts = urlsplit(text)
        said = parts.port
    except ValueError:
        said, parts = -1, urlsplit("")
    strange = parts.path not in ("", "/") or parts.query or parts.username or parts.fragment
    if parts.scheme.lower() != scheme or said in (-1, 0) or strange:
        raise UsageError(f"'{text}' is no address: write {scheme}://HOST:{port}, or {scheme}://:{port}")
    return parts.hostname or "", said or port
