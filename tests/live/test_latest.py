"""The newest frame wins, a lossless writer waits, and errors cross over."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from livepuppet.errors import SourceError
from livepuppet.live.latest import LatestFrame
from livepuppet.types import Frame


def frame(index: int) -> Frame:
    return Frame(np.zeros((2, 2, 3), np.uint8), index, index / 30)


def test_a_live_reader_gets_the_newest_and_never_the_same_twice() -> None:
    channel = LatestFrame(lossless=False)
    for index in range(5):
        assert channel.put(frame(index))
    taken = channel.take(0)
    assert taken is not None and taken.index == 4
    assert channel.take(0) is None


def test_a_lossless_writer_loses_nothing_whatever_the_reader_does() -> None:
    channel = LatestFrame(lossless=True)

    def write() -> None:
        for index in range(200):
            channel.put(frame(index))
        channel.close()

    writer = threading.Thread(target=write)
    writer.start()
    seen = []
    while not channel.ended:
        taken = channel.take(1)
        if taken is not None:
            seen.append(taken.index)
    writer.join()
    assert seen == list(range(200))


def test_the_last_frame_can_be_taken_after_closing_then_the_error_is_raised_once() -> None:
    channel = LatestFrame(lossless=False)
    channel.put(frame(7))
    channel.close(SourceError("the camera went away"))
    assert not channel.ended
    assert channel.take(0) is not None
    with pytest.raises(SourceError, match="went away"):
        channel.take(0)
    assert channel.ended and channel.take(0) is None


def test_closing_frees_a_writer_that_waits() -> None:
    channel = LatestFrame(lossless=True)
    channel.put(frame(0))
    results: list[bool] = []
    writer = threading.Thread(target=lambda: results.append(channel.put(frame(1))))
    writer.start()
    channel.close()
    writer.join(5)
    assert results == [False]
