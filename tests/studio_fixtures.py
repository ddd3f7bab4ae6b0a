"""What tests of the studio share: a session that runs, a real server on loopback in front of it, and a client that can lie about itself."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from blob_engine import SIDE, BlobEngine, driver
from PIL import Image as PILImage
from session_fixtures import Script, clip
from websockets.sync.client import ClientConnection, connect

from livepuppet.live.avatar_loader import AvatarLoader
from livepuppet.live.puppet import Puppet
from livepuppet.live.recordings import Recordings
from livepuppet.live.session import Session
from livepuppet.live.source_switch import SourceSwitch
from livepuppet.provenance.marks import Mark
from livepuppet.studio.assembly import serve_session
from livepuppet.studio.page_camera import PAGE_CAMERA, CameraSeat, PageCamera
from livepuppet.studio.picture import PagePicture
from livepuppet.studio.server import ControlServer
from livepuppet.types import Source, Tuning


def until(true: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for something that other threads bring about."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def photo(shade: int = 90, size: tuple[int, int] = (SIDE, SIDE), format: str = "PNG") -> bytes:
    """An image file's content."""
    file = io.BytesIO()
    PILImage.fromarray(np.full((size[1], size[0], 3), shade, np.uint8)).save(file, format)
    return file.getvalue()


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class RunningStudio:
    """A session with its server, and a client of it."""

    session: Session
    server: ControlServer
    seat: CameraSeat
    opened: list[Script] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.server.access.port

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.server.access.token}"}

    def ask(
        self, method: str, path: str, body: bytes | object = None, headers: dict[str, str] | None = None, *, token: bool = True
    ) -> Answer:
        """Ask as a program would; headers may say anything, also Host."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} | (self.bearer if token else {}) | (headers or {})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()})
        finally:
            connection.close()

    def cookie(self) -> dict[str, str]:
        """What a browser holds after it has opened the link."""
        answer = self.ask("GET", f"/?token={self.server.access.token}", token=False)
        assert answer.status == 303
        return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}

    def socket(self, path: str, headers: dict[str, str] | None = None, origin: str | None = None) -> ClientConnection:
        """A WebSocket, with the token unless other headers are given."""
        return connect(
            f"ws://{self.host}{path}",
            additional_headers=self.bearer if headers is None else headers,
            origin=origin,  # type: ignore[arg-type]
            compression=None,
            proxy=None,
            max_size=None,
        )


@contextlib.contextmanager
def running_studio(folder: Path) -> Iterator[RunningStudio]:
    """A session on the blob engine with three portraits, two cameras and a browser's, served on a free port."""
    portraits = folder / "portraits"
    portraits.mkdir()
    for number, shade in enumerate((40, 80, 120)):
        (portraits / f"p{number}.png").write_bytes(photo(shade))
    engine, seat = BlobEngine(), CameraSeat()
    opened: list[Script] = []

    def open_named(name: str) -> Source:
        if name == PAGE_CAMERA:
            return PageCamera(seat)
        opened.append(Script(clip(60) * 200, live=True, fps=60))
        opened[-1].name = name
        return opened[-1]

    source = SourceSwitch("webcam", open_named("webcam"), open_named, lambda: ("webcam", "demo", PAGE_CAMERA))
    avatars = AvatarLoader(engine, [portraits])
    puppet = Puppet(engine, avatars.first(), Tuning(smoothing=0.0), hold_s=0.0)
    picture = PagePicture()
    session = Session(source, puppet, [picture], avatars=avatars)
    mark = Mark(7, watermark=False)
    recordings = Recordings(folder, engine.name, mark, None)
    session.mark, session.controls.mark = mark.apply, mark
    session.new_recording, session.recorded = recordings.new, recordings.finish
    runs = threading.Thread(target=session.run)
    with serve_session(session, picture, recordings, seat, "127.0.0.1", 0) as server:
        runs.start()
        try:
            until(lambda: picture.sequence > 3)
            yield RunningStudio(session, server, seat, opened)
        finally:
            session.end("enough")
            runs.join(20)
            recordings.close()


def camera_jpeg(x: float, side: int = SIDE) -> bytes:
    """What a browser's camera would send: the blob at a place."""
    file = io.BytesIO()
    PILImage.fromarray(driver(x, side=side)).save(file, "JPEG", quality=95)
    return file.getvalue()
