"""Videos of the kinds that go wrong in other programs: read whole, on one clock, and found again wherever reading begins."""

from __future__ import annotations

import os
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from livepuppet.errors import UsageError
from livepuppet.provenance.verification import sample_frames, verify
from livepuppet.video.image_sequence import ImageSequenceWriter
from livepuppet.video.reader import VideoReader
from livepuppet.video.tone_mapping import HLG, PQ, to_sdr
from livepuppet.video.writer import VideoWriter, h264

CASES = Path(__file__).parents[1] / "cases"


def seconds(video: VideoReader) -> list[float]:
    return [video.seconds(image.pts) for image in video]


def reencoded(source: Path, target: Path, codec: str, **options: str) -> Path:
    """The same pictures in another kind of file, with one key frame at the beginning only."""
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        stream = written.add_stream(codec, rate=30, options=options)
        assert isinstance(stream, av.VideoStream)
        given = read.streams.video[0]
        stream.width, stream.height, stream.pix_fmt = given.width, given.height, "yuv420p"
        stream.codec_context.gop_size = 1000
        for i, frame in enumerate(read.decode(given)):
            image = av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"), format="rgb24")
            image.pts = i
            written.mux(stream.encode(image))
        written.mux(stream.encode(None))
    return target


def without_index(avi: Path) -> Path:
    """The file as a camera leaves it that loses power: the list of frames at the end is missing."""
    data = avi.read_bytes()
    avi.write_bytes(data[: data.rindex(b"idx1")])
    return avi


@pytest.mark.parametrize(
    "kind", ["long_gop.ts", "a.m2ts", "hevc.ts", "no_index.avi", "starts_at_10h.ts", "joined.ts", "ts_clock_restarts.ts"]
)
def test_no_picture_here_means_look_earlier(tmp_path: Path, kind: str) -> None:
    """Every frame is found by its time, also where the file can only be searched by where its key frames are not."""
    path = CASES / kind
    if kind == "a.m2ts":
        path = reencoded(CASES / "talk.mp4", tmp_path / kind, "libx264")
    elif kind == "hevc.ts":
        path = reencoded(CASES / "talk.mp4", tmp_path / kind, "libx265", **{"x265-params": "log-level=none:keyint=1000"})
    elif kind == "no_index.avi":
        path = without_index(reencoded(CASES / "talk.mp4", tmp_path / kind, "mpeg4"))
    video = VideoReader(path)
    everything = list(video)
    for i in (len(everything) - 1, len(everything) // 2, 1, 0, len(everything) * 2 // 3):
        video.seek(video.seconds(everything[i].pts))
        found = video.read()
        assert found is not None and found.pts == everything[i].pts
        assert np.abs(found.image.astype(int) - everything[i].image).mean() < 1
    video.close()


@pytest.mark.parametrize(
    ("name", "frames", "step"),
    [("ts_clock_restarts.ts", 72, 1 / 30), ("joined.ts", 120, 1 / 30), ("starts_at_10h.ts", 72, 1 / 30), ("joined.webm", 144, 1 / 30)],
)
def test_a_clock_that_restarts_goes_on(tmp_path: Path, name: str, frames: int, step: float) -> None:
    path = CASES / name
    if name == "joined.webm":  # what people get who put recordings of a browser one behind the other
        path = tmp_path / name
        path.write_bytes(2 * (CASES / "mediarecorder.webm").read_bytes())
    video = VideoReader(path)
    times = seconds(video)
    assert times[0] == 0 and len(times) == frames
    assert np.diff(times) == pytest.approx(step, abs=0.03)
    assert times[-1] == pytest.approx((frames - 1) * step, abs=0.03)
    assert video.duration == pytest.approx(frames * step, abs=0.05)
    assert video.key_pts()[0] == video.start_pts
    video.close()


def test_a_clock_that_jumps_ahead_goes_on(tmp_path: Path) -> None:
    """Ten hours between two parts of a transport stream, the second one without sound."""
    path = tmp_path / "a.ts"
    path.write_bytes((CASES / "ts_clock_restarts.ts").read_bytes() + (CASES / "starts_at_10h.ts").read_bytes())
    video = VideoReader(path)
    times = seconds(video)
    assert len(times) == 144 and np.diff(times) == pytest.approx(1 / 30, abs=0.03)
    video.seek(times[100])
    found = video.read()
    assert found is not None and video.seconds(found.pts) == times[100]


@pytest.mark.parametrize(("suffix", "audio"), [(".ts", True), (".mkv", False), (".mkv", True)])
def test_a_picture_that_stands_is_no_jump(tmp_path: Path, suffix: str, audio: bool) -> None:
    """A recorded screen on which nothing moves for 15 s: in a transport stream the sound that goes on tells."""
    path = tmp_path / f"a{suffix}"
    with av.open(str(path), "w") as container:
        images = container.add_stream("libx264", rate=25)
        tone = container.add_stream("mp2", rate=48_000) if audio else None
        assert isinstance(images, av.VideoStream)
        images.width, images.height, images.pix_fmt = 64, 64, "yuv420p"
        images.codec_context.time_base = Fraction(1, 25)
        images.codec_context.options = {"bf": "0", "tune": "zerolatency"}
        for tick in range(25 * 17):
            if tick < 25 or tick >= 25 * 16:
                frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), tick % 250, np.uint8), format="rgb24")
                frame.pts, frame.time_base = tick, Fraction(1, 25)
                container.mux(images.encode(frame))
            if isinstance(tone, av.AudioStream):
                heard = av.AudioFrame.from_ndarray(np.zeros((1, 2 * 1920), np.int16), format="s16", layout="stereo")
                heard.sample_rate, heard.pts, heard.time_base = 48_000, 1920 * tick, Fraction(1, 48_000)
                container.mux(tone.encode(heard))
        container.mux(images.encode(None))
        if isinstance(tone, av.AudioStream):
            container.mux(tone.encode(None))
    assert seconds(VideoReader(path))[-1] == pytest.approx(17 - 1 / 25, abs=0.01)


