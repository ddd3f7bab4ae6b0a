"""What `livepuppet render` writes besides MP4, going on with interrupted videos, and motion files."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from blob_engine import BlobEngine
from numpy.typing import NDArray
from PIL import Image as PILImage
from rendering_fixtures import (
    ADA,
    PERFORMANCE,
    audio_hash,
    blob_job,
    frame_times,
    ramp_shift,
    run_render,
    write_blob_video,
    write_opening,
)

from livepuppet.errors import UsageError
from livepuppet.files import claim_path, unfinished_path
from livepuppet.rendering.driver import SilentProgress
from livepuppet.rendering.job import TimestampMapper
from livepuppet.rendering.matting import PersonMatting
from livepuppet.rendering.motion_file import BLOCK, MotionFile
from livepuppet.rendering.pipeline import RenderPipeline
from livepuppet.video.reader import VideoReader
from livepuppet.vision.portrait import load_portrait

PLACES = [0.5 + 0.15 * float(np.sin(i / 8)) for i in range(75)]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_blob_video(tmp_path / "d.mp4", PLACES, audio=True)


def shifts(path: Path) -> list[int]:
    video = VideoReader(path)
    found = [(ramp_shift(p.image) + 32) % 64 - 32 for p in video]
    video.close()
    return found


@pytest.mark.parametrize(
    ("name", "audio", "within_s"), [("o.mkv", True, 0.001), ("o.webm", True, 0.001), ("o.mov", True, 0.0), ("o.gif", False, 0.01)]
)
def test_other_kinds_of_film(tmp_path: Path, video: Path, name: str, audio: bool, within_s: float) -> None:
    report = RenderPipeline(blob_job(tmp_path, video, output=tmp_path / name), BlobEngine()).run()
    out = tmp_path / name
    assert report.frames == 75
    ours, theirs = frame_times(out), frame_times(video)
    assert len(ours) == 75 and max(abs((a - ours[0]) - (b - theirs[0])) for a, b in zip(ours, theirs, strict=True)) <= within_s
    assert np.abs(np.array(shifts(out)) - np.array([round((p - 0.5) * 64) for p in PLACES])).max() <= 2
    with av.open(str(out)) as container:
        assert bool(container.streams.audio) == audio
    if name != "o.webm" and audio:
        assert audio_hash(out) == audio_hash(video)


def test_numbered_pictures(tmp_path: Path, video: Path) -> None:
    RenderPipeline(blob_job(tmp_path, video, output=tmp_path / "frame_%05d.png", end=0.4), BlobEngine()).run()
    assert sorted(p.name for p in tmp_path.glob("frame_*.png")) == [f"frame_{i:05d}.png" for i in range(1, 11)]
    lines = (tmp_path / "timecodes.txt").read_text().splitlines()
    assert lines[0] == "# timecode format v2" and [float(t) for t in lines[1:]] == pytest.approx([40.0 * i for i in range(10)])
    with pytest.raises(UsageError, match=r"frame_%05d\.png"):
        RenderPipeline(blob_job(tmp_path, video, output=tmp_path / "frame.png"), BlobEngine()).run()


def test_a_clock_that_ticks_coarsely_still_grows() -> None:
    clock = TimestampMapper(Fraction(1, 90_000), Fraction(1, 100), 0)
    assert [clock(t) for t in (0, 100, 200, 3000, 6000)] == [0, 1, 2, 3, 7]
    again = TimestampMapper(Fraction(1, 90_000), Fraction(1, 100), 0)
    assert again.source(3) < 3500 and again(6000) == 7


def alpha_of(path: Path) -> NDArray[np.uint8]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if path.suffix == ".webm":  # FFmpeg's own VP9 decoder leaves the alpha out
            decoder = av.CodecContext.create("libvpx-vp9", "r")
            frames = (f for p in container.demux(stream) for f in decoder.decode(p))
        else:
            frames = container.decode(stream)
        frame = next(iter(frames))
        assert isinstance(frame, av.VideoFrame)
        return np.asarray(frame.to_ndarray(format="rgba"), np.uint8)[..., 3]


@pytest.mark.parametrize("name", ["o.mov", "o.webm", "o.gif", "o_%03d.png"])
def test_transparent_background(tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    talk = write_opening(tmp_path / "talk.mp4", 0.2)
    arguments = ("--avatar", ADA, "--driving", talk, "--output", out, "--size", "256x256", "--end", "0.1", "--reference", "first")
    assert run_render(*arguments, "--background", "transparent", "--quiet") == 0
    alpha = np.asarray(PILImage.open(tmp_path / "o_001.png"))[..., 3] if "%" in name else alpha_of(out)
    assert alpha[128, 128] > 250, "the middle of the face is opaque"
    assert alpha[:20, :20].max() < 20 and alpha[:20, -20:].max() < 20, "the corners above are clear"


def test_mp4_cannot_be_transparent(tmp_path: Path, video: Path) -> None:
    with pytest.raises(UsageError, match=r"name the output \.mov"):
        RenderPipeline(blob_job(tmp_path, video, transparent=True), BlobEngine()).run()


def test_a_cutout_follows_the_picture() -> None:
    portrait = load_portrait(ADA, 256)
    cutout = PersonMatting()
    alpha = cutout(portrait, portrait)[..., 3]
    cutout.close()
    cutout.close()
    assert 0.15 < (alpha > 127).mean() < 0.8 and ((alpha > 10) & (alpha < 245)).mean() < 0.2


class StopAfter(SilentProgress):
    """Asks the rendering to stop after so many frames."""

    def __init__(self, stop: threading.Event, frames: int) -> None:
        self.stop, self.frames = stop, frames
        self.rendering = False

    def stage(self, name: str, total: int | None) -> None:
        self.rendering = name == "rendering"

    def advance(self) -> None:
        self.frames -= self.rendering
        if self.frames == 0:
            self.stop.set()


@pytest.mark.parametrize("name", ["o.mp4", "o.mkv", "o.webm", "o.mov"])
def test_an_interrupted_film_is_playable_and_can_be_gone_on_with(tmp_path: Path, video: Path, name: str) -> None:
    whole, out = tmp_path / f"whole{Path(name).suffix}", tmp_path / name
    RenderPipeline(blob_job(tmp_path, video, output=whole), BlobEngine()).run()
    stop = threading.Event()
    job = blob_job(tmp_path, video, output=out, resume=True)
    report = RenderPipeline(job, BlobEngine(), progress=StopAfter(stop, 30), stop=stop).run()
    assert not report.whole and report.frames == 30
    assert report.path == unfinished_path(out) and not out.exists()
    assert len(frame_times(unfinished_path(out))) == report.frames and claim_path(out).exists()
    report = RenderPipeline(job, BlobEngine()).run()
    assert report.whole and report.frames == 75 and report.resumed >= 30
    assert frame_times(out) == frame_times(whole)
    assert np.abs(np.array(shifts(out)) - np.array(shifts(whole))).max() <= 1
    assert audio_hash(out) == audio_hash(whole)
    assert not list(tmp_path.glob("*unfinished*"))
    again = RenderPipeline(job, BlobEngine()).run()
    assert again.existing and again.frames == 75  # whole already: left as it is


def test_other_settings_are_not_gone_on_with(tmp_path: Path, video: Path) -> None:
    stop = threading.Event()
    job = blob_job(tmp_path, video)
    RenderPipeline(job, BlobEngine(), progress=StopAfter(stop, 30), stop=stop).run()
    with pytest.raises(UsageError, match="crf was 4 and is 20"):
        RenderPipeline(blob_job(tmp_path, video, resume=True, crf=20), BlobEngine()).run()
    claim_path(job.output).write_text("{}")
    with pytest.raises(UsageError, match="is damaged"):
        RenderPipeline(blob_job(tmp_path, video, resume=True), BlobEngine()).run()
    with pytest.raises(UsageError, match=r"a \.gif cannot be resumed"):
        RenderPipeline(blob_job(tmp_path, video, resume=True, output=tmp_path / "o.gif"), BlobEngine()).run()


KILLED = """
import os, signal, sys
sys.path[:0] = [{root!r}, {root!r} + "/tests"]
from pathlib import Path
from blob_engine import BlobEngine
from livepuppet.rendering.driver import SilentProgress
from livepuppet.rendering.pipeline import RenderPipeline
from rendering_fixtures import blob_job

