"""Reading a video leaves nothing behind: no frame waits for Python's collector, and no thread is started per frame."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from livepuppet.sinks.recorder import QUEUE_BYTES, QUEUE_LENGTH, queue_length
from livepuppet.types import Size
from livepuppet.video.reader import VideoReader
from livepuppet.video.writer import bound_lookahead, h264


def write_video(path: Path, frames: int, size: Size = (320, 240)) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for i in range(frames):
            image = np.full((size[1], size[0], 3), i % 250, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def frames_held() -> int:
    return sum(type(found).__name__ in {"VideoFrame", "SideDataContainer"} for found in gc.get_objects())


def test_no_decoded_frame_waits_for_the_collector(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 60)
    gc.collect()
    before = frames_held()
    gc.disable()
    try:
        video = VideoReader(path)
        frames = sum(1 for _ in video)
        video.close()
        left = frames_held() - before
    finally:
        gc.enable()
    assert frames == 60
    assert left <= 4, f"{left} frames or their side data are still held"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads are counted in /proc")
def test_threads_stay_as_many_as_at_the_first_frame(tmp_path: Path) -> None:
    video = VideoReader(write_video(tmp_path / "a.mp4", 60))
    counts = [len(os.listdir("/proc/self/task")) for _ in video]
    video.close()
    assert max(counts) == counts[0]


def test_what_waits_for_the_encoder_is_bounded_by_bytes() -> None:
    assert queue_length((640, 360)) == QUEUE_LENGTH
    assert 2 <= queue_length((4096, 4096)) <= max(2, QUEUE_BYTES // (4096 * 4096 * 3))


def test_the_encoder_looks_ahead_at_fewer_large_frames() -> None:
    options = h264(".mp4", "fast").options
    assert bound_lookahead(options, (1024, 1024)) == options
    assert "rc-lookahead=16:" in bound_lookahead(options, (1920, 1080))["x264-params"]
    assert "rc-lookahead=2:" in bound_lookahead(options, (4096, 4096))["x264-params"]
