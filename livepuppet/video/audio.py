"""The sound of a video, carried over to another one: packet by packet where the other can take it, else encoded anew, else left out.

What becomes of each stream is decided by trying it on a video that nobody keeps, before any picture is made: sound never costs the video.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import av.error
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.container import OutputContainer
from numpy.typing import NDArray

from livepuppet.video.audio_packets import (
    audio_specific_config,
    changes_on_the_way,
    first_packets,
    has_adts_header,
    is_adts,
    without_header,
)
from livepuppet.video.container import open_container, packets_of, timeline_of

log = logging.getLogger(__name__)

_MP4 = frozenset({"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"})
FITS: dict[str, frozenset[str]] = {
    ".mp4": _MP4,
    ".m4v": _MP4,
    ".mov": _MP4 | {"pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_f32le"},
    ".webm": frozenset({"opus", "vorbis"}),
}
"""Kinds of sound that players expect in a video of that suffix; of Matroska they expect all. Others are encoded anew, and that is said."""

ANEW = {".webm": "libopus", ".mov": "pcm_s16le"}
"""What sound is encoded as where it cannot be copied; AAC elsewhere."""

LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""Where the speakers stand when a file only says how many there are."""

FAITHFUL_S = Fraction(1, 20)
"""A gap or an overlap longer than this is kept when sound is encoded anew; shorter ones are a clock's rounding."""

RUN_UP_S = Fraction(1, 20)
"""Packets earlier than a video's beginning by less than this are copied, since the codec needs them before its first sample."""

SILENCE_S = 60
"""A longer gap is left open instead of being filled with silence: a damaged clock says days, which no memory holds."""

OVERLAP_S = Fraction(3, 1000)
"""Packets that overlap by less are a coarse clock's rounding."""

SEARCHED_WELL = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"})
"""FFmpeg's names of the kinds of file that lead straight to a time."""

Samples = NDArray[np.float32]
"""(samples, channels)."""


