"""livepuppet as a tracker: what it sends is what its own receiver, written from the protocol, understands."""

from __future__ import annotations

import numpy as np
import pytest

from livepuppet.errors import SinkError, UsageError
from livepuppet.factory import make_sink
from livepuppet.sinks.vmc import VmcSender
from livepuppet.sources.trackers.vmc import VmcSource
from livepuppet.types import ExpressionFrame, Follower, Frame
from livepuppet.vision.expressions import unit_weights

IMAGE = np.zeros((8, 8, 3), np.uint8)


def test_units_head_and_gaze_arrive_at_the_other_end() -> None:
    told = ExpressionFrame(
        unit_weights({"jawOpen": 0.5, "mouthSmileLeft": 0.25, "tongueOut": 1.0}),
        head=np.array([0.3, -0.2, 0.1]),
        gaze=np.array([0.2, -0.1]),
    )
    with VmcSource("vmc://127.0.0.1:39620") as receiver, VmcSender("vmc://127.0.0.1:39620") as sender:
        assert isinstance(sender, Follower)
        sender.open((8, 8), 30, lossless=False)
        sender.follow(told)
        sender.write(Frame(IMAGE, 0, 1.0))
        heard = receiver.read()
    assert heard is not None
    assert np.allclose(heard.weights, told.weights, atol=1e-6)
    assert np.allclose(heard.head, told.head, atol=1e-5)


def test_while_nobody_is_seen_the_receiver_hears_of_nobody() -> None:
    with VmcSource("vmc://127.0.0.1:39621") as receiver, VmcSender("vmc://127.0.0.1:39621") as sender:
        sender.write(Frame(IMAGE, 0, 1.0))
        data, _ = receiver._socket.recvfrom(65_536)
        assert receiver.parse(data) is None and not receiver._followed


def test_a_receiver_that_is_not_there_yet_costs_nothing() -> None:
    sender = VmcSender("vmc://127.0.0.1:39622")
    sender.follow(ExpressionFrame(np.zeros(52)))
    for number in range(5):
        sender.write(Frame(IMAGE, number, 1.0 + number))
    sender.close()
    sender.close()
    with pytest.raises(SinkError, match="is closed"):
        sender.write(Frame(IMAGE, 9, 9.0))


@pytest.mark.parametrize("text", ["vmc://", "vmc://:39539", "vmc://host:port"])
def test_an_address_that_is_none_says_what_to_write(text: str) -> None:
    with pytest.raises(UsageError, match="write vmc://HOST") as caught:
        make_sink(text)
    assert caught.value.parameter == "send"
