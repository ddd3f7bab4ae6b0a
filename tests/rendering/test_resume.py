"""Going on with videos: whose work it is is known by content, older videos stay, and what is said is true."""

from __future__ import annotations

import dataclasses
import os
import shutil
import threading
from pathlib import Path

import pytest
from blob_engine import BlobEngine
from rendering_fixtures import ADA, PERFORMANCE, blob_job, frame_times, run_render, write_blob_video

from livepuppet.errors import NoFaceError, OutputExistsError, UsageError
from livepuppet.files import claim_path, unfinished_path
from livepuppet.rendering.driver import SilentProgress
from livepuppet.rendering.motion_file import MotionFile
from livepuppet.rendering.pipeline import RenderPipeline
from livepuppet.rendering.resume import fingerprint, read_digest
from livepuppet.video.output import VideoOutput

PLACES = [0.4 + 0.002 * i for i in range(75)]


class StopIn(SilentProgress):
    """Asks the rendering to stop in a stage, after so many of its frames."""

    def __init__(self, stage: str, frames: int) -> None:
        self.stop = threading.Event()
        self._stage, self._left, self._there = stage, frames, False

    def stage(self, name: str, total: int | None) -> None:
        self._there = name == self._stage
        if self._there and self._left == 0:
            self.stop.set()

    def advance(self) -> None:
        self._left -= self._there
        if self._there and self._left == 0:
            self.stop.set()


@pytest.fixture
def videos(tmp_path: Path) -> tuple[Path, Path]:
    return write_blob_video(tmp_path / "a.mp4", PLACES), write_blob_video(tmp_path / "b.mp4", PLACES[::-1])


def test_stopped_while_it_searches_and_gone_on_with(tmp_path: Path, videos: tuple[Path, Path]) -> None:
    """An older video of other inputs is there: it stays, and is never taken for the one that was to be made."""
    older, newer = videos
    out = tmp_path / "out.mp4"
    RenderPipeline(blob_job(tmp_path, older), BlobEngine()).run()
    before = out.read_bytes()
    job = blob_job(tmp_path, newer, reference="best", overwrite=True)
    halt = StopIn("searching the reference", 5)
    report = RenderPipeline(job, BlobEngine(), progress=halt, stop=halt.stop).run()
    assert not report.whole and report.frames == 0 and report.path is None
    assert out.read_bytes() == before and not list(tmp_path.glob("*unfinished*"))
    with pytest.raises(OutputExistsError, match=r"nothing was made of this video yet, and .* is another one"):
        RenderPipeline(dataclasses.replace(job, resume=True, overwrite=False), BlobEngine()).run()
    assert out.read_bytes() == before
    report = RenderPipeline(dataclasses.replace(job, resume=True), BlobEngine()).run()
    assert report.whole and report.frames == 75 and not report.existing and out.read_bytes() != before


@pytest.mark.parametrize("name", ["o.mp4", "o.mkv", "o.webm", "o.mov", "o.gif", "o_%03d.png"])
def test_a_whole_video_is_known_by_what_it_was_made_of(tmp_path: Path, videos: tuple[Path, Path], name: str) -> None:
    job = blob_job(tmp_path, videos[0], output=tmp_path / name, end=0.4)
    made = RenderPipeline(job, BlobEngine()).run()
    digest = read_digest(job.output)
    assert digest is not None and made.whole and not made.existing
    again = RenderPipeline(dataclasses.replace(job, resume=True), BlobEngine()).run()
    assert again.existing and again.frames == made.frames
    copy = tmp_path / "copy.mp4"  # the same content by another name
    shutil.copy(videos[0], copy)
    assert RenderPipeline(dataclasses.replace(job, driving=str(copy), resume=True), BlobEngine()).run().existing
    for other in ({"driving": str(videos[1])}, {"crf": 9}):
        with pytest.raises((OutputExistsError, UsageError)):
            RenderPipeline(dataclasses.replace(job, resume=True, **other), BlobEngine()).run()
    assert read_digest(job.output) == digest


def test_an_unfinished_video_goes_on_in_the_place_that_it_was_given(tmp_path: Path, videos: tuple[Path, Path]) -> None:
    """The older video was allowed to be overwritten when it was begun: going on asks no second time."""
    RenderPipeline(blob_job(tmp_path, videos[0]), BlobEngine()).run()
    before = (tmp_path / "out.mp4").read_bytes()
    halt = StopIn("rendering", 30)
    job = blob_job(tmp_path, videos[1], overwrite=True)
    report = RenderPipeline(job, BlobEngine(), progress=halt, stop=halt.stop).run()
    assert report.frames == 30 and report.path == unfinished_path(job.output) and len(frame_times(report.path)) == 30
    assert (tmp_path / "out.mp4").read_bytes() == before
    report = RenderPipeline(dataclasses.replace(job, resume=True, overwrite=False), BlobEngine()).run()
    assert report.whole and report.frames == 75 and report.resumed >= 30
    assert frame_times(tmp_path / "out.mp4") == frame_times(videos[1]) and not list(tmp_path.glob("*unfinished*"))


