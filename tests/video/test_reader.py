"""Reading and writing videos: every frame, its exact timestamp, upright, in its own colours, whatever the file is like."""

from __future__ import annotations

import http.server
import itertools
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
from media import frame_number, numbered_image, set_display_matrix, shared_path, write_numbered_video, write_silent_audio

from livepuppet.errors import SinkError, SourceError, UsageError
from livepuppet.sources.video import VideoSource
from livepuppet.video.reader import VideoReader
from livepuppet.video.writer import CLOCK, VideoWriter, h264


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_every_frame_comes_back_in_order_with_its_time(tmp_path: Path, suffix: str) -> None:
    video = VideoReader(write_numbered_video(tmp_path / f"a{suffix}"))
    images = list(video)
    assert [frame_number(p.image) for p in images] == list(range(60))
    assert video.size == (160, 120) and abs(video.fps - 30) < 0.1
    assert all(abs(video.seconds(p.pts) - i / 30) < 0.001 for i, p in enumerate(images))
    video.close()
    video.close()


def test_uneven_timestamps_are_exact(tmp_path: Path) -> None:
    times = [0, 7, 3001, 3002, 9000, 90_000, 90_001, 400_123]
    writer = VideoWriter(tmp_path / "a.mp4", (64, 48), format=h264(".mp4", "veryfast"), fps=30, time_base=CLOCK)
    for i, pts in enumerate(times):
        writer.write(numbered_image(i, (64, 48)), pts)
    writer.close()
    video = VideoReader(tmp_path / "a.mp4")
    assert [Fraction(p.pts) * video.time_base for p in video] == [Fraction(t, 90_000) for t in times]


def test_colours_survive_and_are_labelled(tmp_path: Path) -> None:
    image = next(iter(VideoReader(write_numbered_video(tmp_path / "a.mp4", 3)))).image
    assert np.abs(image[100, 20].astype(int) - (200, 30, 60)).max() <= 4
    assert np.abs(image[100, 140].astype(int) - (20, 60, 230)).max() <= 4
    with av.open(str(tmp_path / "a.mp4")) as container:
        frame = next(container.decode(video=0))
        labels = [getattr(frame, name, 1) for name in ("colorspace", "color_primaries", "color_trc", "color_range")]
        assert labels == [1, 1, 1, 1]  # PyAV 16 tells only the first and the last


def test_odd_sizes_lose_a_row_or_column(tmp_path: Path) -> None:
    assert VideoReader(write_numbered_video(tmp_path / "a.mp4", 3, (161, 121))).size == (160, 120)


def test_wrong_size_and_time_are_refused(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "a.mp4", (64, 48), format=h264(".mp4", "veryfast"), fps=30)
    writer.write(numbered_image(0, (64, 48)), 10)
    with pytest.raises(ValueError, match="unexpected picture size: 48x64 != 64x48"):
        writer.write(numbered_image(0, (48, 64)), 11)
    with pytest.raises(ValueError, match="timestamps must grow"):
        writer.write(numbered_image(0, (64, 48)), 10)
    writer.close()


