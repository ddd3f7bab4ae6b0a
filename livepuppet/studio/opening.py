"""The way in from the command line: reads an address, says in one line what is missing, and starts the server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from livepuppet.errors import MissingPartError, UsageError

if TYPE_CHECKING:
    from livepuppet.studio.context import StudioContext
    from livepuppet.studio.server import ControlServer

LOOPBACK = "127.0.0.1"
NEEDED = ("fastapi", "uvicorn", "websockets", "pydantic", "starlette")
ADDRESS = re.compile(r"(?:(?P<host>\[[0-9a-fA-F:.]+\]|[^:\[\]/\s]+):)?(?P<port>[0-9]{1,5})")


def parse_address(text: str) -> tuple[str, int]:
    """'8765' -> ('127.0.0.1', 8765); '[::1]:8765' -> ('::1', 8765).

    Raises:
        UsageError: it is no address.
    """
    found = ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > 65535:
        raise UsageError(f"an address is PORT or HOST:PORT, like 8765, not '{text}'", parameter="control")
    return (found["host"] or LOOPBACK).strip("[]"), int(found["port"])


def require_studio() -> None:
    """Look whether the extra is installed, before a camera is opened for nothing.

    Raises:
        MissingPartError: it is not; pip's line is given.
    """
    from importlib.util import find_spec

    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise MissingPartError(
            f"the control interface needs the package {missing[0]}: pip install 'livepuppet[studio]'", parameter="control"
        )


def open_server(context: StudioContext, host: str, port: int) -> ControlServer:
    """Serve a session; close it when the session is over.

    Raises:
        MissingPartError: the extra is not installed.
        UsageError: that address or port cannot be had.
    """
    require_studio()
    from livepuppet.studio.server import ControlServer

    return ControlServer(context, host, port)
