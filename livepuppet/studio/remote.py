"""Talking to a running session from another process, with nothing but Python's own library."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote, urlencode

from livepuppet.errors import RunError, UsageError
from livepuppet.studio.presence import RunningSession

TIMEOUT_S = 15.0


class RemoteSession:
    """A session in another process. Raises UsageError for what it refuses, RunError where it does not answer."""

    def __init__(self, session: RunningSession) -> None:
        self._session = session
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy would get to see the token

    def state(self) -> dict[str, Any]:
        """Everything that programs are told; see `SessionState`."""
        return self._ask("GET", "/api/state")

    def set(self, name: str, value: object) -> str:
        """Change a setting; a line on what was done."""
        return str(self._ask("PUT", f"/api/settings/{quote(name, safe='')}", {"value": value})["line"])

    def step(self, name: str, by: int) -> str:
        """Move a setting so many steps; a line on what was done."""
        return str(self._ask("POST", f"/api/settings/{quote(name, safe='')}/step", {"by": by})["line"])

    def press(self, name: str) -> str:
        """Do what the action of that name does; a line on what was done."""
        return str(self._ask("POST", f"/api/actions/{quote(name, safe='')}")["line"])

    def add_avatar(self, image: bytes, name: str) -> str:
        """Give the session one more portrait; its name there.

        Args:
            image: an image file's content.
            name: of the file.
        """
        return str(self._ask("POST", f"/api/avatars?{urlencode({'name': name})}", image)["name"])

    def _ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        headers = {"Authorization": f"Bearer {self._session.token}", "Content-Type": kind}
        request = urllib.request.Request(self._session.address + path, data, headers, method=method)
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                content: dict[str, Any] = json.loads(answer.read())
                return content
        except urllib.error.HTTPError as error:
            with error:
                text = error_text(error.read())
            raise (UsageError if error.code < 500 else RunError)(text or f"the session answers {error.code}") from error
        except (OSError, ValueError) as error:
            raise RunError(f"the session at {self._session.address} does not answer: {getattr(error, 'reason', None) or error}") from error


def error_text(body: bytes) -> str:
    """The line in a refusal; '' where there is none."""
    try:
        content = json.loads(body)
    except ValueError:
        return ""
    return str(content.get("error", "")) if isinstance(content, dict) else ""
