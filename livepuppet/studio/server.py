"""The server's thread: uvicorn on a socket of our own, patient with the session and not with those who only hold a connection."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from livepuppet.errors import UsageError
from livepuppet.studio.access import Access, is_wildcard
from livepuppet.studio.app import build_app
from livepuppet.studio.context import StudioContext
from livepuppet.studio.guard import AccessGuard
from livepuppet.studio.presence import RunningSession, announce

REQUEST_S = 10.0
"""A connection that has not sent a whole request's head by then is closed."""
MOST_CONNECTIONS = 256
LARGEST_MESSAGE = 4 << 20
"""Bytes of one WebSocket message: a camera's JPEG is a tenth of it."""
START_S = 20.0
STOP_S = 3

log = logging.getLogger("livepuppet.studio")


class PunctualHttp(H11Protocol):
    """HTTP that does not wait for ever for somebody to say something."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
            return
        self._patience = self.loop.call_later(REQUEST_S, self._end_if_silent)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if hasattr(self, "_patience"):
            self._patience.cancel()

    def _end_if_silent(self) -> None:
        if self.cycle is None and self.transport.get_protocol() is self:  # a WebSocket has a protocol of its own
            self.transport.close()


class ControlServer:
    """Serves one session until `close`. A context manager.

    Attributes:
        access: its address, link and token.
    """

    def __init__(self, context: StudioContext, host: str, port: int) -> None:
        """Listen and start the thread.

        Args:
            host: an address of this machine; the usual one is 127.0.0.1.
            port: 0 takes a free one.

        Raises:
            UsageError: that address or port cannot be had.
        """
        self._socket = listen(host, port)
        self.access = Access(host, self._socket.getsockname()[1])
        if host not in {"127.0.0.1", "::1", "localhost"}:
            log.warning("others in the network can read what goes to %s: it is not encrypted", self.access.address)
        settings: dict[str, Any] = {
            "http": PunctualHttp,
            "ws": WebSocketsSansIOProtocol,
            "ws_max_size": LARGEST_MESSAGE,
            "ws_per_message_deflate": False,
            "log_config": None,
            "access_log": False,
            "server_header": False,
            "proxy_headers": False,
            "lifespan": "off",
            "loop": "asyncio",
            "timeout_keep_alive": 30,
            "timeout_graceful_shutdown": STOP_S,
        }
        self._server = uvicorn.Server(uvicorn.Config(AccessGuard(build_app(context), self.access), **settings))
        self._thread = threading.Thread(target=self._serve, name="livepuppet-studio", daemon=True)
        self._note: Path | None = None
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # the guard says what goes wrong, in one line
        self._thread.start()

    def announce(self) -> None:
        """Leave the note by which `livepuppet control` finds this session."""
        self._note = announce(RunningSession(os.getpid(), self.access.address, self.access.token))

    def close(self) -> None:
        """Say goodbye to those who are connected, and stop. May be called twice."""
        if self._note is not None:
            self._note.unlink(missing_ok=True)
            self._note = None
        self._server.should_exit = True
        self._thread.join(STOP_S + START_S)
        self._socket.close()

    def __enter__(self) -> ControlServer:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        UsageError: it cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        made = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"there is no address {host}: {getattr(error, 'strerror', None) or error}", parameter="control") from error
    try:
        if os.name == "posix":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(128)
    except OSError as error:
        made.close()
        where = f"port {port} of all addresses" if is_wildcard(host) else f"{host}:{port}"
        raise UsageError(
            f"cannot listen on {where}: {error.strerror}: choose another port, or 0 for a free one", parameter="control"
        ) from error
    return made
