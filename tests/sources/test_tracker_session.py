"""A phone that falls silent in the middle of a session: the portrait holds, idles, and goes on with the phone."""

from __future__ import annotations

import socket
import struct
import threading
import time
from importlib.resources import files

import numpy as np
from session_fixtures import Shelf

from livepuppet.engines.landmark import LandmarkEngine
from livepuppet.live.puppet import Puppet
from livepuppet.live.session import Limits, Session
from livepuppet.sources.trackers.livelink import NAMES, LiveLinkSource
from livepuppet.types import Image, Tuning
from livepuppet.vision.portrait import load_portrait


def packet(number: int, jaw: float) -> bytes:
    values = [0.0] * 61
    values[NAMES.index("jawOpen")] = jaw
    head = b"\x06" + struct.pack(">i", 1) + b"A" + struct.pack(">i", 1) + b"B" + struct.pack(">IfII", number, 0.0, 60, 1)
    return head + bytes([61]) + struct.pack(">61f", *values)


def difference(one: Image, other: Image) -> float:
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


def test_hold_idle_resume() -> None:
    engine = LandmarkEngine()
    avatar = engine.prepare(load_portrait(str(files("livepuppet") / "assets/avatars/ada.jpg")), (160, 160))
    shelf = Shelf(live=True)
    source = LiveLinkSource("livelink://127.0.0.1:39610")
    session = Session(source, Puppet(engine, avatar, Tuning(smoothing=0.0)), [shelf], limits=Limits(seconds=60))
    running = threading.Thread(target=session.run)
    running.start()
    phone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    number = 0

    def talk(jaw: float, until: int) -> None:
        """Send until so many frames are there."""
        nonlocal number
        deadline = time.monotonic() + 60
        while len(shelf.frames) < until and time.monotonic() < deadline:
            number += 1
            phone.sendto(packet(number, jaw), ("127.0.0.1", source.port))
            time.sleep(0.02)

    try:
        talk(1.0, 20)
        opened = shelf.frames[-1].image
        assert difference(opened, avatar.image) > 1.0
        deadline = time.monotonic() + 60
        silent_since = time.monotonic()
        while time.monotonic() < deadline and (time.monotonic() - silent_since < 4.0 or difference(shelf.frames[-1].image, opened) < 0.5):
            time.sleep(0.1)
        assert "sees no face, or has stopped" in source.trouble
        assert difference(shelf.frames[-1].image, opened) > 0.5, "the mouth falls shut when the phone is silent for long"
        assert not session.puppet.condition.face
        talk(1.0, len(shelf.frames) + 40)
        assert session.puppet.condition.face and difference(shelf.frames[-1].image, opened) < 0.5
    finally:
        session.end("the test is over")
        running.join(20)
        phone.close()
        engine.close()
    assert not running.is_alive()
