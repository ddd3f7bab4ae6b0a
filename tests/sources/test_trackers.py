"""Phones and programs that send a face in numbers: simulated from their protocols, over real sockets, with all that a network does."""

from __future__ import annotations

import contextlib
import queue
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder

from livepuppet.errors import SourceError, UsageError
from livepuppet.factory import open_source
from livepuppet.sources.trackers.ifacialmocap import GREETING, IFacialMocapSource
from livepuppet.sources.trackers.livelink import NAMES, LiveLinkSource
from livepuppet.sources.trackers.receiver import STRANGE_LIMIT, Tracker
from livepuppet.sources.trackers.vmc import VmcSource
from livepuppet.types import ExpressionFrame, ExpressionSource
from livepuppet.vision.expressions import EXPRESSION_UNITS

PLACES = {name: i for i, name in enumerate(EXPRESSION_UNITS)}


def osc(address: str, *values: object) -> bytes:
    builder = OscMessageBuilder(address)
    for value in values:
        builder.add_arg(value)  # type: ignore[arg-type]
    return bytes(builder.build().dgram)


def vmc(number: int, jaw: float, *, yaw: float = 0.0, ok: int = 1) -> bytes:
    """A frame as VSeeFace bundles it. yaw: degrees about Unity's y axis: to the avatar's right."""
    bundle = OscBundleBuilder(IMMEDIATELY)
    half = np.radians(yaw) / 2
    messages = [
        ("/VMC/Ext/OK", ok),
        ("/VMC/Ext/T", number / 60),
        ("/VMC/Ext/Bone/Pos", "Head", 0.0, 1.6, 0.0, 0.0, float(np.sin(half)), 0.0, float(np.cos(half))),
        ("/VMC/Ext/Blend/Val", "JawOpen", jaw),
        ("/VMC/Ext/Blend/Apply",),
    ]
    for address, *values in messages:
        builder = OscMessageBuilder(str(address))
        for value in values:
            builder.add_arg(value)
        bundle.add_content(builder.build())
    return bytes(bundle.build().dgram)


def livelink(number: int, jaw: float, *, yaw: float = 0.0, seen: bool = True) -> bytes:
    head = b"\x06" + b"".join(struct.pack(">i", len(text)) + text for text in (b"1A2B-3C4D", b"iPhone"))
    head += struct.pack(">IfII", number, 0.25, 60, 1)
    if not seen:
        return head
    values = [0.0] * 61
    values[NAMES.index("jawOpen")], values[52] = jaw, float(np.radians(yaw))
    return head + bytes([61]) + struct.pack(">61f", *values)


def ifacialmocap(number: int, jaw: float, *, yaw: float = 0.0, seen: bool = True, mark: str = "-") -> bytes:
    units = {"jawOpen": jaw, "eyeBlink_L": 0.5, "eyeBlink_R": 0.0, "mouthSmile_L": 0.0, "browInnerUp": 0.1, "hapihapi": 0.0}
    line = "".join(f"{name}{mark}{round(100 * weight)}|" for name, weight in units.items()) + f"trackingStatus{mark}{int(seen)}|"
    return (line + f"=head#1.0,{yaw},-2.0,-0.03,-0.1,-0.65|rightEye#6.0,2.4,0.25|leftEye#6.0,-1.6,-0.17|").encode()


Packet = Callable[..., bytes]
KINDS: dict[str, tuple[Callable[[], Tracker], Packet]] = {
    "vmc": (lambda: VmcSource("vmc://127.0.0.1:39600"), vmc),
    "livelink": (lambda: LiveLinkSource("livelink://127.0.0.1:39601"), livelink),
    "ifacialmocap": (lambda: IFacialMocapSource("ifacialmocap://127.0.0.1:39603", listen=0), ifacialmocap),
}


class Sender:
    """A phone that sends to a tracker."""

    def __init__(self, tracker: Tracker, packet: Packet) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._to, self.packet = ("127.0.0.1", tracker.port), packet

    def send(self, data: bytes) -> None:
        self._socket.sendto(data, self._to)

    def close(self) -> None:
        self._socket.close()