class AudioTrack:
    """The audio streams of a video, given out in step with the pictures of another.

    Args:
        origin: seconds on the video's own clock that become 0.
        cut: what is heard before that is not wanted, since the other video begins in the middle of this one.
        end: seconds on the same clock before which sound is taken; None: all of it.
    """

    def __init__(self, path: str, *, origin: Fraction = Fraction(0), cut: bool = False, end: Fraction | None = None) -> None:
        """Raises UsageError where the video cannot be read."""
        self._path = path
        self._container = open_container(path)
        self._timeline = timeline_of(path, self._container)
        self._origin, self._end, self._cut = origin, end, cut
        self._tracks: dict[int, CopiedAudio | EncodedAudio] = {}
        self._packets = self._read()
        self._waiting: av.Packet[Any] | None = None
        self._ended = False

    def __bool__(self) -> bool:
        return any(stream.codec_context is not None for stream in self._container.streams.audio)

    def attach(self, output: OutputContainer, suffix: str) -> None:
        """Add a stream to the other video for each of these that it can carry."""
        unknown = [s for s in self._container.streams.audio if s.codec_context is None]
        if unknown:
            log.info("%s: sound of an unknown kind is left out (%d of its tracks)", self._path, len(unknown))
        streams = [s for s in self._container.streams.audio if s.codec_context is not None]
        samples = first_packets(self._path, {s.index for s in streams})
        for stream in streams:
            if not samples[stream.index]:
                continue  # a track without any sound
            name = stream.codec_context.name
            track: CopiedAudio | EncodedAudio | None = None
            if copyable(self._path, suffix, stream, samples[stream.index]):
                track = CopiedAudio(output, stream, samples[stream.index][0])
            else:
                track = encoded(output, suffix, stream)
                if track is None:
                    log.warning("the %s sound of %s cannot be carried to %s: it is left out", name, self._path, suffix)
                    continue
                log.info("%s cannot carry the %s sound as it is: encoding it anew as %s", suffix, name, track.codec)
            _describe(track.stream, stream)
            self._tracks[stream.index] = track

    def until(self, seconds: Fraction | None) -> Iterator[av.Packet[Any]]:
        """Packets for the other video, up to that time on its clock; None: all that is left."""
        while not self._ended:
            packet = self._waiting or next(self._packets, None)
            self._waiting = None
            if packet is None:
                self._ended = True
                for index in list(self._tracks):
                    yield from self._guarded(index, None)
                return
            if seconds is not None and self._time(packet) > seconds:
                self._waiting = packet
                return
            yield from self._guarded(packet.stream_index, packet)

    def _guarded(self, index: int, packet: av.Packet[Any] | None) -> Iterator[av.Packet[Any]]:
        """What a track makes of a packet (None: of the end). One that fails is left out from there on."""
        track = self._tracks.get(index)
        if track is None:
            return
        try:
            made = list(track.finish() if packet is None else track.take(packet))
        except (av.error.FFmpegError, ValueError) as error:
            self.leave_out(track.stream.index, error)
            return
        yield from made

    def leave_out(self, made: int, reason: Exception) -> None:
        """Go on without the other video's stream of that index, which has failed or was refused after all."""
        for index, track in list(self._tracks.items()):
            if track.stream.index == made:
                del self._tracks[index]
                log.warning("the sound of %s ends early: %s", self._path, getattr(reason, "strerror", None) or reason)

    def _time(self, packet: av.Packet[Any]) -> Fraction:
        """When the packet is heard, on the other video's clock."""
        at = packet.pts if packet.pts is not None else packet.dts
        return Fraction(at or 0) * Fraction(packet.time_base)

    def _read(self) -> Iterator[av.Packet[Any]]:
        """Packets of the tracks between the beginning and the end, on the other video's clock."""
        streams = tuple(s for s in self._container.streams.audio if s.index in self._tracks)
        if not streams:
            return
        trusted = self._timeline is None or self._timeline.continuous
        if self._cut and trusted and self._container.format.name in SEARCHED_WELL:
            self._container.seek(max(0, int((self._origin - EncodedAudio.run_up) * av.time_base)), backward=True)
        counts = dict.fromkeys(self._tracks, -1)
        over: set[int] = set()
        for packet in packets_of(self._container, streams, lambda error: log.debug("damaged sound left out: %s", error)):
            if not packet.size:
                continue
            counts[packet.stream_index] += 1
            if self._timeline is not None:
                self._timeline.correct(packet, counts[packet.stream_index])
            if packet.pts is None and packet.dts is None:
                continue
            shift = round(self._origin / Fraction(packet.time_base))
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = None if packet.dts is None else packet.dts - shift
            time = self._time(packet)
            if self._end is not None and time + self._origin >= self._end:
                over.add(packet.stream_index)
                if over >= self._tracks.keys():
                    return
                continue
            track = self._tracks.get(packet.stream_index)
            if track is None:
                continue
            if isinstance(track, CopiedAudio) and (self._cut or time < -track.run_up):
                track.run_up = Fraction(0)  # what is before was cut off, and is no run-up
            if time >= -track.run_up:
                yield packet

    def close(self) -> None:
        """Free the file. May be called twice."""
        self._ended = True
        self._container.close()


class CopiedAudio:
    """One audio stream, its packets as they are."""

    def __init__(self, output: OutputContainer, stream: AudioStream, first: bytes) -> None:
        """first: the stream's first packet."""
        self.run_up = RUN_UP_S
        self.stream = output.add_stream_from_template(stream)
        self._last: int | None = None
        self._end: int | None = None
        self._strict = output.format.name not in {"matroska", "webm"}  # these may have two packets at one time
        self._adts = is_adts(stream, first)
        if self._adts:  # AAC as it is broadcast carries in every packet what videos say once
            self.stream.codec_context.extradata = audio_specific_config(first)

    def take(self, packet: av.Packet[Any]) -> Iterator[av.Packet[Any]]:
        at = packet.dts if packet.dts is not None else packet.pts
        if self._adts and not has_adts_header(bytes(memoryview(packet)[:8])):
            return
        if at is None:
            return
        length = packet.duration or 0
        if self._last is not None and self._end is not None:
            overlap = (self._end - at) * Fraction(packet.time_base)
            if overlap > max(OVERLAP_S, length * Fraction(packet.time_base) / 2):
                return  # where two recordings are joined, the first one's end and the second one's beginning overlap
            if at < self._last or (self._strict and at == self._last):
                packet.pts = packet.dts = at = self._last + 1
        self._last, self._end = at, at + length
        packet = without_header(packet) if self._adts else packet
        packet.stream = self.stream
        yield packet

    def finish(self) -> Iterator[av.Packet[Any]]:
        yield from ()


