"""Who may talk to the server: whoever has the token, from this page or from no page at all.

Three things are checked of every request, before anything of it is read: the name it was sent to (`Host`: a foreign name that was made to
point here is refused, which is what stops DNS rebinding), the page it comes from (`Origin`, `Sec-Fetch-Site`: no other web page is let in,
also none on another port of this machine), and the token: in the link that is printed, then in a cookie that no script can read, or in the
header `Authorization: Bearer`.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

WELCOMING = frozenset({"/", "/view"})
"""Pages that the printed link may lead to: there the token is exchanged for the cookie."""
SAFE_METHODS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class Refusal:
    """Why a request is not answered."""

    status: int
    text: str


@dataclass(frozen=True)
class AccessRequest:
    """What of a request says who it is from.

    Attributes:
        method: in capitals; 'WEBSOCKET' for one.
        path, query: as sent, the query without its question mark.
        headers: lower-case names and values.
    """

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]

    def all_of(self, name: str) -> list[str]:
        return [value for header, value in self.headers if header == name]

    def one(self, name: str) -> str:
        """The header's only value, '' where there is none or more than one."""
        values = self.all_of(name)
        return values[0] if len(values) == 1 else ""

    @property
    def token(self) -> str:
        """In the address."""
        return parse_qs(self.query, max_num_fields=20).get("token", [""])[0] if self.query.count("&") < 20 else ""


class Access:
    """The keys of one server.

    Attributes:
        token: for programs and for the link.
        cookie_name: it carries the port, because browsers share cookies between all ports of a machine.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.token = secrets.token_urlsafe(32)
        self.cookie_name = f"livepuppet-{port}"
        self._cookie = secrets.token_urlsafe(32)

    @property
    def address(self) -> str:
        """Without the token."""
        host = "127.0.0.1" if is_wildcard(self.host) else f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def link(self) -> str:
        """What a person opens."""
        return f"{self.address}/?token={self.token}"

    @property
    def set_cookie(self) -> str:
        """The header's value."""
        return f"{self.cookie_name}={self._cookie}; HttpOnly; SameSite=Strict; Path=/"

    def judge(self, request: AccessRequest) -> Refusal | None:
        """Why this request is refused; None where it may pass."""
        host = request.one("host")
        if not self._is_ours(host):
            return Refusal(421, "this server does not answer to that name: use the address that livepuppet printed")
        origins = request.all_of("origin")
        if any(origin.lower() != f"http://{host.lower()}" for origin in origins):
            return Refusal(403, "requests from other web pages are refused")
        entering = request.method == "GET" and request.path in WELCOMING
        if request.one("sec-fetch-site") in {"cross-site", "same-site"} and not (entering and request.one("sec-fetch-mode") == "navigate"):
            return Refusal(403, "requests from other web pages are refused")
        if self._is_token(bearer(request.one("authorization"))):
            return None
        if (entering or request.method == "WEBSOCKET") and self._is_token(request.token):
            return None
        if not self._has_cookie(request):
            return Refusal(401, "a token is needed: open the link that livepuppet printed, or send Authorization: Bearer TOKEN")
        if request.method not in SAFE_METHODS and not origins:
            return Refusal(403, "with a cookie, changes must come from the page itself (Origin is missing)")
        return None

    def enters_by_link(self, request: AccessRequest) -> bool:
        """Whether the printed link was opened: the page then gets the cookie, and the token leaves the address."""
        return request.method == "GET" and request.path in WELCOMING and self._is_token(request.token)

    def _is_ours(self, host: str) -> bool:
        """Whether a Host header names this server. An address of numbers cannot be rebound; a name can, unless it is localhost."""
        name, port = split_host(host)
        if port != self.port:
            return False
        if name in {"localhost", "127.0.0.1", "::1", self.host.lower()}:
            return True
        if not is_wildcard(self.host):
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _is_token(self, text: str) -> bool:
        return bool(text) and secrets.compare_digest(text.encode(), self.token.encode())

    def _has_cookie(self, request: AccessRequest) -> bool:
        for header in request.all_of("cookie"):
            try:
                morsel = SimpleCookie(header).get(self.cookie_name)
            except CookieError:
                continue
            if morsel is not None and secrets.compare_digest(morsel.value.encode(), self._cookie.encode()):
                return True
        return False


def bearer(authorization: str) -> str:
    """The token of an Authorization header; '' where it is none."""
    kind, _, token = authorization.partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def split_host(host: str) -> tuple[str, int]:
    """'LOCALHOST:80' -> ('localhost', 80), '[::1]:80' -> ('::1', 80); port 80 where none is named, -1 where it is none."""
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        name, port = host, "80"
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else -1
    return name.lower().removeprefix("[").removesuffix("]"), number


def is_wildcard(host: str) -> bool:
    """Whether the server listens on all of the machine's addresses."""
    return host in {"0.0.0.0", "::"}


def decode_headers(headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    """As ASGI has them -> as text."""
    return tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers)