class Listener:
    """Reads a tracker as a session does, in a thread of its own."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker
        self._frames: queue.Queue[ExpressionFrame | None] = queue.Queue()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def next(self, within: float = 5.0) -> ExpressionFrame | None:
        """The next frame, or None where none comes in time."""
        with contextlib.suppress(queue.Empty):
            return self._frames.get(timeout=within)
        return None

    def close(self) -> None:
        self.tracker.close()
        self._thread.join(5)
        assert not self._thread.is_alive()

    def _listen(self) -> None:
        while (frame := self.tracker.read()) is not None:
            self._frames.put(frame)


@contextlib.contextmanager
def connected(name: str) -> Iterator[tuple[Listener, Sender]]:
    make, packet = KINDS[name]
    listener = Listener(make())
    sender = Sender(listener.tracker, packet)
    try:
        yield listener, sender
    finally:
        sender.close()
        listener.close()
        listener.tracker.close()


@pytest.fixture(params=sorted(KINDS))
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Listener, Sender]]:
    with connected(request.param) as both:
        yield both


def jaw_of(frame: ExpressionFrame | None) -> float:
    assert frame is not None
    return float(frame.weights[PLACES["jawOpen"]])


def test_units_and_head_arrive_as_they_were_sent(pair: tuple[Listener, Sender]) -> None:
    listener, sender = pair
    tracker = listener.tracker
    assert isinstance(tracker, ExpressionSource) and tracker.live
    sender.send(sender.packet(1, 0.75))
    first = listener.next()
    assert jaw_of(first) == pytest.approx(0.75, abs=0.01)
    sender.send(sender.packet(2, 0.25, yaw=20.0))
    second = listener.next()
    assert first is not None and second is not None
    assert jaw_of(second) == pytest.approx(0.25, abs=0.01)
    assert abs(second.head[0] - first.head[0]) == pytest.approx(np.radians(20), abs=0.01)
    assert second.index == first.index + 1 and second.captured_at >= first.captured_at
    assert tracker.trouble == ""


def test_a_turn_to_the_right_is_one_in_every_protocol(pair: tuple[Listener, Sender]) -> None:
    """Unity's positive turn is to the avatar's right; ARKit's to the person's left, which is the picture's right."""
    listener, sender = pair
    tracker = listener.tracker
    sender.send(sender.packet(1, 0.0, yaw=20.0))
    frame = listener.next()
    assert frame is not None
    assert (frame.head[0] < 0) == isinstance(tracker, VmcSource)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_only_the_newest_of_what_waits_is_delivered(name: str) -> None:
    make, packet = KINDS[name]
    with make() as tracker:
        sender = Sender(tracker, packet)
        for number in range(1, 11):
            sender.send(packet(number, number / 10))
        assert jaw_of(tracker.read()) == pytest.approx(1.0, abs=0.01)
        sender.close()


@pytest.mark.parametrize("name", ["vmc", "livelink"])
def test_a_late_packet_does_not_turn_back_time_but_an_app_that_begins_again_is_heard(name: str) -> None:
    with connected(name) as (listener, sender):
        sender.send(sender.packet(10_010, 0.8))
        assert jaw_of(listener.next()) == pytest.approx(0.8)
        sender.send(sender.packet(10_008, 0.1))
        sender.send(sender.packet(10_011, 0.6))
        assert jaw_of(listener.next()) == pytest.approx(0.6)
        sender.send(sender.packet(10_009, 0.1))
        assert listener.next(0.3) is None
        sender.send(sender.packet(1, 0.3))
        assert jaw_of(listener.next()) == pytest.approx(0.3)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_damaged_packets_give_nothing_or_numbers(name: str) -> None:
    make, packet = KINDS[name]
    tracker = make()
    rng = random.Random(1)
    good = packet(1, 0.5)
    for number in range(300):
        if number % 3 == 0:
            damaged = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 200)))
        elif number % 3 == 1:
            damaged = good[: rng.randrange(1, len(good))]
        else:
            broken = bytearray(good)
            for _ in range(4):
                broken[rng.randrange(len(broken))] = rng.randrange(256)
            damaged = bytes(broken)
        try:
            frame = tracker.parse(damaged)
        except ValueError:
            continue
        assert frame is None or (np.isfinite(frame.weights).all() and np.isfinite(frame.head).all() and np.isfinite(frame.shift).all())
    tracker.close()


