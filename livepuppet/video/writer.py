"""Videos written with PyAV: real timestamps, colours that survive, and a file that stays playable whatever interrupts the writing.

MP4 is written in fragments, one per key frame, and turned into an ordinary MP4 when it is closed: a killed program or a full disk costs
the last second, not the video. No B-frames: every packet's decoding time is its showing time, so timestamps are exact and videos can be
joined packet by packet.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import av.error
import av.filter
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from livepuppet.errors import SinkError, UsageError
from livepuppet.types import Image, Size
from livepuppet.video.audio import AudioTrack
from livepuppet.video.container import choose_video, ffmpeg_name, open_container

log = logging.getLogger(__name__)

CLOCK = Fraction(1, 90_000)
"""Seconds per unit of a timestamp where nothing else is asked for: divides the usual frame rates."""

BT709 = 1
"""Code of ITU-T H.273 for primaries, transfer and matrix of BT.709; players assume BT.601 or 709 by size where it is missing."""

GIF_CLOCK = Fraction(1, 100)
GIF_SHORTEST = 2
"""Ticks of that clock: browsers show a frame that asks for less for a tenth of a second."""

SECONDS_AT_RISK = 1.0
"""Distance of key frames: what an interrupted video may lack at its end."""


@dataclass(frozen=True)
class VideoFormat:
    """How a kind of video is encoded.

    Attributes:
        even: sides must be even (4:2:0).
        options, muxer: for the encoder and the container.
    """

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


KEEPS_ORDINARY_MP4 = av.library_versions["libavformat"] >= (62, 12)
"""Before, FFmpeg's change from fragments to an ordinary MP4 at the end spoils the pictures: the video then stays fragmented."""

_FRAGMENTS = {"movflags": "+frag_keyframe+delay_moov" + ("+hybrid_fragmented" if KEEPS_ORDINARY_MP4 else ""), "flush_packets": "1"}
_X264 = {"bf": "0", "x264-params": "scenecut=40:open-gop=0"}
_MATROSKA = {"flush_packets": "1", "cluster_time_limit": "1000"}


LOOK_AHEAD = {"veryfast": 10, "fast": 30}
"""Frames that x264's presets look ahead."""
LOOK_AHEAD_BYTES = 96 << 20
"""What these may take, at 3 bytes a pixel with x264's own copies: thirty frames of 4096 x 4096 would be a gigabyte and more."""