def test_a_motion_file_is_whole_also_after_an_interruption(tmp_path: Path, videos: tuple[Path, Path]) -> None:
    halt = StopIn("rendering", 30)
    job = blob_job(tmp_path, videos[0], motion=tmp_path / "m.npz")
    RenderPipeline(job, BlobEngine(), progress=halt, stop=halt.stop).run()
    assert not (tmp_path / "m.npz").exists() and not list(tmp_path.glob(".m.npz*"))
    assert RenderPipeline(dataclasses.replace(job, resume=True), BlobEngine()).run().whole
    assert len(list(MotionFile(tmp_path / "m.npz"))) == 75


def test_two_runs_on_one_output(tmp_path: Path, videos: tuple[Path, Path]) -> None:
    with VideoOutput(tmp_path / "out.mp4"), pytest.raises(UsageError, match="being written by another livepuppet"):
        RenderPipeline(blob_job(tmp_path, videos[0]), BlobEngine()).run()
    assert RenderPipeline(blob_job(tmp_path, videos[0]), BlobEngine()).run().whole


def test_an_unfinished_video_is_not_written_over_while_it_drives(tmp_path: Path, videos: tuple[Path, Path]) -> None:
    driving = shutil.copy(videos[0], unfinished_path(tmp_path / "out.mp4"))
    with pytest.raises(UsageError, match="is needed while"):
        RenderPipeline(blob_job(tmp_path, Path(driving)), BlobEngine()).run()


class Faceless(BlobEngine):
    def prepare(self, portrait: object, size: object = None, face: int | None = None) -> object:  # type: ignore[override]
        raise NoFaceError("no face found in the picture")


def test_a_portrait_without_a_face_fails_before_the_video_is_looked_at(tmp_path: Path, videos: tuple[Path, Path]) -> None:
    progress = Stages()
    with pytest.raises(NoFaceError):
        RenderPipeline(blob_job(tmp_path, videos[0]), Faceless(), progress=progress).run()
    assert progress.names == ["preparing"] and not list(tmp_path.glob("out*"))


class Stages(SilentProgress):
    def __init__(self) -> None:
        self.names: list[str] = []

    def stage(self, name: str, total: int | None) -> None:
        self.names.append(name)


@pytest.mark.parametrize(
    ("options", "says", "code"),
    [
        (["--output", "{}/nowhere/o.mp4"], "there is not a folder", 1),
        (["--output", "{}/o.txt"], "names no video format", 2),
        (["--output", "{}/o.png"], "write a number's place", 2),
        (["--output", "{}/o.mp4", "--motion", "{}/m.txt"], "let it end in .npz", 2),
        (["--output", "{}/o.mp4", "--motion", "{}/nowhere/m.npz"], "there is not a folder", 1),
        (["--output", "{}/o.mp4", "--start", "99"], "ends before 99 s", 2),
        (["--output", "{}"], "names no video format", 2),
    ],
)
def test_what_will_fail_fails_before_the_first_pass(
    tmp_path: Path, options: list[str], says: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.format(tmp_path) for word in options]
    assert run_render("--avatar", ADA, "--driving", PERFORMANCE, *words) == code
    said = capsys.readouterr().err
    assert says in said and "looking who is there" not in said and os.listdir(tmp_path) == []


def test_the_command_says_what_is_true(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--avatar", ADA, "--driving", PERFORMANCE, "--output", tmp_path / "o.mp4", "--size", "64x64", "--reference", "first")
    assert run_render(*words, "--end", "0.2") == 0
    assert "wrote" in capsys.readouterr().err
    before = (tmp_path / "o.mp4").read_bytes()
    assert run_render(*words, "--end", "0.2", "--resume") == 0
    said = capsys.readouterr().err
    assert "is whole already (6 frames)" in said and "wrote" not in said
    assert run_render(*words, "--end", "0.3") == 2
    assert "exists: choose another name, or allow overwriting (see --overwrite)" in capsys.readouterr().err
    assert run_render(*words, "--end", "0.3", "--resume") == 2
    assert "nothing was made of this video yet" in capsys.readouterr().err
    assert (tmp_path / "o.mp4").read_bytes() == before
    assert run_render(*words, "--end", "0.3", "--overwrite") == 0
    assert len(frame_times(tmp_path / "o.mp4")) == 9 and os.listdir(tmp_path) == ["o.mp4"]


def test_what_an_interrupted_run_left_is_named(tmp_path: Path, videos: tuple[Path, Path], caplog: pytest.LogCaptureFixture) -> None:
    halt = StopIn("rendering", 30)
    job = blob_job(tmp_path, videos[0])
    RenderPipeline(job, BlobEngine(), progress=halt, stop=halt.stop).run()
    assert claim_path(job.output).exists()
    with caplog.at_level("INFO", "livepuppet"):
        assert RenderPipeline(job, BlobEngine()).run().whole
    assert "out.unfinished.mp4 is left of an interrupted run" in caplog.text and not list(tmp_path.glob("*unfinished*"))


def test_a_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    data = bytearray(os.urandom(3 << 20))
    one.write_bytes(data)
    shutil.copy(one, other)
    assert fingerprint(one) == fingerprint(other)
    data[len(data) // 2] ^= 1
    other.write_bytes(data[: 1 << 20])
    assert fingerprint(one) != fingerprint(other)
