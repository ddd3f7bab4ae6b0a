"""Puts a session and its server together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from livepuppet.devices import list_cameras
from livepuppet.errors import UsageError
from livepuppet.factory import open_source
from livepuppet.live.recordings import Recordings
from livepuppet.live.session import Session
from livepuppet.live.source_switch import SourceSwitch
from livepuppet.studio.context import StudioContext
from livepuppet.studio.gallery import Gallery
from livepuppet.studio.opening import open_server
from livepuppet.studio.page_camera import PAGE_CAMERA, CameraSeat, PageCamera
from livepuppet.studio.picture import PagePicture
from livepuppet.types import Source

if TYPE_CHECKING:
    from livepuppet.studio.server import ControlServer

DEMO = "demo"


def open_switchable(which: str, seat: CameraSeat, *, fps: float | None, chosen: Callable[[Source], None]) -> SourceSwitch:
    """What drives a studio session: a camera of this machine, the demo, or a browser's camera, exchanged from the page.

    Args:
        which: at first, see `open_source`; `PAGE_CAMERA` or 'browser' waits for a browser's.
        seat: of the browser whose camera it may be.
        fps: asked of a camera.
        chosen: told of each camera that the person chooses from the page.

    Raises:
        What `open_source` raises.
    """
    opened: Source = PageCamera(seat) if which in ("browser", PAGE_CAMERA) else open_source(which, fps=fps)
    first = opened.name

    def names() -> tuple[str, ...]:
        cameras = [device.label for device in list_cameras() if not device.accepts]
        return tuple(dict.fromkeys([first, *cameras, PAGE_CAMERA, DEMO]))

    def open_named(name: str) -> Source:
        if name == PAGE_CAMERA:
            return PageCamera(seat)
        source = open_source(which if name == first else name, fps=fps)
        chosen(source)
        return source

    return SourceSwitch(first, opened, open_named, names)


@contextlib.contextmanager
def serve_session(
    session: Session, picture: PagePicture, recordings: Recordings, seat: CameraSeat, host: str, port: int
) -> Iterator[ControlServer]:
    """A server for a session, as long as the block runs; found by `livepuppet control` meanwhile.

    Raises:
        MissingPartError: the extra is not installed.
        UsageError: that address or port cannot be had.
        RunError: the note by which it is found cannot be written.
    """
    if session.avatars is None:
        raise UsageError("a session without avatars to choose among cannot be served", parameter="avatars")
    with open_server(StudioContext(session, picture, Gallery(session.avatars), recordings, seat), host, port) as server:
        server.announce()
        yield server
