"""Films written with PyAV: real timestamps, colours that survive, and a file that stays playable whatever interrupts the writing.

MP4 is written in fragments, one per key frame, and turned into an ordinary MP4 when it is closed: a killed program or a full disk costs
the last second, not the film. No B-frames: every packet's decoding time is its showing time, so timestamps are exact and films can be
joined packet by packet.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from livepuppet.errors import SinkError, UsageError
from livepuppet.interfaces import Image, Size

log = logging.getLogger(__name__)

CLOCK = Fraction(1, 90_000)
"""Seconds per unit of a timestamp where nothing else is asked for: divides the usual frame rates."""

BT709 = 1
"""Code of ITU-T H.273 for primaries, transfer and matrix of BT.709; players assume BT.601 or 709 by size where it is missing."""

SECONDS_AT_RISK = 1.0
"""Distance of key frames: what an interrupted film may lack at its end."""


@dataclass(frozen=True)
class Format:
    """How a kind of film is encoded. even: sides must be even (4:2:0). options, muxer: for the encoder and the container."""

    codec: str
    pixels: str
    even: bool = True
    container: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    muxer: Mapping[str, str] = field(default_factory=dict)
    constant_quality: bool = True

    def __post_init__(self) -> None:
        if self.codec not in av.codecs_available:
            raise UsageError(f"this installation of PyAV has no encoder {self.codec}: pip install --upgrade av")


_FRAGMENTS = {"movflags": "+hybrid_fragmented+frag_keyframe", "flush_packets": "1"}
_X264 = {"bf": "0", "x264-params": "scenecut=40:open-gop=0"}
_MATROSKA = {"flush_packets": "1", "cluster_time_limit": "1000"}


def h264(suffix: str, preset: str) -> Format:
    """H.264 that plays everywhere. preset: x264's, 'veryfast' … 'medium'."""
    return Format("libx264", "yuv420p", options=_X264 | {"preset": preset}, muxer=_MATROSKA if suffix == ".mkv" else _FRAGMENTS)


H264_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")


class FilmWriter:
    """One film being written, by one thread.

    Raises SinkError in one line where the file cannot be written (no such folder, no right, full disk); what was written until then
    stays playable.
    """

    def __init__(
        self, path: str | Path, size: Size, *, format: Format, fps: float, time_base: Fraction = CLOCK, crf: int | None = 16
    ) -> None:
        """size: of the pictures; where the format needs even sides, the last row or column is left out. fps: nominal, for rate control."""
        self.path = Path(path)
        self.format = format
        self.written = 0
        self._size = size
        self._closed = False
        self._made = False
        self._broken = False
        self._last_pts: int | None = None
        self._time_base = time_base
        if not self.path.parent.is_dir():
            raise SinkError(f"cannot write {self.path}: there is no folder {self.path.parent}")
        even = 2 if format.even else 1
        try:
            self._container = av.open(str(self.path), "w", format=format.container, container_options=dict(format.muxer))
            stream = self._container.add_stream(format.codec, rate=Fraction(fps).limit_denominator(1001))
            assert isinstance(stream, av.VideoStream)
            self._stream = stream
            stream.width, stream.height = size[0] - size[0] % even, size[1] - size[1] % even
            stream.pix_fmt = format.pixels
            codec = stream.codec_context
            codec.time_base = time_base
            codec.gop_size = max(1, round(fps * SECONDS_AT_RISK))
            codec.options = dict(format.options) | ({"crf": str(crf)} if crf is not None and format.constant_quality else {})
            if format.pixels.startswith("yuv"):
                codec.color_primaries = codec.color_trc = codec.colorspace = BT709
                codec.color_range = ColorRange.MPEG
            codec.open()
            self._made = not self.path.exists()
            with self.path.open("ab"):
                log.debug("writing %s", self.path)  # the head follows with the first packet: FFmpeg crashes on closing an MP4 without any
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise self._failure(error) from error

    def write(self, image: Image | NDArray[np.uint8], pts: int) -> None:
        """Add one picture, RGB or RGBA (H, W, 3 or 4), at `pts` in units of `time_base`; must be later than the one before."""
        height, width = image.shape[:2]
        if (width, height) != self._size:
            raise ValueError(f"unexpected picture size: {width}x{height} != {self._size[0]}x{self._size[1]}")
        if self._last_pts is not None and pts <= self._last_pts:
            raise ValueError(f"timestamps must grow: {pts} after {self._last_pts}")
        self._last_pts = pts
        image = np.ascontiguousarray(image[: self._stream.height, : self._stream.width])
        frame = av.VideoFrame.from_ndarray(image, format="rgba" if image.shape[2] == 4 else "rgb24")
        if self.format.pixels.startswith("yuv"):
            frame = frame.reformat(format=self.format.pixels, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
        frame.pts, frame.time_base = pts, self._time_base
        self._encode(frame)
        self.written += 1

    def close(self) -> None:
        """Finish the film. May be called twice."""
        if self._closed:
            return
        try:
            if self.written and not self._broken:
                self._encode(None)
        finally:
            self._closed = True
            try:
                self._container.close()
            except (av.error.FFmpegError, OSError) as error:
                raise self._failure(error) from error
            finally:
                self._remove_if_empty()

    def abandon(self) -> None:
        """Save what can be saved of a film that has failed: as `close`, but nothing is raised."""
        try:
            self.close()
        except SinkError as error:
            log.debug("%s", error)  # it follows from the failure that led here

    def _remove_if_empty(self) -> None:
        if self._made and not self.written and self.path.is_file() and self.path.stat().st_size == 0:
            self.path.unlink()

    def _encode(self, frame: av.VideoFrame | None) -> None:
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except (av.error.FFmpegError, OSError) as error:
            self._broken = True  # FFmpeg crashes when it is given more packets after some failures
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> SinkError:
        code = getattr(error, "errno", None)
        if code == errno.ENOSPC:
            return SinkError(f"the disk is full: {self.path} ends after {self.written} frames")
        if code in {errno.EACCES, errno.EPERM, errno.EROFS}:
            return SinkError(f"cannot write {self.path}: no right to write there")
        if code == errno.EISDIR:
            return SinkError(f"cannot write {self.path}: it is a folder")
        return SinkError(f"cannot write {self.path}: {getattr(error, 'strerror', None) or error}")
