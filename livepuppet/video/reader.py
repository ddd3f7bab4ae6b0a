"""Videos read with PyAV: upright RGB pictures with their exact timestamps, none lost, damaged packets skipped and counted."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from av.buffer import Buffer
from av.video.reformatter import Colorspace, VideoReformatter
from av.video.stream import VideoStream

from livepuppet.errors import SourceError, UsageError
from livepuppet.types import Image, Size
from livepuppet.video.container import choose_video, is_url, open_container, packets_of, reason_of, timeline_of
from livepuppet.video.tone_mapping import BT2020, is_wide, to_sdr

log = logging.getLogger(__name__)

DEFAULT_FPS = 25.0
"""Where a video does not say."""

BT709, UNSPECIFIED = 1, 2
"""Codes of ITU-T H.273. Players take what is not labelled as BT.709 where it is larger than standard television."""

DECODER_BYTES = 64 << 20
"""What the frames that decoder threads work on at once may take: a thread per core would hold a gigabyte of 8K."""

LARGEST_FRAME_PX = 8192 * 8192
"""Pixels that a frame may have: a damaged or hostile file claims sizes at which one frame fills the memory."""

RUN_UP_S = 0.1
"""Sound that begins earlier than the pictures by less than this is what its codec needs before the first sample."""


@dataclass(frozen=True, eq=False)
class DecodedFrame:
    """One frame of a video.

    Attributes:
        image: RGB uint8 (H, W, 3), upright.
        pts: its timestamp in units of the video's `time_base`.
    """

    image: Image
    pts: int


class VideoReader:
    """A video file or a stream, opened for reading.

    Used by one thread.

    Attributes:
        size: width and height of the upright pictures, square pixels.
        fps: average frames per second.
        time_base: seconds per unit of `DecodedFrame.pts`.
        start_pts: of the first frame.
        duration: seconds, None where unknown.
        frame_count: as the file claims, None where it does not.
        audio: whether there is sound.
        skipped: damaged packets left out since the beginning or the last `seek`.

    Raises:
        UsageError: for a path that is not a video or is empty.
        SourceError: for an address that does not answer.
    """

    def __init__(self, path: str | Path, *, limit: int | None = None) -> None:
        """limit: longest side in pixels to which larger pictures are reduced while they are decoded; None keeps their size."""
        self.path = str(path)
        self.live = is_url(path)
        self.skipped = 0
        self._limit = limit
        self._container = open_container(self.path)
        self._stream = self._find_video()
        self._timeline = timeline_of(self.path, self._container)
        self._number = 0
        self._untimed = False
        self._last_pts: int | None = None
        self._size: Size | None = None
        self._images = self._decode()
        first = next(self._images, None)
        if first is None:
            webp = self._container.format.name == "webp_pipe"
            self.close()
            if webp:
                raise UsageError(f"{self.path} is an animated WebP, which cannot be read as a video: save it as MP4 or GIF first")
            raise UsageError(f"{self.path} holds no picture that can be decoded{self._damage()}")
        self._pending: DecodedFrame | None = first
        self._untouched = True
        self.start_pts = first.pts
        self.size: Size = (first.image.shape[1], first.image.shape[0])

    def _find_video(self) -> VideoStream:
        stream = choose_video(self._container)
        if stream is None:
            sound = " (only sound)" if self._container.streams.audio else ""
            unknown = any(s.codec_context is None for s in self._container.streams.video)
            self._container.close()
            if unknown:
                raise UsageError(f"{self.path} holds video of a kind that cannot be decoded here: convert it to H.264 first")
            raise UsageError(f"{self.path} has no video stream{sound}: give a video with pictures")
        # Threads that work on several frames at once are quicker, but each holds back a frame: not for streams watched as they happen.
        stream.thread_type = "SLICE" if self.live else "AUTO"
        context = stream.codec_context
        if context.width * context.height > LARGEST_FRAME_PX:
            size = f"{context.width}x{context.height}"
            self._container.close()
            raise UsageError(f"{self.path} has frames of {size} pixels, more than can be decoded safely: make it smaller first")
        context.options = {**context.options, "max_pixels": str(LARGEST_FRAME_PX)}  # frames may grow on the way
        frame_bytes = max(1, context.width * context.height * 2)
        context.thread_count = max(1, min(os.cpu_count() or 1, 16, DECODER_BYTES // frame_bytes))
        self._scaler = VideoReformatter()  # one per stream: each keeps threads of its own
        self._matrix: tuple[int, ...] | None = None
        self._rotation: int | None = None
        return stream

    @property
    def fps(self) -> float:
        rate = self._stream.average_rate or self._stream.guessed_rate
        return float(rate) if rate and 0 < rate < 1000 else DEFAULT_FPS

    @property
    def time_base(self) -> Fraction:
        return Fraction(self._stream.time_base or Fraction(1, 90_000))

    @property
    def origin_pts(self) -> int:
        """The moment at which players begin: that of the first frame, or of the sound where it begins clearly earlier. A video made from
        this one has it as its 0; what a sound codec needs as a run-up does not count."""
        sounds = [s for s in self._container.streams.audio if s.codec_context is not None and s.start_time is not None]
        starts = [round(s.start_time * Fraction(s.time_base or 0) / self.time_base) for s in sounds if s.start_time is not None]
        earliest = min(starts, default=self.start_pts)
        return earliest if (self.start_pts - earliest) * self.time_base >= RUN_UP_S else self.start_pts

    @property
    def duration(self) -> float | None:
        if self._timeline is not None and self._stream.index in self._timeline.ends:
            return self.seconds(self._timeline.ends[self._stream.index])
        if self._stream.duration:
            return float(self._stream.duration * self.time_base)
        return self._container.duration / av.time_base if self._container.duration else None

    @property
    def frame_count(self) -> int | None:
        return self._stream.frames or None

    def count_packets(self) -> int:
        """How many frames the file holds, counted without decoding them."""
        with open_container(self.path) as container:
            return sum(1 for packet in container.demux(container.streams[self._stream.index]) if packet.size)

    def key_pts(self) -> list[int]:
        """Timestamps of the key frames, in order, found without decoding."""
        if self._timeline is not None:
            return sorted(self._timeline.keys.get(self._stream.index, []))
        with open_container(self.path) as container:
            packets = container.demux(container.streams[self._stream.index])
            return sorted(p.pts for p in packets if p.is_keyframe and p.pts is not None and p.size)

    @property
    def audio(self) -> bool:
        return any(stream.codec_context is not None for stream in self._container.streams.audio)

    def seconds(self, pts: int) -> float:
        """Seconds since the video's first frame."""
        return float((pts - self.start_pts) * self.time_base)

    def read(self) -> DecodedFrame | None:
        """The next frame; None at the end.

        Raises:
            SourceError: where a stream stops answering.
        """
        self._untouched = False
        if self._pending is not None:
            picture, self._pending = self._pending, None
            return picture
        return next(self._images, None)

    def __iter__(self) -> Iterator[DecodedFrame]:
        while (picture := self.read()) is not None:
            yield picture

    def seek(self, seconds: float) -> None:
        """Go to the first frame that is at least `seconds` after the video's first one, wherever the video is now."""
        target = self.start_pts + round(seconds / self.time_base)
        if self._untouched and target <= self.start_pts:
            return
        picture = None
        for start in self._attempts(target):
            self._rewind(start)
            picture = self.read()
            if picture is not None and picture.pts <= target:
                break
        while picture is not None and picture.pts < target:
            picture = self.read()
        self._pending = picture

    def rewind(self) -> None:
        """Back to the first frame. Until it is read, the decoder takes no memory."""
        if not self.live:
            self._rewind(None)
            self._untouched = True

    def _attempts(self, target: int) -> Iterator[int | None]:
        """From where to read in order to meet `target`, one after the other until a picture comes that is not too late: where a file is
        searched by its timestamps, no picture means that the key frame lies earlier. None: from the very beginning."""
        trusted = not self._untimed and (self._timeline is None or self._timeline.continuous)
        if target <= self.start_pts and trusted:
            yield self.start_pts
        elif trusted:
            keys = [] if self._timeline is None else self._timeline.keys.get(self._stream.index, [])
            start = max((key for key in keys if key <= target), default=target)
            second = max(1, round(1 / self.time_base))
            back = 0
            while start - back > self.start_pts:
                yield start - back
                back = 2 * back or second
        yield None

    def _rewind(self, pts: int | None) -> None:
        """Start decoding at the key frame before `pts`, or at the very beginning."""
        self._images.close()
        sought = pts is not None
        try:
            if pts is None:
                raise ValueError
            self._container.seek(pts, stream=self._stream, backward=True)
        except (av.error.FFmpegError, ValueError):
            self._container.close()
            self._container = open_container(self.path)
            self._stream = self._find_video()
            sought = False
        self._number = 0
        self._last_pts = None
        self._pending = None
        self.skipped = 0
        self._images = self._decode(from_key=sought)

    def close(self) -> None:
        """Free the file. May be called twice."""
        self._images.close()
        self._container.close()

    def _damage(self) -> str:
        return f" ({self.skipped} damaged packets)" if self.skipped else ""

    def _decode(self, *, from_key: bool = False) -> Generator[DecodedFrame, None, None]:
        """from_key: begin with the first key frame; what leans on frames before it would come out damaged."""
        earliest: int | None = None
        for packet in self._packets():
            if from_key and packet.size:
                if not packet.is_keyframe:
                    continue
                from_key, earliest = False, packet.pts
            try:
                frames = packet.decode()
            except av.error.EOFError:
                frames = []
            except av.error.FFmpegError as error:
                self.skipped += 1
                log.debug("%s: damaged packet left out: %s", self.path, error)
                continue
            for frame in frames:
                assert isinstance(frame, av.VideoFrame)
                if earliest is not None and frame.pts is not None and frame.pts < earliest:
                    continue
                yield DecodedFrame(self._image(frame), self._next_pts(frame))

    def _packets(self) -> Iterator[av.Packet[VideoStream]]:
        """All packets of the video, the empty one at the end included that makes the decoder give what it holds back."""

        def damaged(error: Exception) -> None:
            if self.live:
                raise SourceError(f"{self.path} stopped delivering: {reason_of(error)}") from error
            self.skipped += 1

        for packet in packets_of(self._container, (self._stream,), damaged):
            if packet.size:
                if self._timeline is not None:
                    self._timeline.correct(packet, self._number)
                self._number += 1
            yield packet

    def _next_pts(self, frame: av.VideoFrame) -> int:
        """The frame's own timestamp; where it has none or steps back, one nominal frame after the last."""
        pts = frame.pts
        step = max(1, round(1 / (Fraction(self.fps).limit_denominator(100_000) * self.time_base)))
        if pts is None:
            self._untimed = True
            pts = 0 if self._last_pts is None else self._last_pts + step
        elif self._last_pts is not None and pts <= self._last_pts:
            pts = self._last_pts + (step if self.live else 1)
        self._last_pts = pts
        return pts

    def _image(self, frame: av.VideoFrame) -> Image:
        """The frame upright in RGB, with square pixels, in the size of the first one: a stream may change its own on the way, and whoever
        reads counts on one. Proportions are kept, with black bars."""
        matrix = self._display_matrix(frame)
        turned = matrix is not None and abs(matrix[1]) > abs(matrix[0])
        width, height = frame.width, frame.height
        aspect = self._stream.sample_aspect_ratio
        if aspect and aspect > 0 and aspect != 1:
            width = max(1, round(width * aspect))
        fixed = None if self._size is None else self._size[::-1] if turned else self._size
        if fixed is not None:
            scale = min(fixed[0] / width, fixed[1] / height)
        else:
            scale = min(1.0, self._limit / max(width, height)) if self._limit else 1.0
        if scale != 1:
            width, height = max(1, round(width * scale)), max(1, round(height * scale))
        image = _upright(self._pixels(frame, width, height), matrix)
        if self._size is None:
            self._size = (image.shape[1], image.shape[0])
        return _with_bars(image, self._size)

    def _display_matrix(self, frame: av.VideoFrame) -> tuple[int, ...] | None:
        """How the file says that its pictures are to be turned, read again only where it changes: `side_data` ties frame and data to each
        other, and a frame in such a circle keeps its memory until Python's collector happens to run."""
        if self._rotation is None or frame.rotation != self._rotation:
            self._rotation = frame.rotation
            matrix = frame.side_data.get("DISPLAYMATRIX")
            values = np.frombuffer(memoryview(matrix), np.int32)[:5] if isinstance(matrix, Buffer) else None
            self._matrix = None if values is None else tuple(int(value) for value in values)
        return self._matrix

    def _pixels(self, frame: av.VideoFrame, width: int, height: int) -> Image:
        context = self._stream.codec_context
        if is_wide(context.color_trc, context.color_primaries):
            # in planes: libswscale of PyAV 16 spoils packed pixels of 16 bits
            wide = self._scaler.reformat(frame, width, height, "gbrp12le", src_colorspace=BT2020, dst_colorspace=Colorspace.ITU601)
            return to_sdr(np.asarray(wide.to_ndarray(), np.uint16), context.color_trc)
        untagged_hd = frame.colorspace == UNSPECIFIED and (frame.width >= 1280 or frame.height > 576) and not frame.format.is_rgb
        if frame.colorspace == BT709 or untagged_hd:  # PyAV 16 minds the label only where both sides are named, though RGB has no matrix
            frame = self._scaler.reformat(frame, width, height, "rgb24", src_colorspace=Colorspace.ITU709, dst_colorspace=Colorspace.ITU601)
        else:
            frame = self._scaler.reformat(frame, width, height, "rgb24")
        return np.asarray(frame.to_ndarray(), np.uint8)


def _upright(image: Image, matrix: tuple[int, ...] | None) -> Image:
    """Turn and flip as the file's display matrix says (a phone held upright videos sideways and notes it there)."""
    if matrix is not None:
        a, b, _, c, d = matrix  # where the picture's x and y axes go on the screen
        if abs(b) > abs(a):
            image = image.transpose(1, 0, 2)
            a, d = c, b
        if a < 0:
            image = image[:, ::-1]
        if d < 0:
            image = image[::-1]
    return np.ascontiguousarray(image)


def _with_bars(image: Image, size: Size) -> Image:
    """The picture in the middle of a black one of that size; itself where it has the size."""
    height, width = image.shape[:2]
    if (width, height) == size:
        return image
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    framed = np.zeros((size[1], size[0], 3), np.uint8)
    framed[top : top + height, left : left + width] = image
    return framed
