"""Sound never costs the video: copied where the container takes it, else encoded anew, else left out; always in step with the pictures."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from blob_engine import BlobEngine
from rendering_fixtures import blob_job, write_blob_video

from livepuppet.rendering.job import TimestampMapper
from livepuppet.rendering.pipeline import RenderPipeline
from livepuppet.video.audio import AudioTrack
from livepuppet.video.reader import VideoReader
from livepuppet.video.writer import VideoWriter, output_time_base, video_format

CASES = Path(__file__).parents[1] / "cases"


@dataclass
class Track:
    codec: str
    start: float
    length: float
    language: str | None


def carried(name: str | Path, target: Path) -> Path:
    """The case's pictures and audio in another video, on one clock, as `render` does it with an avatar's."""
    video = VideoReader(CASES / name, limit=64)
    clock = output_time_base(target.suffix, video.time_base)
    ticks = TimestampMapper(video.time_base, clock, video.origin_pts)
    audio = AudioTrack(str(CASES / name), origin=video.origin_pts * video.time_base)
    writer = VideoWriter(target, video.size, format=video_format(target.suffix), fps=video.fps, time_base=clock, crf=30, audio=audio)
    for image in video:
        writer.write(image.image, ticks(image.pts))
    writer.close()
    video.close()
    return target


def tracks(path: Path) -> list[Track]:
    """What is heard of each track, decoded from beginning to end."""
    found = []
    with av.open(str(path)) as container:
        count = len(container.streams.audio)
    for i in range(count):
        with av.open(str(path)) as container:
            stream = container.streams.audio[i]
            frames = list(container.decode(stream))
            samples = sum(frame.samples for frame in frames)
            found.append(Track(stream.codec_context.name, frames[0].time, samples / frames[0].sample_rate, stream.language))
    return found


def video_seconds(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0)]


KINDS = [
    ("talk.mp4", ".mp4", "aac", 2.4),
    ("aac_in_ts.ts", ".mp4", "aac", 1.2),
    ("aac_in_ts.ts", ".mov", "aac", 1.2),
    ("aac_in_ts.ts", ".mkv", "aac", 1.2),
    ("unknown_sound_codec.mov", ".mp4", "aac", 1.2),
    ("unknown_sound_codec.mov", ".webm", "opus", 1.2),
    ("sound_layout_changes.ts", ".mp4", "aac", 2.35),
    ("sound_layout_changes.ts", ".webm", "opus", 2.35),
    ("ac3_5.1side.mkv", ".webm", "opus", 2.4),
    ("ac3_5.1side.mkv", ".mp4", "ac3", 2.4),
    ("camera_avi_mono.avi", ".mp4", "aac", 1.2),
    ("camera_avi_mono.avi", ".mkv", "pcm_s16le", 1.2),
    ("adpcm_ms.mkv", ".mp4", "aac", 1.5),
    ("adpcm_ms.mkv", ".mkv", "aac", 1.5),
    ("joined.ts", ".mp4", "aac", 4.0),
    ("ts_clock_restarts.ts", ".mp4", "aac", 2.43),
    ("ts_clock_restarts.ts", ".mkv", "aac", 2.43),
    ("ts_clock_restarts.ts", ".webm", "opus", 2.43),
    ("mediarecorder.webm", ".mp4", "opus", 2.4),
]


@pytest.mark.parametrize(("name", "suffix", "codec", "length"), KINDS, ids=[f"{name} to {suffix}" for name, suffix, *_ in KINDS])
def test_every_kind_of_sound_reaches_the_film(tmp_path: Path, name: str, suffix: str, codec: str, length: float) -> None:
    out = carried(name, tmp_path / f"o{suffix}")
    (track,) = tracks(out)
    assert track.codec.replace("lib", "") == codec
    assert track.length == pytest.approx(length, abs=0.1)  # a codec's blocks at both ends
    times = video_seconds(out)
    assert abs(times[0] - track.start) < 0.05  # the run-up of a codec at 22 kHz
    assert len(times) == len(list(VideoReader(CASES / name, limit=64)))


@pytest.mark.parametrize(("channels", "rate"), [(4, 16_000), (6, 48_000), (7, 48_000), (1, 44_056), (2, 8_012)])
def test_speakers_in_unknown_places_and_odd_rates(tmp_path: Path, channels: int, rate: int) -> None:
    """A camera or recorder with several microphones says how many channels there are, and not where; old capture cards count oddly."""
    source = tmp_path / "d.mkv"
    with av.open(str(source), "w") as container:
        images = container.add_stream("mpeg4", rate=25)
        audio = container.add_stream("pcm_s16le", rate=rate)
        assert isinstance(images, av.VideoStream) and isinstance(audio, av.AudioStream)
        images.width, images.height, images.pix_fmt = 64, 64, "yuv420p"
        layout = {1: "mono", 2: "stereo", 4: "quad", 6: "5.1", 7: "6.1"}[channels]
        block = rate // 25
        audio.layout = layout
        for i in range(25):
            image = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 10 * i, np.uint8), format="rgb24")
            container.mux(images.encode(image))
            frame = av.AudioFrame.from_ndarray(np.full((1, block * channels), 1000, np.int16), format="s16", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, block * i, Fraction(1, rate)
            container.mux(audio.encode(frame))
        container.mux(images.encode(None))
        container.mux(audio.encode(None))
    for suffix in (".mp4", ".webm", ".mkv"):
        (track,) = tracks(carried(source, tmp_path / f"o{suffix}"))
        assert track.length == pytest.approx(1.0, abs=0.13)  # at 8 kHz a block of AAC takes 0.13 s


def test_sound_that_is_encoded_anew_is_the_same_to_the_sample(tmp_path: Path) -> None:
    """Through a codec without loss: nothing is shifted, lost or in the wrong speaker."""
    source = tmp_path / "d.mkv"
    noise = np.random.default_rng(1).integers(-20_000, 20_000, (12_000, 2)).astype(np.int16)
    with av.open(str(source), "w") as container:
        images, audio = container.add_stream("mpeg4", rate=25), container.add_stream("flac", rate=24_000)
        assert isinstance(images, av.VideoStream) and isinstance(audio, av.AudioStream)
        images.width, images.height, images.pix_fmt = 64, 64, "yuv420p"
        audio.layout = "stereo"
        for i in range(12):
            container.mux(images.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), 20 * i, np.uint8), format="rgb24")))
        for begin in range(0, len(noise), 1000):
            frame = av.AudioFrame.from_ndarray(noise[begin : begin + 1000].reshape(1, -1), format="s16", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = 24_000, begin, Fraction(1, 24_000)
            container.mux(audio.encode(frame))
        container.mux([*images.encode(None), *audio.encode(None)])
    with av.open(str(carried(source, tmp_path / "o.mov"))) as container:
        heard = np.concatenate([f.to_ndarray().reshape(-1, 2) for f in container.decode(audio=0)])
    assert np.array_equal(heard, noise)


def test_eight_channels(tmp_path: Path) -> None:
    source = tmp_path / "d.mkv"
    with av.open(str(source), "w") as container:
        images, audio = container.add_stream("mpeg4", rate=25), container.add_stream("pcm_s16le", rate=48_000)
        assert isinstance(images, av.VideoStream) and isinstance(audio, av.AudioStream)
        images.width, images.height, images.pix_fmt = 64, 64, "yuv420p"
        audio.layout = "7.1"
        container.mux(images.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), format="rgb24")))
        frame = av.AudioFrame.from_ndarray(np.full((1, 8 * 24_000), 900, np.int16), format="s16", layout="7.1")
        frame.sample_rate = 48_000
        container.mux([*images.encode(None), *audio.encode(frame), *audio.encode(None)])
    (track,) = tracks(carried(source, tmp_path / "o.mp4"))
    assert track.length == pytest.approx(0.5, abs=0.05)


def test_languages_and_the_default_track_are_kept(tmp_path: Path) -> None:
    source = tmp_path / "d.mkv"
    with av.open(str(CASES / "talk.mp4")) as read, av.open(str(source), "w") as container:
        given = read.streams.audio[0]
        images = container.add_stream("mpeg4", rate=25)
        assert isinstance(images, av.VideoStream)
        images.width, images.height, images.pix_fmt = 64, 64, "yuv420p"
        made = [container.add_stream_from_template(given) for _ in range(2)]
        for stream, language, disposition in zip(made, ("ger", "eng"), (0, 1), strict=True):
            stream.metadata["language"] = language
            stream.disposition = disposition
        container.mux(images.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), format="rgb24")))
        container.mux(images.encode(None))
        for packet in read.demux(given):
            if packet.size:
                data, tick, pts = bytes(packet), packet.time_base, packet.pts
                for stream in made:
                    copy = av.Packet(data)
                    copy.time_base, copy.pts, copy.dts, copy.stream = tick, pts, pts, stream
                    container.mux(copy)
    for suffix in (".mp4", ".webm", ".mkv"):
        out = carried(source, tmp_path / f"o{suffix}")
        assert [track.language for track in tracks(out)] == ["ger", "eng"]
        with av.open(str(out)) as container:
            assert [bool(stream.disposition & Disposition.default) for stream in container.streams.audio] == [False, True]


def test_a_track_of_an_unknown_kind_is_left_out_and_that_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "livepuppet")
    assert len(tracks(carried("unknown_sound_codec.mov", tmp_path / "o.mp4"))) == 1
    assert "sound of an unknown kind is left out (1 of its tracks)" in caplog.text


def test_what_an_edit_list_cuts_off_is_not_heard(tmp_path: Path) -> None:
    """The recording begins 0.9 s before what is to be seen: the video begins with the first picture, and so does its sound."""
    out = carried("edit_list.mp4", tmp_path / "o.mkv")
    (track,) = tracks(out)
    assert video_seconds(out)[0] == pytest.approx(0, abs=0.03)
    assert track.start == pytest.approx(0, abs=0.03) and track.length == pytest.approx(1.5, abs=0.05)


def test_sound_that_begins_before_the_pictures_is_kept(tmp_path: Path) -> None:
    out = carried("video_late.mp4", tmp_path / "o.mp4")
    assert video_seconds(out)[0] == pytest.approx(0.4, abs=0.01)
    assert tracks(out)[0].start == pytest.approx(0, abs=0.01)


def test_a_film_begins_at_0_wherever_its_driver_does(tmp_path: Path) -> None:
    """A recording of a broadcast carries the station's clock."""
    source = write_blob_video(tmp_path / "d.mp4", [0.5] * 30)
    late = tmp_path / "late.ts"
    with av.open(str(source)) as read, av.open(str(late), "w", container_options={"output_ts_offset": "36000"}) as written:
        given = read.streams.video[0]
        stream = written.add_stream_from_template(given)
        unpack = av.BitStreamFilterContext("h264_mp4toannexb", given)
        for packet in read.demux(given):
            if packet.size:
                tick = packet.time_base
                for ready in unpack.filter(packet):
                    ready.stream, ready.time_base = stream, tick
                    ready.pts = ready.dts = (ready.pts or 0) + round(36_000 / Fraction(tick))
                    written.mux(ready)
    RenderPipeline(blob_job(tmp_path, late, output=tmp_path / "o.mp4"), BlobEngine()).run()
    times = video_seconds(tmp_path / "o.mp4")
    assert times[0] == 0 and times[-1] == pytest.approx(29 / 25, abs=0.001)