class Killer(SilentProgress):
    left = 120
    rendering = False
    def stage(self, name, total):
        self.rendering = name == "rendering"
    def advance(self):
        self.left -= self.rendering
        # the encoder works in threads of its own, later on a busy machine
        if self.left <= 0 and Path({folder!r}, "out.unfinished.mp4").is_file():
            os.kill(os.getpid(), signal.SIGKILL)

RenderPipeline(blob_job(Path({folder!r}), Path({video!r})), BlobEngine(), progress=Killer()).run()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_rendering_can_be_gone_on_with(tmp_path: Path) -> None:
    video = write_blob_video(tmp_path / "long.mp4", [0.5 + 0.1 * float(np.sin(i / 8)) for i in range(200)], audio=True)
    program = KILLED.format(root=str(Path(__file__).parents[2]), folder=str(tmp_path), video=str(video))
    assert subprocess.run([sys.executable, "-c", program]).returncode == -signal.SIGKILL
    assert not (tmp_path / "out.mp4").exists()
    shutil.copy(tmp_path / "out.unfinished.mp4", tmp_path / "killed.mp4")
    assert len(frame_times(tmp_path / "killed.mp4")) >= 25
    report = RenderPipeline(blob_job(tmp_path, video, resume=True), BlobEngine()).run()
    assert report.resumed >= 25 and frame_times(tmp_path / "out.mp4") == frame_times(video)
    assert audio_hash(tmp_path / "out.mp4") == audio_hash(video)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to send")