def test_sound_and_pictures_jump_together(tmp_path: Path) -> None:
    """The sound comes to a jump a few packets later than the pictures, and follows them there."""
    video = VideoReader(CASES / "joined.ts")
    assert video._timeline is not None
    (_, images), (_, audio) = (shifts[-1] for shifts in video._timeline.shifts.values())
    assert images == audio == 180_000  # 2 s of the transport stream's clock
    video.close()


def test_the_stream_that_players_choose_is_read() -> None:
    assert VideoReader(CASES / "two_video_streams.mkv").size == (320, 240)  # the first is 160x120 and not the default
    assert VideoReader(CASES / "marked_with_cover.mp4").size == (320, 320)  # the first is a cover picture


def test_a_size_that_changes_keeps_its_proportions() -> None:
    """From 1.2 s the picture is 320 x 240 in a stream of 180 x 240: shown whole, with bars above and below."""
    video = VideoReader(CASES / "size_changes.mkv")
    last = list(video)[-1].image
    assert last.shape == (240, 180, 3)
    height = round(180 * 240 / 320)
    top = (240 - height) // 2
    assert last[: top - 1].max() == 0 and last[top + height + 1 :].max() == 0
    assert last[top + 1 : top + height - 1].mean() > 40


@pytest.mark.parametrize("name", ["2024-05-01T12:30:00.mp4", "100%.mp4", "a%03d.mp4"])
def test_any_name_is_a_name(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(CASES / "talk.mp4", tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for path in (Path(name), tmp_path / name):
        assert len(seconds(VideoReader(path))) == 72


@pytest.mark.parametrize("name", ["2024-05-01T12:30:00.mp4", "50%.mkv"])
def test_any_name_can_be_written(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    writer = VideoWriter(Path(name), (64, 48), format=h264(Path(name).suffix, "veryfast"), fps=25)
    for i in range(5):
        writer.write(np.full((48, 64, 3), 40 * i, np.uint8), i * 3600)
    writer.close()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert len(seconds(VideoReader(name))) == 5
    assert sample_frames(Path(name))[1] == pytest.approx([i / 25 for i in range(5)], abs=0.001)


def test_a_percent_sign_beside_the_number(tmp_path: Path) -> None:
    writer = ImageSequenceWriter(tmp_path / "50%_%03d.png", time_base=Fraction(1, 25))
    for i in range(2):
        writer.write(np.zeros((8, 8, 3), np.uint8), i)
    writer.close()
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["50%_001.png", "50%_002.png"]


def test_a_cover_picture_is_not_what_is_examined() -> None:
    """`verify` reads the video's frames: the mark is in them, not in the cover that is stored as the first stream."""
    frames, _ = sample_frames(CASES / "marked_with_cover.mp4")
    assert len(frames) == 24 and frames[0].shape == (320, 320, 3)
    assert verify(CASES / "marked_with_cover.mp4").watermark.found


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_what_is_no_file_is_said_in_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(UsageError, match="is a pipe or a device"):
        VideoReader(tmp_path / "pipe.mp4")
    with pytest.raises(UsageError, match=r"no such video: .*make a video of numbered pictures first"):
        VideoReader(tmp_path / "f_%03d.png")


def test_hdr_looks_as_sdr_does() -> None:
    """The same performance graded in PQ and BT.2020: the first frame of one is the 46th of the other."""
    hdr = next(iter(VideoReader(CASES / "hdr_pq.mp4"))).image.astype(float)
    sdr = list(VideoReader(CASES / "sdr.mp4"))[45].image.astype(float)
    assert np.abs(hdr - sdr).mean() < 4
    assert np.abs(hdr.mean((0, 1)) - sdr.mean((0, 1))).max() < 2


@pytest.mark.parametrize(("transfer", "white"), [(PQ, 0.5807), (HLG, 0.75)])
def test_reference_white_is_white_and_brighter_never_darker(transfer: int, white: float) -> None:
    """BT.2408, table 1: 203 cd/m2 are 58 % of PQ's code values, 75 % of HLG's."""
    grey = np.repeat(np.linspace(0, 4095, 400, dtype=np.uint16)[None, :, None], 3, axis=2)
    shown = to_sdr(grey, transfer)[0].astype(int)
    assert np.ptp(shown, axis=1).max() <= 1  # grey stays grey
    assert np.diff(shown[:, 0]).min() >= 0 and shown[0, 0] == 0 and shown[-1, 0] == 255
    assert 240 <= shown[round(white * 399), 0] <= 250
    half = shown[round(white * 399 * 0.5), 0]
    assert 20 < half < 140


def test_unlabelled_hd_is_bt709() -> None:
    image = next(iter(VideoReader(CASES / "untagged_hd_patches.mp4"))).image
    patches = [(200, 60, 60), (60, 180, 75), (40, 80, 200), (230, 180, 150), (20, 20, 20), (235, 235, 235), (128, 128, 128), (250, 220, 40)]
    for i, wanted in enumerate(patches):
        assert np.abs(image[360, 80 + 160 * i].astype(int) - wanted).max() <= 5


def test_unlabelled_small_pictures_are_bt601(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "4"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.full((120, 160, 3), (200, 60, 60), np.uint8), format="rgb24")
        container.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU601")))
        container.mux(stream.encode(None))
    assert np.abs(next(iter(VideoReader(tmp_path / "a.mp4"))).image[60, 80].astype(int) - (200, 60, 60)).max() <= 4
