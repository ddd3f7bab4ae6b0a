"""Programs read and change a running session over HTTP and WebSocket, and see the moving picture: newest frame only."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import av
import numpy as np
import pytest
from blob_engine import SIDE
from PIL import Image as PILImage
from studio_fixtures import RunningStudio, camera_jpeg, photo, until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from livepuppet.live.controls import ACTIONS, SETTINGS
from livepuppet.studio.page_camera import PAGE_CAMERA, decode_camera_image
from livepuppet.studio.picture import split_bundle
from livepuppet.studio.sockets import CROWDED, MOST_VISITORS


def test_every_setting_is_read_changed_and_moved(studio: RunningStudio) -> None:
    model = {setting["name"]: setting for setting in studio.ask("GET", "/api/controls").json["settings"]}
    assert set(model) == set(SETTINGS)
    options = studio.ask("GET", "/api/state").json["options"]
    for name, setting in model.items():
        if name in {"camera", "record"}:
            continue  # they take their time: see below
        value = {"switch": True, "number": setting.get("high"), "text": "made by a machine"}.get(setting["kind"]) or options[name][-1]
        assert studio.ask("PUT", f"/api/settings/{name}", {"value": value}).status == 200
        assert studio.ask("GET", f"/api/settings/{name}").json["value"] == value
        assert studio.ask("POST", f"/api/settings/{name}/step", {"by": -1}).status == 200


def test_what_was_done_is_said_as_the_window_would(studio: RunningStudio) -> None:
    assert studio.ask("PUT", "/api/settings/gain", {"value": 1.5}).json == {"line": "motion 150%"}
    assert studio.ask("POST", "/api/settings/mirror/step", {"by": 1}).json == {"line": "mirrored"}
    assert studio.ask("POST", "/api/actions/reference").json["line"] == "new reference"


@pytest.mark.parametrize("path", ["/api/settings/nonesuch", "/api/actions/nonesuch", "/api/settings/nonesuch/step"])
def test_unknown_names_are_not_found_and_the_known_ones_named(studio: RunningStudio, path: str) -> None:
    answer = studio.ask("PUT" if path.endswith("settings/nonesuch") else "POST", path, {"value": 1})
    assert answer.status == 404 and "there are" in answer.json["error"]


def test_values_out_of_range_change_nothing(studio: RunningStudio) -> None:
    answer = studio.ask("PUT", "/api/settings/gain", {"value": 7})
    assert answer.status == 400 and answer.json == {"error": "gain is a number from 0 to 2, not 7", "parameter": "gain"}


def test_the_interface_describes_itself(studio: RunningStudio) -> None:
    page = studio.ask("GET", "/api/openapi.json").json
    assert page["openapi"].startswith("3.") and {"/api/state", "/api/settings/{name}", "/api/avatars"} <= set(page["paths"])
    described = [method for path in page["paths"].values() for method in path.values()]
    assert all(method.get("description") for method in described), "every call says what it does"
    assert {action["name"] for action in studio.ask("GET", "/api/controls").json["actions"]} == set(ACTIONS)


def test_a_photo_is_added_chosen_shown_and_removed(studio: RunningStudio, tmp_path: Path) -> None:
    assert studio.ask("POST", "/api/avatars?name=me.png", photo(200, (300, 200), "JPEG")).json["name"] == "me"
    assert {"name": "me", "own": True} in studio.ask("GET", "/api/avatars").json
    assert (tmp_path / "data" / "avatars" / "me.jpg").is_file(), "named by what it is, not by what it is called"
    thumbnail = studio.ask("GET", "/api/avatars/me/thumbnail")
    assert PILImage.open(io.BytesIO(thumbnail.body)).size == (300, 200)
    assert studio.ask("PUT", "/api/settings/avatar", {"value": "me"}).status == 200
    until(lambda: studio.session.puppet.avatar.image.max() > 190)
    assert studio.ask("DELETE", "/api/avatars/p0").status == 400, "what was not added here stays"
    assert studio.ask("DELETE", "/api/avatars/me").status == 200
    assert not list((tmp_path / "data" / "avatars").iterdir()) and studio.session.state.settings["avatar"] == "p0"


def test_a_recording_is_made_listed_signed_and_downloaded(studio: RunningStudio, tmp_path: Path) -> None:
    assert "recording to" in studio.ask("PUT", "/api/settings/record", {"value": True}).json["line"]
    assert studio.ask("GET", "/api/state").json["recording"]
    before = studio.session.delivered
    until(lambda: studio.session.delivered > before + 20)
    studio.ask("PUT", "/api/settings/record", {"value": "off"})
    until(lambda: studio.ask("GET", "/api/recordings").json)
    (name,) = studio.ask("GET", "/api/recordings").json
    answer = studio.ask("GET", f"/api/recordings/{quote(name)}")
    assert answer.body == (tmp_path / name).read_bytes() and "attachment" in answer.headers["content-disposition"]
    with av.open(io.BytesIO(answer.body)) as video:
        assert sum(1 for _ in video.decode(video=0)) >= 15
    assert b"c2pa" in answer.body


def frame_of(socket: ClientConnection) -> bytes:
    """The next bundle of images."""
    message = socket.recv(20)
    assert isinstance(message, bytes)
    return message


def receive(socket: ClientConnection, kind: str) -> Any:
    """The next message of a kind."""
    while True:
        message = json.loads(socket.recv(20))
        if message["type"] == kind:
            return message


def test_events_are_pushed_and_commands_taken(studio: RunningStudio) -> None:
    with studio.socket("/api/events") as one, studio.socket("/api/events") as other:
        assert set(receive(one, "state")["state"]["settings"]) == set(SETTINGS)
        assert {"fps", "latency_p50", "latency_p95"} <= set(receive(one, "figures")["figures"])
        one.send(json.dumps({"id": 5, "set": {"gain": 0.5, "freeze": "on"}, "step": {"mirror": 1}}))
        done = receive(one, "done")
        assert done["id"] == 5 and {"motion 50%", "mirrored"} <= set(done["lines"])
        while not (state := receive(other, "state")["state"])["settings"]["freeze"]:
            continue
        assert state["settings"]["gain"] == 0.5 and state["face"] is True and state["referenced"] is True


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "null",
        '{"id": 1}',
        '{"set": []}',
        '{"press": 1}',
        '{"press": "x"}',
        '{"set": {"gain": 9}}',
        '{"step": {"gain": 0.5}}',
        "[" * 9000,
    ],
)
def test_a_command_that_is_none_is_answered_and_the_socket_stays(studio: RunningStudio, text: str) -> None:
    with studio.socket("/api/events") as events:
        events.send(text)
        assert "\n" not in receive(events, "error")["error"]
        events.send(b"\xff\x00")
        receive(events, "error")
        events.send('{"press": "reference"}')
        receive(events, "done")


def test_the_picture_comes_when_it_is_asked_for_and_is_the_newest(studio: RunningStudio) -> None:
    with studio.socket("/api/picture") as socket:
        with pytest.raises(TimeoutError):
            socket.recv(0.3)
        socket.send("more")
        puppet, _ = split_bundle(frame_of(socket))
        assert PILImage.open(io.BytesIO(puppet)).size == (SIDE, SIDE)
        studio.ask("PUT", "/api/settings/inset", {"value": "always"})
        until(lambda: studio.session.state.settings["inset"] == "always")
        for _ in range(3):
            socket.send("more")
            _, inset = split_bundle(frame_of(socket))
        assert PILImage.open(io.BytesIO(inset)).width == 320
        for _ in range(100):  # greed does not make a queue
            socket.send("more")
        for _ in range(3):
            socket.recv(20)
    jpeg = studio.ask("GET", "/api/picture.jpg").body
    assert np.asarray(PILImage.open(io.BytesIO(jpeg))).shape == (SIDE, SIDE, 3)


def test_a_viewer_that_looks_away_misses_frames_and_sees_no_old_ones(studio: RunningStudio) -> None:
    """Whoever asks again after a while gets what is shown now."""
    with studio.socket("/api/picture") as socket:
        socket.send("more")
        socket.recv(20)
        studio.ask("PUT", "/api/settings/avatar", {"value": "p2"})
        until(lambda: studio.session.puppet.avatar.image.max() == 120)
        before = studio.session.delivered
        until(lambda: studio.session.delivered > before + 40)
        socket.send("more")
        puppet, _ = split_bundle(frame_of(socket))
        assert abs(int(np.asarray(PILImage.open(io.BytesIO(puppet))).mean()) - 120) < 4


def test_the_moving_picture_as_mjpeg(studio: RunningStudio) -> None:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", studio.port, timeout=20)
    connection.request("GET", "/api/picture.mjpeg", headers=studio.bearer)
    answer = connection.getresponse()
    assert answer.headers["content-type"].startswith("multipart/x-mixed-replace")
    assert answer.read(6000).count(b"Content-Type: image/jpeg") >= 2
    connection.close()
    answer.close()


# A browser's camera


def test_a_browser_s_camera_drives_and_a_closed_tab_idles(studio: RunningStudio) -> None:
    with studio.socket("/api/camera") as socket:
        assert json.loads(socket.recv(20))["seat"] == "yours"
        until(lambda: studio.session.state.settings["camera"] == PAGE_CAMERA)
        assert studio.opened[0].closed, "the camera before is free for others"
        for number in range(30):
            socket.send(camera_jpeg(0.3 + number * 0.01))
            socket.recv(20)
        until(lambda: studio.session.state.face and studio.session.state.driven)
        assert not studio.session.state.trouble and studio.session.state.settings["mirror"] is True
    until(lambda: "waiting for a browser" in studio.session.state.trouble)
    until(lambda: not studio.session.state.face)
    before = studio.session.delivered
    until(lambda: studio.session.delivered > before + 5)


def test_the_second_visitor_sees_that_the_seat_is_taken(studio: RunningStudio) -> None:
    with studio.socket("/api/camera") as first:
        first.recv(20)
        assert studio.ask("GET", "/api/state").json["seat_taken"] is True
        with studio.socket("/api/camera") as second, pytest.raises(ConnectionClosed) as closed:
            second.recv(20)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 4009 and "in use" in closed.value.rcvd.reason
        first.send(camera_jpeg(0.5))
        first.recv(20)
    until(lambda: not studio.seat.taken)
    with studio.socket("/api/camera") as third:
        assert json.loads(third.recv(20))["seat"] == "yours"


def test_choosing_another_camera_frees_the_seat(studio: RunningStudio) -> None:
    with studio.socket("/api/camera") as socket:
        socket.recv(20)
        until(lambda: studio.session.state.settings["camera"] == PAGE_CAMERA)
        studio.ask("PUT", "/api/settings/camera", {"value": "demo"})
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                socket.recv(20)
        assert closed.value.rcvd is not None and "another camera" in closed.value.rcvd.reason
    until(lambda: not studio.seat.taken)


@pytest.mark.parametrize("data", [b"", b"hello", b"\xff\xd8\xff", photo(), photo(90, (4000, 16), "JPEG"), camera_jpeg(0.5)[:300]])
def test_what_is_no_camera_image_is_left_out(data: bytes) -> None:
    image = decode_camera_image(data)
    assert image is None or image.shape == (SIDE, SIDE, 3)  # a cut JPEG shows what has come
    if not data.startswith(b"\xff\xd8\xff\xe0") or len(data) > 1000:
        assert image is None


def test_rubbish_from_a_browser_is_said_and_does_no_harm(studio: RunningStudio) -> None:
    with studio.socket("/api/camera") as socket:
        socket.recv(20)
        until(lambda: studio.session.state.settings["camera"] == PAGE_CAMERA)
        socket.send(b"rubbish")
        socket.recv(20)
        until(lambda: "no image" in studio.session.state.trouble)
        socket.send(camera_jpeg(0.5))
        until(lambda: not studio.session.state.trouble)


def test_too_many_visitors_are_turned_away(studio: RunningStudio) -> None:
    with contextlib.ExitStack() as crowd:
        for _ in range(MOST_VISITORS):
            crowd.enter_context(studio.socket("/api/events")).recv(20)
        with studio.socket("/api/events") as late, pytest.raises(ConnectionClosed) as closed:
            late.recv(20)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == CROWDED
    with studio.socket("/api/events") as again:
        assert receive(again, "state")
