"""`livepuppet render`: one output frame per driving frame, at its own time, with its own sound, in the portrait's own size."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from blob_engine import BlobEngine, driver
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

from livepuppet.errors import SinkError, UsageError
from livepuppet.rendering.pipeline import RenderPipeline, map_in_order, side_by_side
from livepuppet.types import Tuning
from livepuppet.video.reader import VideoReader
from livepuppet.video.writer import VideoWriter, h264


def test_every_driving_frame_becomes_one_output_frame(tmp_path: Path) -> None:
    video = write_blob_video(tmp_path / "d.mp4", [0.5 + 0.005 * i for i in range(50)], audio=True)
    report = RenderPipeline(blob_job(tmp_path, video), BlobEngine()).run()
    assert report.frames == 50 and report.whole and report.lost == 0
    assert frame_times(tmp_path / "out.mp4") == frame_times(video)
    assert audio_hash(tmp_path / "out.mp4") == audio_hash(video)
    shifts = [ramp_shift(p.image) for p in VideoReader(tmp_path / "out.mp4")]
    assert np.abs(np.array(shifts) - np.round(0.005 * np.arange(50) * 64)).max() <= 1


def test_a_moment_of_the_film(tmp_path: Path) -> None:
    video = write_blob_video(tmp_path / "d.mp4", [0.5] * 75, audio=True)
    report = RenderPipeline(blob_job(tmp_path, video, start=1.0, end=2.0), BlobEngine()).run()
    assert report.frames == 25
    assert frame_times(tmp_path / "out.mp4")[0] == 0
    with av.open(str(tmp_path / "out.mp4")) as container:
        audio = [float(p.pts * p.time_base) for p in container.demux(audio=0) if p.size and p.pts is not None]
    assert -0.03 <= audio[0] <= 0.03 and 0.9 <= audio[-1] < 1.0


def test_the_best_reference_is_found_in_the_whole_film(tmp_path: Path) -> None:
    """The blob's distance is how far it is from the middle: frame 30 of these."""
    places = [0.5 + abs(i - 30) * 0.005 for i in range(50)]
    RenderPipeline(blob_job(tmp_path, write_blob_video(tmp_path / "d.mp4", places), reference="best"), BlobEngine()).run()
    shifts = [ramp_shift(p.image) for p in VideoReader(tmp_path / "out.mp4")]
    assert shifts[30] == 0 and abs(shifts[0] - round(0.15 * 64)) <= 1


def test_the_first_frame_is_the_reference(tmp_path: Path) -> None:
    """Also with steadying, which looks at the frames around it: the first picture is the portrait, and all others count from there."""
    video = write_blob_video(tmp_path / "d.mp4", [0.3 + 0.01 * i for i in range(30)])
    RenderPipeline(blob_job(tmp_path, video, tuning=Tuning(smoothing=1.0)), BlobEngine()).run()
    shifts = [ramp_shift(p.image) for p in VideoReader(tmp_path / "out.mp4")]
    assert shifts[0] == 0 and abs(shifts[20] - round(0.2 * 64)) <= 1


def test_a_time_as_reference(tmp_path: Path) -> None:
    places = [0.4] * 25 + [0.6] * 25
    RenderPipeline(blob_job(tmp_path, write_blob_video(tmp_path / "d.mp4", places), reference=1.5), BlobEngine()).run()
    shifts = [ramp_shift(p.image) for p in VideoReader(tmp_path / "out.mp4")]
    assert shifts[40] == 0 and abs(shifts[5] - (64 - round(0.2 * 64))) <= 1


def test_nobody_in_the_film(tmp_path: Path) -> None:
    video = write_blob_video(tmp_path / "d.mp4", [-1.0] * 10)
    for choice in ("best", "first"):
        with pytest.raises(UsageError, match="no face found in"):
            RenderPipeline(blob_job(tmp_path, video, reference=choice), BlobEngine()).run()
    assert not (tmp_path / "out.mp4").exists()


