"""The sound of a film, carried over to another one packet by packet, so that it stays bit for bit the same."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import av.error
from av.audio.stream import AudioStream
from av.container import OutputContainer

from livepuppet.video.container import open_container

log = logging.getLogger(__name__)

_MP4 = frozenset({"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"})
FITS: dict[str, frozenset[str]] = {
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".mov": _MP4 | {"pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_f32le"},
    ".webm": frozenset({"opus", "vorbis"}),
}
"""Kinds of sound a film of that suffix can carry; Matroska carries all. Others are encoded anew, and that is said."""

ANEW = {".webm": ("libopus", 48_000), ".mp4": ("aac", None), ".m4v": ("aac", None), ".mov": ("pcm_s16le", None)}


class AudioTrack:
    """The audio streams of a film, given out in step with the pictures of another.

    start, end: seconds on the film's own clock between which sound is taken; `start` becomes 0. None: all, at its own time.
    """

    def __init__(self, path: str, *, start: Fraction | None = None, end: Fraction | None = None) -> None:
        """Raises UsageError where the film cannot be read."""
        self._path = path
        self._container = open_container(path)
        self._start, self._end = start, end
        self._tracks: dict[int, CopiedAudio | EncodedAudio] = {}
        self._packets = self._read()
        self._waiting: av.Packet[Any] | None = None
        self._ended = False

    def __bool__(self) -> bool:
        return bool(self._container.streams.audio)

    def attach(self, output: OutputContainer, suffix: str) -> None:
        """Add a stream to the other film for each of these."""
        for stream in self._container.streams.audio:
            fits = FITS.get(suffix)
            if fits is None or stream.codec_context.name.replace("float", "") in fits:
                self._tracks[stream.index] = CopiedAudio(output, stream)
            else:
                codec, rate = ANEW[suffix]
                log.info("%s cannot carry %s sound: encoding it anew as %s", suffix, stream.codec_context.name, codec)
                self._tracks[stream.index] = EncodedAudio(output, stream, codec, rate)

    def until(self, seconds: Fraction | None) -> Iterator[av.Packet[Any]]:
        """Packets for the other film, up to that time on its clock; None: all that is left."""
        while not self._ended:
            packet = self._waiting or next(self._packets, None)
            self._waiting = None
            if packet is None:
                self._ended = True
                for track in self._tracks.values():
                    yield from track.finish()
                return
            if seconds is not None and self._time(packet) > seconds:
                self._waiting = packet
                return
            yield from self._tracks[packet.stream_index].take(packet, self._start)

    def _time(self, packet: av.Packet[Any]) -> Fraction:
        at = packet.pts if packet.pts is not None else packet.dts
        return Fraction(at or 0) * Fraction(packet.time_base) - (self._start or 0)

    def _read(self) -> Iterator[av.Packet[Any]]:
        streams = [s for s in self._container.streams.audio if s.index in self._tracks]
        if not streams:
            return
        packets = self._container.demux(*streams)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.error.FFmpegError):
                return
            if not packet.size or (packet.pts is None and packet.dts is None):
                continue
            time = self._time(packet)
            if self._start is not None and time < 0:
                continue
            if self._end is not None and time + (self._start or 0) >= self._end:
                return
            yield packet

    def close(self) -> None:
        """Free the file. May be called twice."""
        self._ended = True
        self._container.close()


class CopiedAudio:
    """One audio stream, its packets as they are."""

    def __init__(self, output: OutputContainer, stream: AudioStream) -> None:
        self._stream = output.add_stream_from_template(stream)

    def take(self, packet: av.Packet[Any], start: Fraction | None) -> Iterator[av.Packet[Any]]:
        if start is not None:
            shift = round(start / Fraction(packet.time_base))
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = None if packet.dts is None else packet.dts - shift
        packet.stream = self._stream
        yield packet

    def finish(self) -> Iterator[av.Packet[Any]]:
        yield from ()


class EncodedAudio:
    """One audio stream, decoded and encoded in a kind that the other film can carry."""

    def __init__(self, output: OutputContainer, stream: AudioStream, codec: str, rate: int | None) -> None:
        made = output.add_stream(codec, rate=rate or stream.codec_context.sample_rate)
        assert isinstance(made, AudioStream)
        self._source, self._stream = stream, made
        made.codec_context.layout = stream.codec_context.layout
        made.codec_context.open()
        context = made.codec_context
        self._resampler = av.AudioResampler(context.format, context.layout, context.sample_rate, frame_size=context.frame_size or None)

    def take(self, packet: av.Packet[Any], start: Fraction | None) -> Iterator[av.Packet[Any]]:
        try:
            frames = packet.decode()
        except av.error.FFmpegError as error:
            log.debug("damaged sound left out: %s", error)
            return
        for frame in frames:
            assert isinstance(frame, av.AudioFrame)
            if start is not None and frame.pts is not None and frame.time_base is not None:
                frame.pts -= round(start / Fraction(frame.time_base))
            for resampled in self._resampler.resample(frame):
                yield from self._stream.encode(resampled)

    def finish(self) -> Iterator[av.Packet[Any]]:
        for resampled in self._resampler.resample(None):
            yield from self._stream.encode(resampled)
        yield from self._stream.encode(None)
