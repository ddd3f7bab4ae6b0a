"""What the packets of compressed sound say about themselves, read without decoding them."""

from __future__ import annotations

import logging
from typing import Any

import av
from av.audio.stream import AudioStream

from livepuppet.video.container import is_url, open_container, packets_of

log = logging.getLogger(__name__)

TRIED = 8
"""Packets of a stream that are tried in a video nobody keeps."""


def is_adts(stream: AudioStream, packet: bytes) -> bool:
    """Whether AAC comes with a header in each packet (ISO/IEC 13818-7, 6.2) instead of one for the stream."""
    return stream.codec_context.name == "aac" and has_adts_header(packet)


def has_adts_header(packet: bytes) -> bool:
    return len(packet) > 7 and packet[0] == 0xFF and packet[1] & 0xF6 == 0xF0


def audio_specific_config(packet: bytes) -> bytes | None:
    """The stream's description as videos carry it (ISO/IEC 14496-3, 1.6.2.1), from a packet's header; None where that has no layout."""
    kind, rate, channels = (packet[2] >> 6) + 1, packet[2] >> 2 & 15, (packet[2] & 1) << 2 | packet[3] >> 6
    return (kind << 11 | rate << 7 | channels << 3).to_bytes(2, "big") if channels else None


def without_header(packet: av.Packet[Any]) -> av.Packet[Any]:
    """The packet without its ADTS header. FFmpeg's filter for it announces the stream's description again with the first packet, upon which
    its Matroska muxer overwrites what follows the description at the end."""
    data = bytes(packet)
    bare: av.Packet[Any] = av.Packet(data[7 if data[1] & 1 else 9 :])
    bare.time_base, bare.pts, bare.dts, bare.duration = packet.time_base, packet.pts, packet.dts, packet.duration
    bare.is_keyframe = True
    return bare


def changes_on_the_way(path: str, stream: AudioStream) -> bool:
    """Whether rate or layout change on the way: the heads of all packets are looked at, except of streams, which may never end."""
    heads: set[bytes] = set()
    if is_url(path):
        return False
    with open_container(path) as again:
        for packet in packets_of(again, (again.streams[stream.index],), lambda error: log.debug("%s", error)):
            if packet.size > 7:
                heads.add(_head(stream.codec_context.name, bytes(memoryview(packet)[:8])))
    return len(heads) > 1


def _head(codec: str, data: bytes) -> bytes:
    """The bits of a packet's header that say its rate and layout."""
    if codec == "aac":
        return bytes((data[2] & 0xFD, data[3] & 0xC0))
    if codec in {"ac3", "eac3"}:
        return bytes((data[4] & 0xC0, data[6] & 0xE0)) if data[5] >> 3 <= 10 else bytes((data[4] & 0xFE,))
    return bytes((data[1] & 0xFE, data[2] & 0x0C, 1 if data[3] >> 6 == 3 else 2))


def first_packets(path: str, indices: set[int]) -> dict[int, list[bytes]]:
    """The first few packets of each stream."""
    found: dict[int, list[bytes]] = {index: [] for index in indices}
    with open_container(path) as container:
        streams = tuple(container.streams[index] for index in sorted(indices))
        if not streams:
            return found
        for packet in packets_of(container, streams, lambda error: log.debug("%s: %s", path, error)):
            if packet.size and len(found[packet.stream_index]) < TRIED:
                found[packet.stream_index].append(bytes(packet))
            if all(len(packets) == TRIED for packets in found.values()):
                break
    return found
