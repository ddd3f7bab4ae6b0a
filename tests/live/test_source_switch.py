"""A session's camera can be exchanged while it runs; a camera that fails never ends the session."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from session_fixtures import Script, Shelf, clip, session_for

from livepuppet.errors import SourceError
from livepuppet.live.source_switch import SourceSwitch
from livepuppet.types import Source


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)


class Drawer:
    """Sources by name; 'broken' cannot be opened."""

    def __init__(self) -> None:
        self.opened: list[Script] = []

    def __call__(self, name: str) -> Source:
        if name == "broken":
            raise SourceError("the camera is busy: close the program that uses it")
        self.opened.append(Script(clip(5 if name == "short" else 5000), live=True))
        self.opened[-1].name = name
        self.opened[-1].mirrored = name == "webcam"
        return self.opened[-1]


NAMES = ("demo", "webcam", "short", "broken")


def test_the_camera_is_exchanged_and_the_old_one_closed() -> None:
    drawer, shelf = Drawer(), Shelf(live=True)
    switch = SourceSwitch("demo", drawer("demo"), drawer, lambda: NAMES)
    session = session_for(switch, [shelf])  # type: ignore[arg-type]
    runs = threading.Thread(target=session.run)
    runs.start()
    until(lambda: len(shelf.frames) > 5)
    session.controls.submit(lambda desk: desk.set("camera", "webcam")).result(10)
    until(lambda: session.state.settings["camera"] == "webcam" and session.state.settings["mirror"] is True)
    assert drawer.opened[0].closed and not drawer.opened[1].closed
    session.controls.submit(lambda desk: desk.set("camera", "broken")).result(10)
    until(lambda: "busy" in session.state.message)
    assert session.state.settings["camera"] == "webcam", "the one before goes on"
    session.controls.submit(lambda desk: desk.set("camera", "short")).result(10)
    until(lambda: "has ended" in session.state.trouble)
    session.controls.submit(lambda desk: desk.set("camera", "demo")).result(10)
    until(lambda: session.state.settings["camera"] == "demo" and not session.state.trouble)
    session.end("enough")
    runs.join(10)
    indices = [frame.index for frame in shelf.frames]
    assert indices == sorted(indices) and all(frame.media_time is None for frame in shelf.frames)
    assert all(source.closed for source in drawer.opened)


def test_the_last_of_several_wishes_is_the_one_that_comes() -> None:
    go, drawer = threading.Event(), Drawer()

    def slowly(name: str) -> Source:
        go.wait(10)
        return drawer(name)

    switch = SourceSwitch("demo", drawer("demo"), slowly, lambda: NAMES)
    for name in ("webcam", "broken", "short"):
        switch.choose(name)
    go.set()
    until(switch.changed)
    assert (switch.chosen, switch.name, switch.failure()) == ("short", "short", "")
    switch.close()
    assert all(source.closed for source in drawer.opened)


def test_closing_while_another_camera_opens_leaves_none_open() -> None:
    go = threading.Event()
    drawer = Drawer()

    def slowly(name: str) -> Source:
        go.wait(10)
        return drawer(name)

    switch = SourceSwitch("demo", drawer("demo"), slowly, lambda: NAMES)
    switch.choose("webcam")
    switch.choose("short")
    assert switch.chosen == "short", "the last wish counts"
    closing = threading.Thread(target=switch.close)
    closing.start()
    go.set()
    closing.join(10)
    assert not closing.is_alive() and all(source.closed for source in drawer.opened)
    assert switch.read() is None and switch.choose("demo") == ""
