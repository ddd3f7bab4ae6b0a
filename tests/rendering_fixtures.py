"""What tests of rendering share: videos of a moving blob, jobs for them, and what to measure of the results."""

from __future__ import annotations

import hashlib
import logging
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from blob_engine import driver, portrait
from PIL import Image as PILImage

from livepuppet.cli import main
from livepuppet.rendering.job import RenderJob
from livepuppet.types import Image, Tuning
from livepuppet.video.audio import AudioTrack
from livepuppet.video.reader import VideoReader
from livepuppet.video.writer import VideoWriter, h264
from livepuppet.vision.portrait import ASSETS

PERFORMANCE = ASSETS / "performance.mp4"


ADA = ASSETS / "avatars" / "ada.jpg"


def write_opening(path: Path, seconds: float = 2.0) -> Path:
    """The first seconds of the performance, bit for bit: a whole clip is looked through for people, whatever part of it is asked for."""
    with av.open(str(PERFORMANCE)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.pts is not None and packet.pts * packet.time_base < seconds:
                packet.stream = copy
                target.mux(packet)
    return path


def audio_hash(path: Path) -> str:
    digest = hashlib.sha256()
    with av.open(str(path)) as container:
        for packet in container.demux(audio=0):
            if packet.size:
                digest.update(bytes(packet))
    return digest.hexdigest()


def frame_times(path: Path) -> list[Fraction]:
    video = VideoReader(path)
    found = [p.pts * video.time_base for p in video]
    video.close()
    return found


def write_blob_video(path: Path, places: list[float], *, fps: int = 25, audio: bool = False) -> Path:
    """A video of a bright blob at these places (shares of the width; below 0: nobody), with a tone if asked."""
    track = None
    if audio:
        with av.open(str(path.with_suffix(".m4a")), "w") as container:
            stream = container.add_stream("aac", rate=44_100)
            assert isinstance(stream, av.AudioStream)
            tone = np.sin(np.arange(round(44_100 * len(places) / fps)) / 20).astype(np.float32)[None]
            frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            frame.sample_rate = 44_100
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                container.mux(packet)
        track = AudioTrack(str(path.with_suffix(".m4a")))
    writer = VideoWriter(
        path, (64, 64), format=h264(path.suffix, "veryfast"), fps=fps, time_base=Fraction(1, fps * 512), crf=4, audio=track
    )
    for i, place in enumerate(places):
        writer.write(driver(place), i * 512)
    writer.close()
    return path


def write_blob_portrait(folder: Path) -> Path:
    PILImage.fromarray(portrait()).save(folder / "portrait.png")
    return folder / "portrait.png"


def blob_job(folder: Path, driving: Path, **options: object) -> RenderJob:
    defaults = {"output": folder / "out.mp4", "reference": "first", "watermark": False, "tuning": Tuning(smoothing=0), "crf": 4}
    return RenderJob(avatar=write_blob_portrait(folder), driving=str(driving), **(defaults | options))  # type: ignore[arg-type]


def ramp_shift(image: Image) -> int:
    """By how many columns the test portrait (a ramp) was rolled."""
    return int(np.argmin(image[32, :, 0].astype(int)))


def run_render(*arguments: str | Path) -> int:
    """The command's exit code; the package's logger is afterwards as it was, not set up for a person."""
    logger = logging.getLogger("livepuppet")
    before = list(logger.handlers), logger.propagate, logger.level
    try:
        return main(["render", *map(str, arguments)])
    finally:
        logger.handlers, logger.propagate, logger.level = before
