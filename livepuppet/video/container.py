"""Video files as PyAV opens them: by any name, the stream that players show, all packets, and one clock where the file's own restarts."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import av.error
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from livepuppet.errors import SourceError, UsageError

log = logging.getLogger(__name__)

OPEN_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 5.0

CLOCK_MAY_RESTART = frozenset({"mpegts", "mpeg", "matroska,webm", "flv", "ogg"})
"""FFmpeg's names of the kinds of file that may be recordings put one behind another, each with its own clock."""
CLOCK_MAY_JUMP = frozenset({"mpegts", "mpeg"})
"""Those of them in which clocks also jump ahead; elsewhere a long pause is a picture that stands."""
BACK_S, AHEAD_S = 0.1, 10.0
"""A clock that steps back by more, or ahead by more, than it should between two packets of a stream has restarted or jumped."""
FOLLOW_S = 1.0
"""Sound and pictures of a chunk do not end at the same moment; the chunks' may overlap by as much."""

LEADS_ELSEWHERE = frozenset(
    {"hls", "applehttp", "concat", "dash", "webm_dash_manifest", "imf", "sdp", "rtsp", "rtp", "sap", "vobsub", "svg_pipe", "lavfi"}
)
"""Kinds of file that only say where the video is: a file from a stranger would have other files of this machine read, or servers asked."""

HOPELESS = 200
"""Damaged packets in a row after which a video counts as ended."""


def choose_video(container: InputContainer) -> VideoStream | None:
    """The video that players would show: FFmpeg's best stream (default flag, then size), never a cover picture. None: there is none that
    can be decoded."""
    usable = [s for s in container.streams.video if s.codec_context is not None and not s.disposition & Disposition.attached_pic]
    best = container.streams.best("video")
    return next((s for s in usable if best is not None and s.index == best.index), usable[0] if usable else None)


def packets_of(container: InputContainer, streams: tuple[Any, ...], damaged: Callable[[Exception], None]) -> Iterator[av.Packet[Any]]:
    """All packets of those streams in the file's order.

    Args:
        damaged: called for each place that cannot be read; reading goes on behind it.
    """
    in_a_row = 0
    packets = container.demux(*streams)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.error.FFmpegError as error:
            damaged(error)
            in_a_row += 1
            if in_a_row > HOPELESS:
                return
            packets = container.demux(*streams)
            continue
        in_a_row = 0
        yield packet


@dataclass(frozen=True)
class Timeline:
    """The one clock of a file whose own may restart or jump on the way (joined recordings, transport streams); found without decoding.

    Attributes:
        shifts: for each stream, what is added to timestamps, and from which packet on (counted from 0), in units of the stream.
        keys: corrected timestamps of the key frames.
        ends: the last corrected timestamp with its duration.
    """

    shifts: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    keys: dict[int, list[int]] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)
    overlapping: set[int] = field(default_factory=set)
    """Streams in which a clock steps back by so little that it is left: two frames share a time."""

    @property
    def continuous(self) -> bool:
        """Whether the file's own clock can be trusted throughout, so that a time names one place in the file."""
        return not self.overlapping and all(len(shifts) == 1 for shifts in self.shifts.values())

    def correct(self, packet: av.Packet[Any], number: int) -> None:
        """Put a packet, the stream's `number`-th, onto the one clock."""
        shifts = self.shifts.get(packet.stream_index)
        if shifts is None or len(shifts) == 1:
            return
        shift = next(ticks for first, ticks in reversed(shifts) if number >= first)
        packet.pts = None if packet.pts is None else packet.pts + shift
        packet.dts = None if packet.dts is None else packet.dts + shift


def timeline_of(path: str, container: InputContainer) -> Timeline | None:
    """The file's timeline; None for kinds of file whose clock cannot restart, and for streams watched as they happen."""
    if is_url(path) or container.format.name not in CLOCK_MAY_RESTART:
        return None
    status = os.stat(path)
    return _read_timeline(path, status.st_size, status.st_mtime_ns, container.format.name in CLOCK_MAY_JUMP)