class EncodedAudio:
    """One audio stream, decoded and encoded in a kind that the other video can carry; rate and layout may change on the way."""

    run_up = Fraction(2)
    """Decoding may begin as much earlier; what comes out before the beginning is cut off to the sample."""

    def __init__(self, output: OutputContainer, codec: str, rate: int, layout: str) -> None:
        made = output.add_stream(codec, rate=rate)
        assert isinstance(made, AudioStream)
        self.stream, self.codec = made, codec
        made.codec_context.layout = layout
        made.codec_context.open()
        self._rate, self._layout, self._channels = made.codec_context.sample_rate, layout, made.codec_context.channels
        self._length = made.codec_context.frame_size or 1024
        self._like: tuple[str, str, int] | None = None
        self._resampler: av.AudioResampler | None = None
        self._waiting: list[Samples] = []
        self._held = 0
        self._written = 0
        self._surplus = 0

    def take(self, packet: av.Packet[Any]) -> Iterator[av.Packet[Any]]:
        try:
            frames = packet.decode()
        except av.error.FFmpegError as error:
            log.debug("damaged sound left out: %s", error)
            return
        for frame in frames:
            assert isinstance(frame, av.AudioFrame)
            yield from self._add(frame)

    def finish(self) -> Iterator[av.Packet[Any]]:
        self._resample(None)
        if self._held:
            yield from self._encode(self._held)
        yield from self.stream.encode(None)

    def _add(self, frame: av.AudioFrame) -> Iterator[av.Packet[Any]]:
        like = (frame.format.name, frame.layout.name, frame.sample_rate)
        if like != self._like:
            self._resample(None)
            self._like = like
            # channels side by side: PyAV 18 crashes where eight of them lie in planes of their own
            self._resampler = av.AudioResampler("flt", self._layout, self._rate)
        if frame.pts is not None and frame.time_base is not None:
            yield from self._keep_time(round(frame.pts * Fraction(frame.time_base) * self._rate))
        self._resample(frame)
        while self._held >= self._length:
            yield from self._encode(self._length)

    def _keep_time(self, due: int) -> Iterator[av.Packet[Any]]:
        """Fill a gap with silence, or leave a long one open; remember how much to cut off of sound that overlaps or begins too early."""
        ahead = due - self._written - self._held
        begun = self._written + self._held > 0
        self._surplus = max(0, -ahead) if not begun or -ahead > FAITHFUL_S * self._rate else 0
        if ahead > (FAITHFUL_S * self._rate if begun else 0):
            if begun and ahead > SILENCE_S * self._rate:
                self._append(np.zeros((-self._held % self._length, self._channels), np.float32))  # encoders want whole frames
                while self._held:
                    yield from self._encode(self._length)
                self._written = due
            elif begun:
                self._append(np.zeros((ahead, self._channels), np.float32))
            else:
                self._written = ahead

    def _resample(self, frame: av.AudioFrame | None) -> None:
        if self._resampler is None:
            return
        for resampled in self._resampler.resample(frame and _placed(frame)):
            self._append(np.asarray(resampled.to_ndarray(), np.float32).reshape(-1, self._channels))

    def _append(self, samples: Samples) -> None:
        cut = min(self._surplus, len(samples))
        self._surplus -= cut
        if len(samples) > cut:
            self._waiting.append(samples[cut:])
            self._held += len(samples) - cut

    def _encode(self, length: int) -> Iterator[av.Packet[Any]]:
        joined = np.concatenate(self._waiting)
        chunk, rest = joined[:length], joined[length:]
        self._waiting, self._held = [rest], len(rest)
        frame = av.AudioFrame.from_ndarray(chunk.reshape(1, -1), format="flt", layout=self._layout)
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._written, Fraction(1, self._rate)
        self._written += length
        yield from self.stream.encode(frame)