def bound_lookahead(options: Mapping[str, str], size: Size) -> dict[str, str]:
    """x264's options with as many frames in flight as memory allows; unchanged up to 1024 x 1024."""
    frames = max(2, LOOK_AHEAD_BYTES // (size[0] * size[1] * 3))
    if frames >= LOOK_AHEAD.get(options.get("preset", ""), 0):
        return dict(options)
    return dict(options) | {"x264-params": f"{options['x264-params']}:rc-lookahead={frames}:threads={min(frames, os.cpu_count() or 1)}"}


def h264(suffix: str, preset: str) -> VideoFormat:
    """H.264 that plays everywhere.

    Args:
        preset: x264's, 'veryfast' … 'medium'.
    """
    return VideoFormat("libx264", "yuv420p", options=_X264 | {"preset": preset}, muxer=_MATROSKA if suffix == ".mkv" else _FRAGMENTS)


def video_format(suffix: str, *, transparent: bool = False) -> VideoFormat:
    """How a finished video of that suffix is encoded.

    Args:
        transparent: keep the pictures' alpha.

    Raises:
        UsageError: for an unknown suffix, or one that cannot be transparent.
    """
    if suffix == ".webm":
        options = {"deadline": "good", "cpu-used": "4", "row-mt": "1", "b": "0", "auto-alt-ref": "0", "lag-in-frames": "0"}
        return VideoFormat("libvpx-vp9", "yuva420p" if transparent else "yuv420p", options=options, muxer=_MATROSKA)
    if suffix == ".mov":
        options = {"profile": "4444", "vendor": "apl0", "alpha_bits": "16" if transparent else "0"}
        pixels = "yuva444p10le" if transparent else "yuv444p10le"
        return VideoFormat("prores_ks", pixels, even=False, options=options, muxer=_FRAGMENTS, constant_quality=False)
    if suffix == ".gif":
        return VideoFormat("gif", "pal8", even=False, constant_quality=False)
    if suffix in {".mp4", ".m4v", ".mkv"}:
        if transparent:
            raise UsageError(f"H.264 in {suffix} has no transparency: name the output .mov, .webm, .gif or .png")
        return h264(suffix, "fast")
    raise UsageError(f"'{suffix}' names no video format: use .mp4, .m4v, .mkv, .mov, .webm, .gif or numbered .png")


def output_time_base(suffix: str, source: Fraction) -> Fraction:
    """Seconds per unit of a timestamp in videos of that suffix: the driving video's own where the container keeps it exactly."""
    return {".webm": Fraction(1, 1000), ".mkv": Fraction(1, 1000)}.get(suffix, source)


class VideoWriter:
    """One video being written, by one thread.

    Raises:
        SinkError: in one line where the file cannot be written (no such folder, no right, full disk); what was written until then stays
            playable.
    """

    def __init__(
        self,
        path: str | Path,
        size: Size,
        *,
        format: VideoFormat,
        fps: float,
        time_base: Fraction = CLOCK,
        crf: int | None = 16,
        audio: AudioTrack | None = None,
        comment: str = "",
    ) -> None:
        """size: of the pictures; where the format needs even sides, the last row or column is left out. fps: nominal, for rate control.
        comment: a text for the file's metadata (a GIF has no place for it)."""
        self.path = Path(path)
        self.format = format
        self.written = 0
        self._size = size
        self._closed = False
        self._made = False
        self._broken = False
        self._last_pts: int | None = None
        self._time_base = time_base
        self._audio = audio
        self._palette: GifPalette | None = GifPalette() if format.pixels == "pal8" else None
        if not self.path.parent.is_dir():
            raise SinkError(f"cannot write {self.path}: there is not a folder {self.path.parent}")
        even = 2 if format.even else 1
        try:
            self._container = av.open(ffmpeg_name(self.path), "w", format=format.container, container_options=dict(format.muxer))
            if comment:
                self._container.metadata["comment"] = comment
            stream = self._container.add_stream(format.codec, rate=Fraction(fps).limit_denominator(1001))
            assert isinstance(stream, av.VideoStream)
            self._stream = stream
            stream.width, stream.height = size[0] - size[0] % even, size[1] - size[1] % even
            stream.pix_fmt = format.pixels
            codec = stream.codec_context
            codec.time_base = time_base if self._palette is None else GIF_CLOCK
            codec.gop_size = max(1, round(fps * SECONDS_AT_RISK))
            codec.options = bound_lookahead(format.options, size) | (
                {"crf": str(crf)} if crf is not None and format.constant_quality else {}
            )
            if format.pixels.startswith("yuv"):
                codec.color_primaries = codec.color_trc = codec.colorspace = BT709
                codec.color_range = ColorRange.MPEG
            codec.open()
            if audio:
                audio.attach(self._container, self.path.suffix.lower())
            self._made = not self.path.exists()
            with self.path.open("ab"):
                log.debug("writing %s", self.path)  # the head follows with the first packet: FFmpeg crashes on closing an MP4 without any
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise self._failure(error, opening=True) from error

    def write(self, image: Image | NDArray[np.uint8], pts: int) -> None:
        """Add one picture, RGB or RGBA (H, W, 3 or 4), at `pts` in units of `time_base`; must be later than the one before.

        A GIF leaves out pictures that follow too soon on the one before.
        """
        height, width = image.shape[:2]
        if (width, height) != self._size:
            raise ValueError(f"unexpected picture size: {width}x{height} != {self._size[0]}x{self._size[1]}")
        if self._last_pts is not None and pts <= self._last_pts:
            raise ValueError(f"timestamps must grow: {pts} after {self._last_pts}")
        if self._palette is not None:
            tick = round(pts * self._time_base / GIF_CLOCK)
            if self._last_pts is not None and tick - round(self._last_pts * self._time_base / GIF_CLOCK) < GIF_SHORTEST:
                return
        self._last_pts = pts
        image = np.ascontiguousarray(image[: self._stream.height, : self._stream.width])
        frame = av.VideoFrame.from_ndarray(image, format="rgba" if image.shape[2] == 4 else "rgb24")
        frame.pts, frame.time_base = pts, self._time_base
        if self._palette is not None:
            frame = self._palette.apply(frame)
            frame.pts, frame.time_base = tick, GIF_CLOCK
        else:
            frame = frame.reformat(format=self.format.pixels, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
            frame.pts, frame.time_base = pts, self._time_base
        self._encode(frame)
        self.written += 1

    def append(self, path: str | Path) -> int | None:
        """Take over the pictures of another video as they are, encoded with the same settings; only at the beginning or where it follows
        in time. Returns the last timestamp in units of `time_base`; None where that video has no pictures that can be read."""
        try:
            source = open_container(str(path))
        except UsageError:
            return self._last_pts
        with source:
            stream = choose_video(source)
            if stream is None:
                return self._last_pts
            # MP4 and Matroska keep H.264 in another packing than the encoder gives it
            unpack = av.BitStreamFilterContext("h264_mp4toannexb", stream) if self.format.codec == "libx264" else None
            try:
                for packet in source.demux(stream):
                    if not packet.size or packet.pts is None:
                        continue
                    pts = round(packet.pts * Fraction(packet.time_base) / self._time_base)
                    if self._last_pts is not None and pts <= self._last_pts:
                        continue
                    self._mux_sound(pts * self._time_base)
                    for ready in unpack.filter(packet) if unpack else [packet]:
                        ready.pts = ready.dts = pts
                        ready.time_base = self._time_base
                        ready.stream = self._stream
                        self._container.mux(ready)
                    self._last_pts = pts
                    self.written += 1
            except av.error.InvalidDataError as error:
                log.debug("%s: the rest cannot be read: %s", path, error)
            except (av.error.FFmpegError, OSError) as error:
                self._broken = True
                raise self._failure(error) from error
        return self._last_pts

    def renamed(self, path: Path) -> None:
        """The file has another name from now on."""
        self.path = path

    def close(self, *, whole: bool = True) -> None:
        """Finish the video. May be called twice.

        Args:
            whole: with all the sound that is left; else the sound ends with the pictures.
        """
        if self._closed:
            return
        try:
            if self.written and not self._broken:
                self._encode(None)
                if whole:
                    self._mux_sound(None)
        finally:
            self._closed = True
            try:
                self._container.close()
            except (av.error.FFmpegError, OSError) as error:
                raise self._failure(error) from error
            finally:
                self._remove_if_empty()

    def abandon(self) -> None:
        """Save what can be saved of a video that has failed: as `close`, but nothing is raised."""
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
                if packet.pts is not None:
                    self._mux_sound(packet.pts * Fraction(packet.time_base))
                self._container.mux(packet)
        except (av.error.FFmpegError, OSError) as error:
            self._broken = True  # FFmpeg crashes when it is given more packets after some failures
            raise self._failure(error) from error

    def _mux_sound(self, seconds: Fraction | None) -> None:
        if self._audio is None:
            return
        try:
            for packet in self._audio.until(seconds):
                index = packet.stream_index
                try:
                    self._container.mux(packet)
                except (av.error.InvalidDataError, ValueError) as error:  # refused, not failed: the pictures go on without it
                    self._audio.leave_out(index, error)
        except (av.error.FFmpegError, OSError) as error:
            self._broken = True
            raise self._failure(error) from error

    def _failure(self, error: Exception, *, opening: bool = False) -> SinkError:
        code = getattr(error, "errno", None)
        if code == errno.ENOSPC:
            return SinkError(f"the disk is full: {self.path} ends after {self.written} frames")
        if opening and code in {errno.EACCES, errno.EPERM, errno.EROFS}:  # later, FFmpeg's own errors look like the system's
            return SinkError(f"cannot write {self.path}: permission denied")
        if code == errno.EISDIR:
            return SinkError(f"cannot write {self.path}: it is a folder")
        return SinkError(f"cannot write {self.path}: {getattr(error, 'strerror', None) or error}")


class GifPalette:
    """Reduces each picture to 256 colours of its own, the way GIF wants them, without keeping earlier pictures."""

    def __init__(self) -> None:
        self._graph: av.filter.Graph | None = None

    def apply(self, frame: av.VideoFrame) -> av.VideoFrame:
        if self._graph is None:
            self._graph = self._build(frame)
        self._graph.push(frame)
        reduced = self._graph.pull()
        assert isinstance(reduced, av.VideoFrame)
        return reduced

    @staticmethod
    def _build(frame: av.VideoFrame) -> av.filter.Graph:
        graph = av.filter.Graph()
        source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
        split = graph.add("split")
        generate = graph.add("palettegen", "stats_mode=single:reserve_transparent=1")
        use = graph.add("paletteuse", "new=1:dither=sierra2_4a")
        sink = graph.add("buffersink")
        source.link_to(split)
        split.link_to(generate, 0, 0)
        split.link_to(use, 1, 0)
        generate.link_to(use, 0, 1)
        use.link_to(sink)
        graph.configure()
        return graph