@pytest.mark.parametrize("matrix", [(0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0), (-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0)])
def test_rotation_and_mirroring_noted_in_the_file_are_honoured(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    """x' = a x + c y, y' = b x + d y (ISO/IEC 14496-12, 6.2.2): compared with the picture moved point by point."""
    path = write_numbered_video(tmp_path / "a.mp4", 2)
    plain = next(iter(VideoReader(path))).image
    set_display_matrix(path, matrix)
    a, b, c, d = matrix
    video = VideoReader(path)
    turned = next(iter(video)).image
    ys, xs = np.mgrid[: plain.shape[0], : plain.shape[1]]
    u, v = a * xs + c * ys, b * xs + d * ys
    expected = np.zeros((np.ptp(v) + 1, np.ptp(u) + 1, 3), np.uint8)
    expected[v - v.min(), u - u.min()] = plain
    assert video.size == (expected.shape[1], expected.shape[0])
    assert np.array_equal(turned, expected)


def test_pixels_that_are_not_square_are_made_square(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 144, 96, "yuv420p"
        stream.sample_aspect_ratio = Fraction(16, 9)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered_image(1, (144, 96)), format="rgb24")))
        container.mux(stream.encode(None))
    assert VideoReader(tmp_path / "a.mp4").size == (256, 96)


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_seeking_lands_on_the_frame(tmp_path: Path, suffix: str) -> None:
    path = write_numbered_video(tmp_path / "a.mp4", 90)
    if suffix == ".gif":
        shutil.copy(shared_path("media/driving/intel__head-pose-face-detection-female.gif"), path := tmp_path / "a.gif")
    everything = list(VideoReader(path))
    video = VideoReader(path)
    for i in (0, len(everything) // 2, 5, len(everything) - 1):
        video.seek(video.seconds(everything[i].pts))
        found = video.read()
        assert found is not None and found.pts == everything[i].pts
        assert np.array_equal(found.image, everything[i].image)
    video.seek(1e6)
    assert video.read() is None
    video.seek(0)
    assert len(list(video)) == len(everything)


def test_limit_reduces_large_pictures(tmp_path: Path) -> None:
    video = VideoReader(write_numbered_video(tmp_path / "a.mp4", 3, (320, 200)), limit=160)
    assert video.size == (160, 100) and frame_number(next(iter(video)).image) == 0


def test_a_damaged_stretch_costs_only_its_own_frames(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_numbered_video(tmp_path / "a.mkv", 120)
    with av.open(str(path)) as container:
        packets = [bytes(p) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for packet in packets[40:43]:
        at = data.index(packet)
        data[at : at + len(packet)] = b"\xff" * len(packet)
    path.write_bytes(data)
    video = VideoReader(path)
    images = list(video)
    assert len(images) == 117 and video.skipped == 3
    assert [frame_number(p.image) for p in images[-20:]] == list(range(100, 120))
    source = VideoSource(path, paced=False)
    while source.read() is not None:
        continue
    source.close()
    assert "3 damaged packets were left out" in caplog.text


def test_a_file_cut_short_gives_what_is_there(tmp_path: Path) -> None:
    path = write_numbered_video(tmp_path / "a.mkv", 120)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    numbers = [frame_number(p.image) for p in VideoReader(path)]
    assert 20 < len(numbers) < 120 and numbers == list(range(len(numbers)))


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("missing", "no such video"),
        ("empty", "is empty"),
        ("text", "not a readable video"),
        ("folder", "is a folder"),
        ("cut", "cut short"),
        ("sound", "only sound"),
        ("no frames", "holds no picture|not a readable video"),
    ],
)
def test_what_is_no_film_is_refused_in_one_line(tmp_path: Path, kind: str, says: str) -> None:
    path = tmp_path / "a.mp4"
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("no video\n" * 100)
    elif kind == "folder":
        path.mkdir()
    elif kind == "cut":
        write_numbered_video(path)
        path.write_bytes(path.read_bytes()[:40])
    elif kind == "sound":
        write_silent_audio(path)
    elif kind == "no frames":
        path = tmp_path / "a.wav"
        path.write_bytes(b"RIFF" + bytes(100))
    with pytest.raises(UsageError, match=says) as caught:
        VideoReader(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("clip", ["intel__head-pose-face-detection-female.gif", "latentsync__demo1_video.mp4", "lp__d9.mp4"])
def test_real_clips_are_read_whole(clip: str) -> None:
    """A GIF, 1080 x 1920 HEVC, and pixels that are not square."""
    path = shared_path(f"media/driving/{clip}")
    video = VideoReader(path, limit=200)
    times = [video.seconds(p.pts) for p in video]
    assert len(times) == video.frame_count and video.skipped == 0, path.name
    assert times[0] == 0 and all(a < b for a, b in itertools.pairwise(times)), path.name
    video.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def test_an_address_is_live(tmp_path: Path, server: str) -> None:
    write_numbered_video(tmp_path / "a.mkv", 10)
    video = VideoReader(f"{server}/a.mkv")
    assert video.live and frame_number(next(iter(video)).image) == 0
    video.close()
    with pytest.raises(SourceError, match="cannot open"):
        VideoReader(f"{server}/nothing.mkv")


KILLED = """
import sys; sys.path[:0] = [{root!r}, {root!r} + '/tests']
from livepuppet.video.writer import VideoWriter, h264
from media import numbered_image
import os, signal
writer = VideoWriter({path!r}, (160, 120), format=h264({suffix!r}, "veryfast"), fps=30)
for i in range(200):
    writer.write(numbered_image(i), i * 3000)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_killed_writer_leaves_a_playable_film(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    program = KILLED.format(root=str(Path(__file__).parents[2]), path=str(path), suffix=suffix)
    assert subprocess.run([sys.executable, "-c", program]).returncode == -9
    numbers = [frame_number(p.image) for p in VideoReader(path)]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= 120, "more than two seconds and the encoder's look-ahead were lost"


@pytest.mark.parametrize("kind", ["no folder", "folder", "no right"])
def test_where_nothing_can_be_written_is_said(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.mp4"
    if kind == "no folder":
        path = tmp_path / "nowhere" / "a.mp4"
    elif kind == "folder":
        path.mkdir()
    elif not Path("/proc/version").exists():
        pytest.skip("no /proc to fail to write in")
    else:
        path = Path("/proc/a.mp4")
    with pytest.raises(SinkError, match="cannot write") as caught:
        VideoWriter(path, (64, 48), format=h264(".mp4", "veryfast"), fps=30)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").symlink_to("/dev/full")
    with pytest.raises(SinkError, match="disk is full"):
        write_numbered_video(tmp_path / "a.mp4")


def test_a_disk_that_fills_up_leaves_a_playable_film(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        not hasattr(os, "geteuid")
        or os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "disk", disk]).returncode
    ):
        pytest.skip("no right to mount a small disk")
    try:
        writer = VideoWriter(disk / "a.mp4", (160, 120), format=h264(".mp4", "veryfast"), fps=30)
        noise = np.random.default_rng(0)
        with pytest.raises(SinkError, match="disk is full"):
            for i in range(2000):
                image = numbered_image(i % 256)
                image[80:] = noise.integers(0, 255, image[80:].shape, dtype=np.uint8)
                writer.write(image, i * 3000)
        writer.abandon()
        video = VideoReader(disk / "a.mp4")
        numbers = [frame_number(p.image) for p in video]
        video.close()
        assert len(numbers) >= 2 and numbers == list(range(len(numbers)))
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_film_without_frames_leaves_nothing(tmp_path: Path) -> None:
    VideoWriter(tmp_path / "a.mp4", (64, 48), format=h264(".mp4", "veryfast"), fps=30).close()
    assert not list(tmp_path.iterdir())