@pytest.mark.slow
def test_ctrl_c_leaves_a_playable_film_and_resume_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "o.mp4"
    command = [sys.executable, "-m", "livepuppet", "render", "--avatar", str(ADA), "--driving", str(PERFORMANCE), "--output", str(out)]
    command += ["--size", "128x128", "--reference", "first"]
    root = Path(__file__).parents[2]
    running = subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 120
        unfinished = unfinished_path(out)
        while time.monotonic() < deadline and not (unfinished.is_file() and unfinished.stat().st_size > 20_000):
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 130, said
    assert "--resume goes on" in said and "Traceback" not in said
    assert not out.exists()
    done = len(frame_times(unfinished))
    assert 0 < done < 300
    again = subprocess.run([*command, "--resume", "--quiet"], cwd=root, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    assert frame_times(out) == frame_times(PERFORMANCE)


def test_a_motion_is_saved_and_played_back(tmp_path: Path) -> None:
    places = [0.5 + 0.15 * float(np.sin(i / 8)) for i in range(BLOCK + 40)]
    video = write_blob_video(tmp_path / "d.mp4", places)
    RenderPipeline(blob_job(tmp_path, video, motion=tmp_path / "m.npz"), BlobEngine()).run()
    report = RenderPipeline(blob_job(tmp_path, tmp_path / "m.npz", output=tmp_path / "again.mp4"), BlobEngine()).run()
    assert report.frames == len(places) and frame_times(tmp_path / "again.mp4") == frame_times(video)
    assert shifts(tmp_path / "again.mp4") == shifts(tmp_path / "out.mp4")
    with zipfile.ZipFile(tmp_path / "m.npz") as archive:
        assert not [name for name in archive.namelist() if "detail" in name or "picture" in name or "points" in name]
    with pytest.raises(UsageError, match="holds no images to compare with"):
        RenderPipeline(blob_job(tmp_path, tmp_path / "m.npz", compare=True, overwrite=True), BlobEngine()).run()
    with pytest.raises(UsageError, match="cannot be mirrored"):
        RenderPipeline(blob_job(tmp_path, tmp_path / "m.npz", mirror=True, overwrite=True), BlobEngine()).run()


def test_a_motion_with_the_real_engine(tmp_path: Path) -> None:
    a, b, motion = tmp_path / "a.mp4", tmp_path / "b.mp4", tmp_path / "m.npz"
    shown = ("--avatar", ADA, "--size", "128x128", "--quiet", "--mouth", "avatar")
    talk = write_opening(tmp_path / "talk.mp4", 3.0)
    assert run_render("--driving", talk, "--output", a, "--motion", motion, "--start", "1", "--end", "2", *shown) == 0
    assert run_render("--driving", motion, "--output", b, *shown) == 0
    ours = [p.image.astype(int) for p in VideoReader(b)]
    theirs = [p.image.astype(int) for p in VideoReader(a)]
    assert len(ours) == len(theirs) == 30
    assert np.mean([np.abs(a - b).mean() for a, b in zip(ours, theirs, strict=True)]) < 2.5


def tampered(source: Path, target: Path, **arrays: object) -> Path:
    with np.load(source) as found:
        content = dict(found)
    for name, value in arrays.items():
        if value is None:
            del content[name]
        else:
            content[name] = np.asarray(value)
    np.savez(target, **content)
    return target


def test_motion_files_that_are_none_or_damaged(tmp_path: Path) -> None:
    video = write_blob_video(tmp_path / "d.mp4", [0.5] * 20)
    good = tmp_path / "m.npz"
    RenderPipeline(blob_job(tmp_path, video, motion=good), BlobEngine()).run()
    assert len(list(MotionFile(good))) == 20
    bad = tmp_path / "bad.npz"
    cases: list[tuple[dict[str, object], str]] = [
        ({"format": "something"}, "no motion file of livepuppet's"),
        ({"version": 99}, "update it"),
        ({"version": "one"}, "out of range"),
        ({"fps": 0.0}, "makes no sense"),
        ({"time_base": [1, 0]}, "makes no sense"),
        ({"pose_size": 10**9}, "out of range"),
        ({"reference_pose": None}, "is missing"),
        ({"pose_00000": np.zeros((3, 2), np.float32)}, "not float32"),
        ({"pose_00000": np.full((20, 2), np.nan, np.float32)}, "no numbers"),
        ({"pts_00000": np.zeros(20, np.int64)}, "do not grow"),
        ({"frames": 4000}, "not int64"),
    ]
    for arrays, says in cases:
        with pytest.raises(UsageError, match=says) as caught:
            list(MotionFile(tampered(good, bad, **arrays)))
        assert "\n" not in str(caught.value)
    np.savez(bad, format=np.array({"a": 1}, dtype=object))
    with pytest.raises(UsageError, match="damaged"):
        MotionFile(bad)
    bad.write_bytes(good.read_bytes()[:200])
    with pytest.raises(UsageError, match="no motion file"):
        MotionFile(bad)
    with pytest.raises(UsageError, match="no motion file"):
        MotionFile(tmp_path / "nothing.npz")


def test_a_motion_file_that_claims_to_be_huge_is_refused_unread(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 1000), }"
        head += b" " * (118 - len(head) - 1) + b"\n"
        archive.writestr("format.npy", b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head)
    with pytest.raises(UsageError, match="not as large as it says"):
        MotionFile(tmp_path / "m.npz")


def test_a_motion_of_another_engine(tmp_path: Path) -> None:
    video = write_blob_video(tmp_path / "d.mp4", [0.5] * 5)
    RenderPipeline(blob_job(tmp_path, video, motion=tmp_path / "m.npz"), BlobEngine()).run()
    other = tampered(tmp_path / "m.npz", tmp_path / "o.npz", engine="fomm")
    with pytest.raises(UsageError, match="choose that one"):
        RenderPipeline(blob_job(tmp_path, other, overwrite=True), BlobEngine()).run()