def test_a_face_that_leaves_and_returns(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A short gap is bridged straight; in a long one the avatar eases to idling and back, and no frame jumps."""
    places = [0.5] * 10 + [-1.0] * 5 + [0.7] * 10 + [-1.0] * 60 + [0.6] * 15
    video = write_blob_video(tmp_path / "d.mp4", places)
    with caplog.at_level(logging.INFO, "livepuppet"):
        report = RenderPipeline(blob_job(tmp_path, video), BlobEngine()).run()
    assert report.frames == 100 and report.lost == 65
    assert "nobody is seen from 1.0 to 3.4 s" in caplog.text
    shifts = np.array([(ramp_shift(p.image) + 32) % 64 - 32 for p in VideoReader(tmp_path / "out.mp4")])
    assert np.all(np.diff(shifts[9:26]) >= 0) and abs(shifts[24] - 13) <= 1
    assert np.abs(np.diff(shifts[25:90])).max() <= 2 and np.abs(shifts[45:65]).max() <= 2


def test_each_shot_has_a_rest_of_its_own(tmp_path: Path) -> None:
    """A cut to another place: where the head is in the picture means nothing across it."""
    writer = VideoWriter(tmp_path / "d.mp4", (64, 64), format=h264(".mp4", "veryfast"), fps=25, time_base=Fraction(1, 12800), crf=4)
    for i in range(100):
        image = driver(0.4 + 0.002 * (i % 50) if i < 50 else 0.7 + 0.002 * (i % 50))
        writer.write(image if i < 50 else np.maximum(image, np.uint8(120)), i * 512)
    writer.close()
    RenderPipeline(blob_job(tmp_path, tmp_path / "d.mp4", reference="best"), BlobEngine()).run()
    shifts = [(ramp_shift(p.image) + 32) % 64 - 32 for p in VideoReader(tmp_path / "out.mp4")]
    assert shifts[49] == 0 and abs(shifts[0] + 6) <= 1  # the first shot's best is its end, nearest to the middle
    assert shifts[50] == 0 and abs(shifts[99] - 6) <= 1  # the second's its beginning


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_said_and_the_film_can_be_gone_on_with(tmp_path: Path) -> None:
    video = write_blob_video(tmp_path / "d.mp4", [0.5 + 0.1 * float(np.sin(i)) for i in range(150)])
    (tmp_path / "out.mp4").symlink_to("/dev/full")
    with pytest.raises(SinkError, match="the disk is full"):
        RenderPipeline(blob_job(tmp_path, video), BlobEngine()).run()
    (tmp_path / "out.mp4").unlink()
    assert RenderPipeline(blob_job(tmp_path, video, resume=True), BlobEngine()).run().frames == 150


def test_a_damaged_stretch_is_said(tmp_path: Path) -> None:
    video = write_blob_video(tmp_path / "d.mkv", [0.2 + 0.01 * i for i in range(60)])
    with av.open(str(video)) as container:
        packets = [bytes(p) for p in container.demux(video=0) if p.size]
    data = video.read_bytes()
    at = data.index(packets[45])
    video.write_bytes(data[:at] + b"\xff" * len(packets[45]) + data[at + len(packets[45]) :])
    report = RenderPipeline(blob_job(tmp_path, video), BlobEngine()).run()
    assert report.frames == 59 and report.skipped == 1


def test_beside_the_driver(tmp_path: Path) -> None:
    report = RenderPipeline(blob_job(tmp_path, write_blob_video(tmp_path / "d.mp4", [0.3] * 5), compare=True), BlobEngine()).run()
    assert report.size == (128, 64)
    image = next(iter(VideoReader(tmp_path / "out.mp4"))).image
    assert image[32, 19].min() > 200 and image[32, 45].max() < 40  # the blob, and nothing beside it
    assert side_by_side(np.zeros((100, 50, 3), np.uint8), np.zeros((64, 64, 3), np.uint8)).shape == (64, 96, 3)


def test_results_come_in_order() -> None:
    assert list(map_in_order(lambda x: x * x, range(100), workers=4)) == [x * x for x in range(100)]


def test_the_command_with_the_real_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "o.mp4"
    talk = write_opening(tmp_path / "talk.mp4")
    assert run_render("--avatar", ADA, "--driving", talk, "--output", out, "--size", "256x256", "--end", "1.5", "--quiet") == 0
    video = VideoReader(out)
    images = [p.image for p in video]
    assert len(images) == 45 and video.size == (256, 256)
    assert capsys.readouterr().err == ""
    still = VideoReader(PERFORMANCE)
    assert frame_times(out) == [p.pts * still.time_base for p in still][:45]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--avatar", "nothing.jpg", "--driving", str(PERFORMANCE), "--output", "{}/o.mp4"], "no such picture"),
        (["--avatar", str(ADA), "--driving", "nothing.mp4", "--output", "{}/o.mp4"], "no such video"),
        (["--avatar", str(ADA), "--driving", str(PERFORMANCE), "--output", "{}/o.txt"], "names no video format"),
        (["--avatar", str(ADA), "--driving", "{}/talk.mp4", "--output", "{}/o.mp4", "--start", "99"], "ends before"),
        (["--avatar", str(ADA), "--driving", str(PERFORMANCE), "--output", "{}/o.mp4", "--start", "2", "--end", "1"], "not after"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    tmp_path: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_opening(tmp_path / "talk.mp4", 0.3)
    assert run_render(*[a.format(tmp_path) for a in arguments]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("livepuppet:") and says in line]
    assert len(lines) == 1


def test_an_output_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    talk = write_opening(tmp_path / "talk.mp4", 0.3)
    assert run_render("--avatar", ADA, "--driving", talk, "--output", tmp_path / "nowhere" / "o.mp4", "--end", "0.2") == 1
    assert "there is not a folder" in capsys.readouterr().err