def encoded(output: OutputContainer, suffix: str, stream: AudioStream) -> EncodedAudio | None:
    """A stream of the other video for that sound, as like it as its encoder can make it; None: there is no decoder or no way."""
    name = ANEW.get(suffix, "aac")
    context = stream.codec_context
    if name not in av.codecs_available or not context.sample_rate or not context.layout.nb_channels:
        return None
    rates = av.Codec(name, "w").audio_rates or [context.sample_rate]
    rate = 48_000 if name == "libopus" else min(rates, key=lambda known: (abs(known - context.sample_rate), known))
    for layout in dict.fromkeys((context.layout.name, LAYOUTS.get(context.layout.nb_channels, "stereo"), "stereo", "mono")):
        trial = AudioCodecContext.create(name, "w")
        try:
            assert isinstance(trial, AudioCodecContext)
            trial.sample_rate, trial.layout, trial.format = rate, layout, (av.Codec(name, "w").audio_formats or [context.format])[0].name
            trial.open()
        except (av.error.FFmpegError, ValueError) as error:
            log.debug("no %s with the layout %s: %s", name, layout, error)
            continue
        return EncodedAudio(output, name, rate, layout)
    return None


def copyable(path: str, suffix: str, stream: AudioStream, packets: list[bytes]) -> bool:
    """Whether a video of that suffix carries the stream's packets as they are: tried with a few of them."""
    fits = FITS.get(suffix)
    if not packets or (fits is not None and stream.codec_context.name.replace("float", "") not in fits):
        return False
    if is_adts(stream, packets[0]) and (audio_specific_config(packets[0]) is None or changes_on_the_way(path, stream)):
        return False
    if stream.codec_context.name in {"ac3", "eac3", "mp2", "mp3"} and suffix != ".mkv" and changes_on_the_way(path, stream):
        return False
    try:
        with av.open(io.BytesIO(), "w", format={".webm": "webm", ".mkv": "matroska", ".mov": "mov"}.get(suffix, "mp4")) as trial:
            track = CopiedAudio(trial, stream, packets[0])
            for number, data in enumerate(packets):
                packet = av.Packet(data)
                packet.time_base = stream.time_base or Fraction(1, 48_000)
                packet.pts = packet.dts = number * (length := max(1, round(Fraction(1, 50) / packet.time_base)))
                packet.duration = length
                for ready in track.take(packet):
                    trial.mux(ready)
    except (av.error.FFmpegError, ValueError, OSError) as error:
        log.debug("%s does not take %s as it is: %s", suffix, stream.codec_context.name, error)
        return False
    return True


def _placed(frame: av.AudioFrame) -> av.AudioFrame:
    """The frame with speakers in places, where the file only says how many there are. Of more than there are layouts for, two are taken."""
    channels = frame.layout.nb_channels
    if not frame.layout.name.endswith("channels") or (frame.format.is_planar and channels > 7):  # more planes crash PyAV 18
        return frame
    samples: NDArray[Any] = frame.to_ndarray()
    if channels not in LAYOUTS:
        samples = samples[:2] if frame.format.is_planar else samples.reshape(-1, channels)[:, :2].reshape(1, -1)
        channels = 2
    placed = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format=frame.format.name, layout=LAYOUTS[channels])
    placed.sample_rate, placed.pts, placed.time_base = frame.sample_rate, frame.pts, frame.time_base
    return placed


def _describe(made: AudioStream, stream: AudioStream) -> None:
    """Carry over what players show of a track: its language, its title, whether it is the default."""
    kept = {key: value for key, value in stream.metadata.items() if key in {"language", "title"}}
    made.metadata.update(kept)
    made.disposition = stream.disposition.value  # type: ignore[assignment]  # PyAV 16 takes a number only