@lru_cache(maxsize=8)
def _read_timeline(path: str, size: int, changed_ns: int, may_jump: bool) -> Timeline:
    """Sound and pictures jump together, though not at the same packet: whichever stream comes first to a jump decides how far, and the
    others follow when they come to it. may_jump: also ahead, unless another stream has gone on meanwhile: then it was a pause.
    """
    timeline = Timeline()
    jumps = [0.0]  # what is added to the file's clock after each jump, in seconds
    at: dict[int, int] = {}
    due: dict[int, float] = {}
    last: dict[int, float] = {}
    counts: dict[int, int] = {}
    with open_container(path) as container:
        streams = tuple(s for s in container.streams if s.type in {"video", "audio"} and s.codec_context is not None)
        ticks = {s.index: float(s.time_base or 0) for s in streams}
        images = {s.index for s in streams if s.type == "video"}
        for packet in packets_of(container, streams, lambda error: log.debug("%s: %s", path, error)):
            if not packet.size:
                continue
            index = packet.stream_index
            tick = ticks[index]
            number = counts[index] = counts.get(index, -1) + 1
            shifts = timeline.shifts.setdefault(index, [(0, 0)])
            pts, dts, length = packet.pts, packet.dts, packet.duration or 0
            if dts is None:  # some of Matroska's first packets: shown in another order than they come in
                if pts is not None:
                    _note(timeline, index, pts + shifts[-1][1], length, packet.is_keyframe and index in images)
                continue
            epoch, time = at.get(index, 0), dts * tick
            expected = due.get(index)
            gap = 0.0 if expected is None else time + jumps[epoch] - expected
            jumped = may_jump and gap > AHEAD_S and not _went_on(due, index)
            if expected is not None and (jumped or gap < -BACK_S):
                while epoch + 1 < len(jumps):
                    epoch += 1
                    if -FOLLOW_S <= time + jumps[epoch] - expected <= FOLLOW_S:
                        break
                else:
                    jumps.append(expected - time)
                    epoch = len(jumps) - 1
                shifts.append((number, round(jumps[epoch] / tick)))
            at[index], time = epoch, time + jumps[epoch]
            if index in images and time <= last.get(index, time - 1):
                timeline.overlapping.add(index)
            last[index] = time
            due[index] = max(expected if expected is not None else time, time + length * tick)
            if pts is not None:
                _note(timeline, index, pts + shifts[-1][1], length, packet.is_keyframe and index in images)
    return timeline


def _went_on(due: dict[int, float], index: int) -> bool:
    """Whether another stream is well ahead of this one."""
    return any(end > due[index] + AHEAD_S / 2 for other, end in due.items() if other != index)


def _note(timeline: Timeline, index: int, pts: int, length: int, key: bool) -> None:
    timeline.ends[index] = max(timeline.ends.get(index, pts), pts + length)
    if key:
        timeline.keys.setdefault(index, []).append(pts)


def is_url(path: str | Path) -> bool:
    """Whether it names something on the network rather than a file."""
    return "://" in str(path)


def ffmpeg_name(path: str | Path) -> str:
    """How FFmpeg is told to open it: a file's name may hold a colon, which would otherwise make a protocol of what is before it."""
    return str(path) if is_url(path) else f"file:{path}"


def open_container(path: str) -> InputContainer:
    """Open a video for reading.

    Raises:
        UsageError, SourceError: in one line.
    """
    url = is_url(path)
    options = {"rtsp_transport": "tcp"} if url else {"protocol_whitelist": "file", "format_whitelist": _self_contained()}
    timeout = (OPEN_TIMEOUT_S, READ_TIMEOUT_S) if url else None
    if not url and Path(path).is_dir():
        raise UsageError(f"{path} is a folder, not a video")
    if not url and not Path(path).exists():
        hint = ": make a video of numbered pictures first" if "%" in path and Path(path).suffix.lower() in {".png", ".jpg", ".jpeg"} else ""
        raise UsageError(f"no such video: {path}{hint}")
    if not url and not Path(path).is_file():
        raise UsageError(f"{path} is a pipe or a device, and a video is read more than once: save it to a file first")
    if not url and Path(path).is_file() and Path(path).stat().st_size == 0:
        raise UsageError(f"{path} is empty (0 bytes)")
    try:
        return av.open(ffmpeg_name(path), options=options, timeout=timeout)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if url:
            raise SourceError(f"cannot open {path}: {reason_of(error)}") from error
        if isinstance(error, av.error.InvalidDataError):
            raise UsageError(f"{path} is not a readable video, or it is cut short") from error
        if isinstance(error, av.error.ArgumentError):
            raise UsageError(f"{path} is not a readable video: it is damaged, or only a list of other files (a playlist)") from error
        raise UsageError(f"cannot open {path}: {reason_of(error)}") from error


@lru_cache(maxsize=1)
def _self_contained() -> str:
    """FFmpeg's names of all kinds of file that it reads, but for those that lead elsewhere."""
    kinds = {name for names in av.formats_available for name in names.split(",")}
    return ",".join(sorted(kinds - LEADS_ELSEWHERE))


def reason_of(error: Exception) -> str:
    if isinstance(error, av.error.ExitError | TimeoutError):
        return "no answer in time"
    return getattr(error, "strerror", None) or str(error)
