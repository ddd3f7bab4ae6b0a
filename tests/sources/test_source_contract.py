"""What every source promises (`livepuppet.types.Source`), held against all that can run here; a camera needs a device (test_camera.py)."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from media import frame_number, write_numbered_video

from livepuppet.errors import UsageError
from livepuppet.sources.demo import DemoSource
from livepuppet.sources.microphone import MicrophoneSource
from livepuppet.sources.video import VideoSource
from livepuppet.types import ExpressionFrame, ExpressionSource, Frame, Source

FRAMES = 45
MAKERS: dict[str, Callable[[Path], Source]] = {
    "video": lambda video: VideoSource(video, paced=False),
    "video paced": lambda video: VideoSource(video, paced=True),
    "video looping": lambda video: VideoSource(video, paced=False, loop=True),
    "demo": lambda video: DemoSource(paced=False),
    "demo paced": lambda video: DemoSource(paced=True),
}


VOICE = Path(__file__).parents[1] / "cases/voice.mp3"
TELLERS: dict[str, Callable[[Path], Source]] = {
    "voice": lambda video: MicrophoneSource(str(VOICE), paced=False),
    "voice paced": lambda video: MicrophoneSource(str(VOICE), paced=True),
    "nobody": lambda video: MicrophoneSource("none"),
}
"""Sources that tell in numbers what a driver does. What phones and programs send is in test_trackers.py."""


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_numbered_video(tmp_path / "video.mp4", FRAMES, step=900)


@pytest.fixture(params=MAKERS)
def source(request: pytest.FixtureRequest, video: Path) -> Iterator[Source]:
    made = MAKERS[request.param](video)
    yield made
    made.close()


@pytest.fixture(params=[*MAKERS, *TELLERS])
def any_source(request: pytest.FixtureRequest, video: Path) -> Iterator[Source]:
    made = (MAKERS | TELLERS)[request.param](video)
    yield made
    made.close()


def test_describes_itself(any_source: Source) -> None:
    source = any_source
    assert source.name and source.fps > 0 and source.trouble == ""
    assert isinstance(source.live, bool) and isinstance(source.mirrored, bool)


def test_frames_are_rgb_pictures_with_growing_index_and_time(source: Source) -> None:
    frames = []
    before = time.monotonic()
    for _ in range(10):
        frame = source.read()
        assert isinstance(frame, Frame)
        frames.append(frame)
    after = time.monotonic()
    for frame in frames:
        assert frame.image.dtype == np.uint8 and frame.image.ndim == 3 and frame.image.shape[2] == 3
        assert frame.image.flags.c_contiguous and frame.image.shape == frames[0].image.shape
        assert before <= frame.captured_at <= after
        assert frame.media_time is not None
    assert [f.index for f in frames] == list(range(10))
    assert all(a.captured_at <= b.captured_at for a, b in itertools.pairwise(frames))
    assert np.all(np.diff([f.media_time or 0.0 for f in frames]) > 0) and frames[0].media_time == 0


@pytest.mark.parametrize("name", TELLERS)
def test_tellers_say_so_and_their_index_and_time_grow(name: str, video: Path) -> None:
    source = TELLERS[name](video)
    assert isinstance(source, ExpressionSource)
    frames = [source.read() for _ in range(10)]
    source.close()
    told = [frame for frame in frames if isinstance(frame, ExpressionFrame)]
    assert len(told) == 10
    assert [f.index for f in told] == sorted({f.index for f in told})
    assert all(a.captured_at <= b.captured_at for a, b in itertools.pairwise(told))
    assert all(f.weights.shape == (52,) and f.head.shape == f.shift.shape == (3,) and f.gaze.shape == (2,) for f in told)


def test_closing_twice_and_reading_after_closing(any_source: Source) -> None:
    source = any_source
    assert source.read() is not None
    source.close()
    source.close()
    assert source.read() is None


def test_closing_from_another_thread_ends_the_reading(any_source: Source) -> None:
    source = any_source
    ended = threading.Event()

    def drain() -> None:
        while source.read() is not None:
            pass
        ended.set()

    thread = threading.Thread(target=drain)
    thread.start()
    time.sleep(0.1)
    source.close()
    thread.join(timeout=10)
    assert ended.is_set() and not thread.is_alive()


@pytest.mark.parametrize("paced", [False, True])
def test_a_recorded_film_loses_no_frame(video: Path, paced: bool) -> None:
    source = VideoSource(video, paced=paced)
    assert not source.live
    numbers: list[int] = []
    while (frame := source.read()) is not None:
        if len(numbers) == 20:
            time.sleep(0.2)  # a slow reader
        numbers.append(frame_number(frame.image))
    source.close()
    assert numbers == list(range(FRAMES))


def test_pacing_follows_the_timestamps(video: Path) -> None:
    """Never early: a frame is not delivered before its time (late is up to the machine)."""
    source = VideoSource(video, paced=True)
    frames = [frame for _ in range(FRAMES) if (frame := source.read()) is not None]
    source.close()
    for frame in frames:
        assert frame.captured_at - frames[0].captured_at >= (frame.media_time or 0) - 1e-3
    assert source.read() is None


def test_a_loop_goes_on_without_a_seam(video: Path) -> None:
    source = VideoSource(video, paced=False, loop=True)
    frames = [source.read() for _ in range(FRAMES * 2 + 5)]
    source.close()
    assert [frame_number(f.image) for f in frames if f] == [i % FRAMES for i in range(FRAMES * 2 + 5)]
    steps = np.diff([f.media_time or 0.0 for f in frames if f])
    assert np.allclose(steps, 0.01, atol=2e-3)


def test_the_demo_loops(tmp_path: Path) -> None:
    source = DemoSource(paced=False)
    frames = [source.read() for _ in range(302)]
    source.close()
    first, again = frames[1], frames[301]
    assert first is not None and again is not None
    assert np.array_equal(first.image, again.image) and again.media_time == pytest.approx((first.media_time or 0) + 10, abs=1e-6)


def test_bad_films_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such video"):
        VideoSource(tmp_path / "nothing.mp4", paced=True)
