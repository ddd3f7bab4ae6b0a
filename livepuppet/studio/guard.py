"""The server's outermost layer: lets in who may enter, bounds what they send, and puts the safety headers on every answer."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from livepuppet.studio.access import Access, AccessRequest, Refusal, decode_headers

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

UPLOAD_PATH = "/api/avatars"
MAX_UPLOAD = 32 << 20
MAX_BODY = 64 << 10
"""Bytes of any other request."""
BODY_S = 20.0
"""A body that makes no progress for so long is given up."""

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
SAFETY_HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}

log = logging.getLogger("livepuppet.studio")


class AccessGuard:
    """An ASGI application around another one.

    Args:
        app: what answers those who are let in.
        access: who they are.
    """

    def __init__(self, app: Application, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            return await self._app(scope, receive, send)
        request = AccessRequest(
            scope["method"] if scope["type"] == "http" else "WEBSOCKET",
            scope["path"],
            scope["query_string"].decode("latin-1"),
            decode_headers(scope["headers"]),
        )
        refusal = self._access.judge(request)
        if scope["type"] == "websocket":
            if refusal is not None:
                return await refuse_websocket(scope, receive, send, refusal)
            return await self._app(scope, receive, send)
        if refusal is None:
            refusal = announced_too_large(request)
        if refusal is not None:
            return await answer(send, refusal.status, {"error": refusal.text})
        if self._access.enters_by_link(request):
            return await self._welcome(send, request.path)
        body = await read_body(receive, most(request.path))
        if isinstance(body, Refusal):
            return await answer(send, body.status, {"error": body.text})
        await self._serve(scope, replayed(body, receive), send, request.path)

    async def _welcome(self, send: Send, path: str) -> None:
        headers = [(b"location", path.encode()), (b"set-cookie", self._access.set_cookie.encode()), *safety_headers()]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def _serve(self, scope: Scope, receive: Receive, send: Send, path: str) -> None:
        started = False

        async def guarded_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                given = {name.lower() for name, _ in message.get("headers", [])}
                extra = [(name, value) for name, value in safety_headers() if name not in given]
                message = {**message, "headers": [*message.get("headers", []), *extra]}
            await send(message)

        try:
            await self._app(scope, receive, guarded_send)
        except Exception as error:  # a fault in one answer must not be the server's last word
            log.warning("a request to %s failed: %s: %s", path, type(error).__name__, error)
            log.debug("in whole:", exc_info=True)
            if not started:
                await answer(send, 500, {"error": "a fault in the program: livepuppet's terminal says more"})


async def read_body(receive: Receive, limit: int) -> bytes | Refusal:
    """All that the request says, or why it is not read to its end. b'' where the one who asked has left."""
    parts: list[bytes] = []
    more = True
    while more:
        try:
            message = await asyncio.wait_for(receive(), BODY_S)
        except asyncio.TimeoutError:
            return Refusal(408, "the request was not sent to its end")
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
        if sum(map(len, parts)) > limit:
            return Refusal(413, too_large(limit))
    return b"".join(parts)


def replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body which has been read, and after it what really comes (that the one who asked has left)."""
    given = False

    async def from_memory() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return from_memory


def announced_too_large(request: AccessRequest) -> Refusal | None:
    """A body that says itself that it is too long is not read at all."""
    length = request.one("content-length")
    if length.isascii() and length.isdigit() and len(length) < 20 and int(length) <= most(request.path):
        return None
    return Refusal(413, too_large(most(request.path))) if length else None


def most(path: str) -> int:
    """Bytes that a request to that path may have."""
    return MAX_UPLOAD if path == UPLOAD_PATH else MAX_BODY


def too_large(limit: int) -> str:
    return f"too large: at most {limit >> 20} MB" if limit >= 1 << 20 else f"too large: at most {limit >> 10} kB"


def safety_headers() -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in SAFETY_HEADERS.items()]


async def answer(send: Send, status: int, content: dict[str, str]) -> None:
    """A short JSON answer."""
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *safety_headers()]
    if status in {408, 413}:
        headers.append((b"connection", b"close"))  # what else was being sent is not read
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def refuse_websocket(scope: Scope, receive: Receive, send: Send, refusal: Refusal) -> None:
    """Turn a WebSocket away before it is one, with a proper HTTP answer where the server can give it."""
    await receive()
    if "websocket.http.response" not in scope.get("extensions", {}):
        return await send({"type": "websocket.close", "code": 1008})
    body = json.dumps({"error": refusal.text}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
