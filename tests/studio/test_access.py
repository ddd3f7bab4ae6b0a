"""Nobody gets in without the token, from another page, or under another name; and nobody keeps others out. On a real server."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from studio_fixtures import RunningStudio, photo, until
from websockets.exceptions import InvalidStatus

from livepuppet.errors import RunError, UsageError
from livepuppet.studio import guard, server
from livepuppet.studio.access import Access, AccessRequest, split_host
from livepuppet.studio.opening import parse_address
from livepuppet.studio.presence import RunningSession, announce, find_session, running_sessions, runtime_folder

PATHS = ["/", "/view", "/docs", "/api/openapi.json", "/api/state", "/api/picture.jpg", "/api/avatars", "/page/style.css", "/nonesuch"]


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_answered_without_the_token(studio: RunningStudio, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": ""}, {"Cookie": f"livepuppet-{studio.port}=wrong"}):
        answer = studio.ask("GET", path, headers=headers, token=False)
        assert answer.status == 401 and "token" in answer.json["error"]
    assert studio.ask("GET", f"{path}?token=wrong", token=False).status == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", "", "[::1"]
)
def test_a_name_that_was_made_to_point_here_is_refused(studio: RunningStudio, host: str) -> None:
    """DNS rebinding: the browser believes the server to be evil.example and sends that in Host."""
    for path in ("/api/state", f"/?token={studio.server.access.token}"):
        assert studio.ask("GET", path, headers={"Host": host.format(port=studio.port)}).status == 421


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_its_own_names_are_answered(studio: RunningStudio, name: str) -> None:
    assert studio.ask("GET", "/api/state", headers={"Host": f"{name}:{studio.port}"}).status == 200


FOREIGN = ["http://evil.example", "https://127.0.0.1:{port}", "http://127.0.0.1:1", "http://localhost:{port}", "null", "file://"]


@pytest.mark.parametrize("origin", FOREIGN)
def test_other_web_pages_are_refused_even_with_the_keys(studio: RunningStudio, origin: str) -> None:
    """A page on another port of this machine is one of them: browsers send it the cookie."""
    headers = {"Origin": origin.format(port=studio.port)}
    for keys in (studio.bearer, studio.cookie()):
        assert studio.ask("GET", "/api/state", headers=keys | headers, token=False).status == 403
        assert studio.ask("PUT", "/api/settings/freeze", {"value": True}, keys | headers, token=False).status == 403
        with pytest.raises(InvalidStatus) as refusal:
            studio.socket("/api/events", keys, origin=headers["Origin"])
        assert refusal.value.response.status_code == 403
    assert studio.session.state.settings["freeze"] is False


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_an_image_in_another_page_gets_nothing(studio: RunningStudio, site: str) -> None:
    """Such a request carries no Origin; the browser says where it comes from all the same."""
    headers = studio.cookie() | {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
    assert studio.ask("GET", "/api/picture.jpg", headers=headers, token=False).status == 403


def test_the_link_is_exchanged_for_a_cookie_that_no_script_can_read(studio: RunningStudio) -> None:
    answer = studio.ask("GET", f"/?token={studio.server.access.token}", token=False, headers={"Sec-Fetch-Site": "none"})
    assert answer.status == 303 and answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and studio.server.access.token not in cookie
    assert studio.ask("GET", "/", headers=studio.cookie(), token=False).status == 200
    own = {"Origin": f"http://{studio.host}"}
    assert studio.ask("PUT", "/api/settings/freeze", {"value": True}, studio.cookie() | own, token=False).status == 200
    assert studio.ask("PUT", "/api/settings/freeze", {"value": False}, studio.cookie(), token=False).status == 403, "no Origin, no change"
    with studio.socket("/api/events", studio.cookie(), origin=own["Origin"]) as events:
        assert "state" in events.recv(10)
    with pytest.raises(InvalidStatus):
        studio.socket("/api/events", studio.cookie())
    with pytest.raises(InvalidStatus):
        studio.socket("/api/events", {})


def test_every_answer_carries_the_safety_headers(studio: RunningStudio) -> None:
    answers = [studio.ask("GET", path) for path in ("/", "/api/state", "/api/nonesuch")] + [studio.ask("GET", "/", token=False)]
    for answer in answers:
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store" and "server" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers


# What is sent


def test_an_upload_that_is_too_large_is_not_read(studio: RunningStudio) -> None:
    """Announced, it is refused by its length alone; unannounced, as soon as it passes the limit. Nothing is decoded or kept."""
    with socket.create_connection(("127.0.0.1", studio.port), 10) as raw:
        head = f"POST /api/avatars?name=x HTTP/1.1\r\nHost: {studio.host}\r\nAuthorization: Bearer {studio.server.access.token}\r\n"
        raw.sendall(f"{head}Content-Length: {guard.MAX_UPLOAD + 1}\r\n\r\n".encode())
        assert b" 413 " in raw.recv(200)
    with socket.create_connection(("127.0.0.1", studio.port), 10) as raw:
        raw.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        block = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        try:
            for _ in range((guard.MAX_UPLOAD >> 20) + 2):
                raw.sendall(block)
        except OSError:  # the server has hung up already
            return
        assert b" 413 " in raw.recv(200)
    assert len(studio.ask("GET", "/api/avatars").json) == 3


def test_other_bodies_are_small(studio: RunningStudio) -> None:
    answer = studio.ask("PUT", "/api/settings/label", {"value": "x" * guard.MAX_BODY})
    assert answer.status == 413 and "64 kB" in answer.json["error"]


BOMB = b"\x89PNG\r\n\x1a\n" + bytes.fromhex("0000000d49484452") + (60000).to_bytes(4, "big") * 2 + bytes.fromhex("0802000000") + b"\0" * 40
NOT_PHOTOS = {
    "text": b"hello",
    "nothing": b"",
    "a page": b"<!doctype html><script>alert(1)</script>",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "a cut JPEG": b"\xff\xd8\xff\xe0" + b"\0" * 20,
    "3.6 gigapixels": BOMB,
    "nobody in it": photo(0),
    "too small": photo(90, (8, 8)),
}


@pytest.mark.parametrize("kind", NOT_PHOTOS)
def test_what_is_no_portrait_is_refused_in_one_line_and_not_kept(studio: RunningStudio, tmp_path: Path, kind: str) -> None:
    answer = studio.ask("POST", "/api/avatars?name=me.jpg", NOT_PHOTOS[kind])
    assert answer.status == 400 and "\n" not in answer.json["error"] and str(tmp_path) not in answer.json["error"]
    assert list((tmp_path / "data" / "avatars").glob("*")) == []


NAMES = [
    "../../../etc/cron.d/x.png",
    "..\\..\\x.png",
    "/etc/passwd",
    "a\0b.png",
    "CON.png",
    "...",
    "",
    "x" * 290,
    "Zoë & Co. <b>.png",
    "-rf.png",
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_name_leads_nowhere_but_into_the_user_s_own_folder(studio: RunningStudio, tmp_path: Path, name: str) -> None:
    from urllib.parse import urlencode

    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    answer = studio.ask("POST", f"/api/avatars?{urlencode({'name': name})}", photo())
    assert answer.status == 200, answer.body
    (new,) = {path for path in tmp_path.rglob("*") if path.is_file()} - before - {tmp_path / "data" / "consent-shown"}
    assert new.parent == tmp_path / "data" / "avatars" and new.suffix == ".png" and not new.name.startswith((".", "-", "CON"))
    assert stat.S_IMODE(new.stat().st_mode) == 0o600 or os.name != "posix"


@pytest.mark.parametrize("name", ["..%2f..%2fetc%2fpasswd", "%2e%2e", "..%5cx", "p0.png", "p0%00", "%ff"])
def test_no_path_is_made_of_a_name_in_an_address(studio: RunningStudio, name: str) -> None:
    for path in (f"/api/avatars/{name}/thumbnail", f"/api/recordings/{name}", f"/page/{name}"):
        assert studio.ask("GET", path).status in {400, 404}
    assert studio.ask("DELETE", f"/api/avatars/{name}").status in {400, 404, 405}


MALFORMED = [
    b"{",
    b"",
    b"null",
    b"[]",
    b'{"value": []}',
    b'{"value": {"a": 1}}',
    b'{"val": 1}',
    b"\xff\xfe",
    b'{"value": NaN}',
    b"[" * 30000,
]


@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_json_is_answered_in_one_line(studio: RunningStudio, body: bytes) -> None:
    answer = studio.ask("PUT", "/api/settings/gain", body)
    assert answer.status in {400, 422} and answer.json["error"] and "\n" not in answer.json["error"] and len(answer.body) < 1000
    assert studio.ask("GET", "/api/settings/gain").json == {"value": 1.0}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(server, "REQUEST_S", 1.0)
    monkeypatch.setattr(guard, "BODY_S", 1.0)
    yield


def test_many_who_hold_a_connection_and_say_nothing_keep_nobody_out(impatient: None, studio: RunningStudio) -> None:
    idle = []
    try:
        for number in range(server.MOST_CONNECTIONS + 50):
            raw = socket.create_connection(("127.0.0.1", studio.port), 10)
            raw.sendall(b"GET /api/state HTTP/1.1\r\nHost: x" if number % 2 else b"")
            idle.append(raw)
        for raw in idle:
            raw.settimeout(20)
            try:
                assert raw.recv(1) == b"", "whoever says nothing is hung up on"
            except ConnectionResetError:
                continue
        assert studio.ask("GET", "/api/state").status == 200
    finally:
        for raw in idle:
            raw.close()


def test_a_body_that_never_comes_is_given_up(impatient: None, studio: RunningStudio) -> None:
    with socket.create_connection(("127.0.0.1", studio.port), 20) as raw:
        head = f"PUT /api/settings/gain HTTP/1.1\r\nHost: {studio.host}\r\nAuthorization: Bearer {studio.server.access.token}\r\n"
        raw.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        assert b" 408 " in raw.recv(200)


# The note for the shell


def test_the_note_is_for_this_user_only_and_goes_with_the_session(studio: RunningStudio) -> None:
    (note,) = runtime_folder().glob("session-*.json")
    if os.name == "posix":
        assert stat.S_IMODE(note.stat().st_mode) == 0o600 and stat.S_IMODE(runtime_folder().stat().st_mode) == 0o700
    assert find_session() == RunningSession(os.getpid(), studio.server.access.address, studio.server.access.token)
    studio.server.close()
    assert not note.exists()
    with pytest.raises(UsageError, match="no session"):
        find_session()


@pytest.mark.skipif(os.name != "posix", reason="other systems keep such folders per user")
def test_a_folder_that_somebody_else_made_is_not_trusted(own_folders: Path) -> None:
    (own_folders / "theirs").mkdir()
    (own_folders / "runtime").symlink_to(own_folders / "theirs")
    with pytest.raises(RunError, match="somebody else"):
        announce(RunningSession(1, "http://127.0.0.1:1", "t"))
    (own_folders / "runtime").unlink()
    (own_folders / "runtime").mkdir()
    (own_folders / "runtime").chmod(0o777)
    announce(RunningSession(os.getpid(), "http://127.0.0.1:1", "t"))
    assert stat.S_IMODE((own_folders / "runtime").stat().st_mode) == 0o700


def test_notes_of_sessions_that_died_are_passed_over(own_folders: Path) -> None:
    announce(RunningSession(2**22 + 12345, "http://127.0.0.1:1", "t"))
    (runtime_folder() / "session-1.json").write_text("{")
    if os.name == "posix":
        assert running_sessions() == []


# Without a server


@pytest.mark.parametrize(
    ("text", "address"), [("8765", ("127.0.0.1", 8765)), ("0.0.0.0:0", ("0.0.0.0", 0)), ("[::1]:80", ("::1", 80)), ("pc:99", ("pc", 99))]
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "x", "1:2:3", "99999", "-1", ":80", "host:", "8 0", "http://a:1", "\uff18\uff10"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="PORT"):
        parse_address(text)


@pytest.mark.parametrize("host", ["a:b:c", "[::1", "]:80", "x:-1", "x:999999", "x:\uff18\uff10", ":"])
def test_odd_host_headers_never_match(host: str) -> None:
    access = Access("127.0.0.1", 80)
    refusal = access.judge(AccessRequest("GET", "/", "", (("host", host), ("authorization", f"Bearer {access.token}"))))
    assert refusal is not None and refusal.status == 421
    assert split_host("LOCALHOST") == ("localhost", 80)


def test_two_host_headers_are_none() -> None:
    access = Access("127.0.0.1", 80)
    headers = (("host", "localhost"), ("host", "evil.example"), ("authorization", f"Bearer {access.token}"))
    assert access.judge(AccessRequest("GET", "/", "", headers)) is not None


def test_on_all_addresses_only_numbers_and_localhost_are_names_of_ours() -> None:
    """A number cannot be rebound."""
    access = Access("0.0.0.0", 8000)
    for host, fine in {"192.168.1.7:8000": True, "[fe80::1]:8000": True, "localhost:8000": True, "pc.local:8000": False}.items():
        request = AccessRequest("GET", "/", "", (("host", host), ("authorization", f"Bearer {access.token}")))
        assert (access.judge(request) is None) is fine, host


def test_a_port_that_is_taken_is_said_in_one_line(studio: RunningStudio) -> None:
    with pytest.raises(UsageError, match="another port") as refusal:
        server.listen("127.0.0.1", studio.port)
    assert refusal.value.parameter == "control"


def test_closing_the_server_leaves_no_thread(studio: RunningStudio) -> None:
    with studio.socket("/api/events"), studio.socket("/api/picture"):
        studio.session.end("enough")
        until(lambda: studio.session.state.ended)
        studio.server.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "livepuppet-studio"]