def test_a_stretch_of_the_sound_is_cut_to_the_packet(tmp_path: Path) -> None:
    """Beginning in the middle costs no reading of what is before, and the audio is that of the middle."""
    source = str(CASES / "talk.mp4")
    audio = AudioTrack(source, origin=Fraction(1), cut=True, end=Fraction(2))
    with av.open(str(tmp_path / "o.mkv"), "w") as container:
        audio.attach(container, ".mkv")
        for packet in audio.until(None):
            container.mux(packet)
    with av.open(source) as read:
        wanted = [bytes(p) for p in read.demux(audio=0) if p.size and p.pts is not None and 1 <= p.pts * p.time_base < 2]
    with av.open(str(tmp_path / "o.mkv")) as read:
        assert [bytes(p) for p in read.demux(audio=0) if p.size] == wanted


def test_no_frame_of_a_gif_is_shorter_than_browsers_show(tmp_path: Path) -> None:
    source = write_blob_video(tmp_path / "d.mp4", [0.5 + 0.3 * float(np.sin(i / 5)) for i in range(60)], fps=60)
    report = RenderPipeline(blob_job(tmp_path, source, output=tmp_path / "o.gif"), BlobEngine()).run()
    times = video_seconds(tmp_path / "o.gif")
    assert len(times) == report.frames and 30 < report.frames < 60
    assert min(np.diff(times)) > 0.0199 and times[-1] == pytest.approx(59 / 60, abs=0.02)