def test_what_another_program_sends_is_left_out_and_said(pair: tuple[Listener, Sender]) -> None:
    listener, sender = pair
    tracker = listener.tracker
    for _ in range(STRANGE_LIMIT + 1):
        sender.send(b"GET / HTTP/1.1")
    assert listener.next(0.5) is None and tracker.program in tracker.trouble and "not" in tracker.trouble
    sender.send(sender.packet(2, 0.5))
    assert jaw_of(listener.next()) == pytest.approx(0.5, abs=0.01)
    assert tracker.trouble == ""


def test_without_a_face_nothing_is_delivered(pair: tuple[Listener, Sender]) -> None:
    listener, sender = pair
    tracker = listener.tracker
    sender.send(sender.packet(1, 0.5))
    assert listener.next() is not None
    unseen = {"ok": 0} if isinstance(tracker, VmcSource) else {"seen": False}
    sender.send(sender.packet(2, 0.9, **unseen))
    assert listener.next(0.3) is None
    time.sleep(0.9)
    assert "sees no face" in tracker.trouble
    sender.send(sender.packet(3, 0.4))
    assert jaw_of(listener.next()) == pytest.approx(0.4, abs=0.01)


def test_two_phones_do_not_make_one_face(pair: tuple[Listener, Sender]) -> None:
    listener, sender = pair
    tracker = listener.tracker
    other = Sender(tracker, sender.packet)
    sender.send(sender.packet(1, 0.2))
    other.send(sender.packet(5, 0.9))
    assert jaw_of(listener.next()) == pytest.approx(0.2, abs=0.01)
    time.sleep(1.1)
    other.send(sender.packet(6, 0.9))
    assert jaw_of(listener.next()) == pytest.approx(0.9, abs=0.01)
    other.close()


def test_closing_ends_a_waiting_read(pair: tuple[Listener, Sender]) -> None:
    pair[0].close()


def test_the_phone_is_asked_until_it_answers() -> None:
    phone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    phone.bind(("127.0.0.1", 0))
    phone.settimeout(5)
    with IFacialMocapSource(f"ifacialmocap://127.0.0.1:{phone.getsockname()[1]}", listen=0) as tracker:
        reading = threading.Thread(target=tracker.read, daemon=True)
        reading.start()
        assert [phone.recvfrom(200)[0] for _ in range(2)] == [GREETING, GREETING]
        phone.sendto(ifacialmocap(1, 0.5), ("127.0.0.1", tracker.port))
        reading.join(5)
        assert not reading.is_alive()
    phone.close()


def test_the_second_version_of_the_line_is_read_too() -> None:
    with IFacialMocapSource("ifacialmocap://127.0.0.1", listen=0) as tracker:
        assert jaw_of(tracker.parse(ifacialmocap(1, 0.5, mark="&"))) == pytest.approx(0.5)


def test_plain_vrm_expressions_open_the_mouth_where_there_is_nothing_finer() -> None:
    with VmcSource("vmc://127.0.0.1:39605") as tracker:
        assert tracker.parse(osc("/VMC/Ext/Blend/Val", "A", 1.0)) is None
        assert tracker.parse(osc("/VMC/Ext/Blend/Val", "Blink_L", 1.0)) is None
        frame = tracker.parse(osc("/VMC/Ext/Blend/Apply"))
        assert frame is not None and jaw_of(frame) > 0.3 and frame.weights[PLACES["eyeBlinkLeft"]] == 1.0


@pytest.mark.parametrize(
    "text", ["vmc://:0", "vmc://:99999", "vmc://host:1/path", "livelink://:x", "ifacialmocap://", "ifacialmocap://:49983"]
)
def test_addresses_that_are_none_say_what_to_write(text: str) -> None:
    with pytest.raises(UsageError, match=r"write |say which phone"):
        open_source(text)


def test_a_port_that_is_taken_is_said() -> None:
    with VmcSource("vmc://127.0.0.1:39606"), pytest.raises(SourceError, match="another program listens"):
        open_source("vmc://127.0.0.1:39606")
