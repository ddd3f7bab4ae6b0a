"""What every sink promises (see livepuppet.types.Sink), held against all that can run here.

What a window does besides: tests/sinks/test_window_screen.py. A virtual camera needs a device: tests/sinks/test_virtual_camera.py.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from media import frame_number, numbered_image

from livepuppet.errors import SinkError, UsageError
from livepuppet.sinks.null import NullSink
from livepuppet.sinks.recorder import QUEUE_LENGTH, Recorder
from livepuppet.sinks.window import Window
from livepuppet.types import Frame, Sink
from livepuppet.video.reader import VideoReader
from livepuppet.video.writer import KEEPS_ORDINARY_MP4, VideoWriter

SIZE = (160, 120)
MAKERS: dict[str, Callable[[Path], Sink]] = {
    "none": lambda folder: NullSink(),
    "file mp4": lambda folder: Recorder(folder / "a.mp4"),
    "file mkv": lambda folder: Recorder(folder / "a.mkv"),
    "file mov": lambda folder: Recorder(folder / "a.mov"),
    "window": lambda folder: Window(),
}


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.screen] if name == "window" else []) for name in MAKERS])
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sink]:
    if request.param == "window":
        request.getfixturevalue("screen")
    made = MAKERS[request.param](tmp_path)
    yield made
    made.close()


def frame(i: int, fps: float = 30, media: bool = True) -> Frame:
    return Frame(numbered_image(i, SIZE), i, 1000 + i / fps, i / fps if media else None)


def videos(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if p.is_file()]


def test_takes_frames_and_closes_twice(sink: Sink, tmp_path: Path) -> None:
    assert sink.name and isinstance(sink.live, bool)
    sink.open(SIZE, 30.0, lossless=True)
    for i in range(40):
        sink.write(frame(i))
    sink.close()
    sink.close()
    for path in videos(tmp_path):
        assert [frame_number(p.image) for p in VideoReader(path)] == list(range(40))


def test_closing_without_frames_or_without_opening(sink: Sink, tmp_path: Path) -> None:
    sink.close()
    sink.open(SIZE, 30.0, lossless=False)
    sink.close()
    assert not videos(tmp_path)


def test_frames_are_left_as_they_are(sink: Sink) -> None:
    sink.open(SIZE, 30.0, lossless=True)
    one = frame(5)
    before = one.image.copy()
    sink.write(one)
    sink.close()
    assert np.array_equal(one.image, before)


def test_no_thread_outlives_the_sink(sink: Sink) -> None:
    before = threading.active_count()
    sink.open(SIZE, 30.0, lossless=True)
    sink.write(frame(0))
    sink.close()
    assert threading.active_count() == before


def times(path: Path) -> list[float]:
    video = VideoReader(path)
    return [float(p.pts * video.time_base) for p in video]


def test_recording_keeps_the_films_own_time(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.mp4")
    recorder.open(SIZE, 30.0, lossless=True)
    driver_frames = [2.0, 2.04, 2.05, 3.5, 3.5, 3.4, 4.0]  # repeated and backward times become a little later ones
    for i, driver_frame in enumerate(driver_frames):
        recorder.write(Frame(numbered_image(i, SIZE), i, 77.0, driver_frame))
    recorder.close()
    assert times(tmp_path / "a.mp4") == pytest.approx([0, 0.04, 0.05, 1.5, 1.5, 1.5, 2.0], abs=1e-4)
    assert np.all(np.diff(times(tmp_path / "a.mp4")) > 0)


def test_recording_a_camera_keeps_capture_times(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.mp4")
    recorder.open(SIZE, 30.0, lossless=True)
    for i in (0, 1, 2, 7, 8):  # a gap is dropped frames
        recorder.write(frame(i, media=False))
    recorder.close()
    assert times(tmp_path / "a.mp4") == pytest.approx([0, 1 / 30, 2 / 30, 7 / 30, 8 / 30], abs=1e-4)


class Disk:
    """Stands before the real writer and holds it up, as a slow disk does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = threading.Event()
        real = VideoWriter.write

        def slow(writer: VideoWriter, image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], pts: int) -> None:
            self.free.wait(30)
            real(writer, image, pts)

        monkeypatch.setattr(VideoWriter, "write", slow)


def test_a_slow_disk_drops_frames_and_never_delays_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    recorder = Recorder(tmp_path / "a.mp4")
    recorder.open(SIZE, 30.0, lossless=False)
    for i in range(100):  # would never end if it waited for the disk
        recorder.write(frame(i))
    disk.free.set()
    recorder.close()
    kept = len(times(tmp_path / "a.mp4"))
    assert QUEUE_LENGTH <= kept <= QUEUE_LENGTH + 1 and recorder.dropped == 100 - kept


def test_a_slow_disk_makes_a_lossless_recording_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    recorder = Recorder(tmp_path / "a.mp4")
    recorder.open(SIZE, 30.0, lossless=True)

    def write() -> None:
        for i in range(100):
            recorder.write(frame(i))

    writing = threading.Thread(target=write)
    writing.start()
    time.sleep(0.2)
    assert writing.is_alive()
    disk.free.set()
    writing.join()
    recorder.close()
    assert len(times(tmp_path / "a.mp4")) == 100 and recorder.dropped == 0


def test_recording_to_what_is_no_film(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"choose a name that ends in \.mp4"):
        Recorder(tmp_path / "a.txt")


def test_recording_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="there is not a folder"):
        Recorder(tmp_path / "nowhere" / "a.mp4").open(SIZE, 30.0, lossless=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("lossless", [True, False])
def test_a_full_disk_reaches_the_caller_once_it_writes_on(tmp_path: Path, lossless: bool) -> None:
    (tmp_path / "a.mp4").symlink_to("/dev/full")
    recorder = Recorder(tmp_path / "a.mp4")
    recorder.open(SIZE, 30.0, lossless=lossless)
    with pytest.raises(SinkError, match="the disk is full"):
        for i in range(400):
            recorder.write(frame(i))
            if not lossless:
                time.sleep(0.01)
    recorder.close()


@pytest.mark.skipif(not KEEPS_ORDINARY_MP4, reason="this release of PyAV does not tell when the last bytes find no place")
def test_a_failure_seen_only_at_the_end_is_raised_by_close(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    (tmp_path / "a.mp4").symlink_to("/dev/full")
    recorder = Recorder(tmp_path / "a.mp4")
    recorder.open(SIZE, 30.0, lossless=True)
    recorder.write(frame(0))
    with pytest.raises(SinkError, match="the disk is full"):
        recorder.close()
    recorder.close()


def test_a_picture_of_another_size_fails_the_recording_not_the_program(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.mp4")
    recorder.open(SIZE, 30.0, lossless=True)
    recorder.write(frame(0))
    recorder.write(Frame(numbered_image(0, (80, 60)), 1, 1.0, 1.0))
    with pytest.raises(SinkError, match="unexpected picture size: 80x60"):
        recorder.close()
    assert len(times(tmp_path / "a.mp4")) == 1
