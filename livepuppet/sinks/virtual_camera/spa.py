"""SPA pods: how PipeWire writes down formats and parameters. Only what a camera node needs is here.

A pod is its body's length and its type (two 32-bit words), then the body, padded to 8 bytes. Numbers: spa/utils/type.h,
spa/param/param.h, spa/param/format.h, spa/param/buffers.h of PipeWire 0.3 (a stable interface).
"""

from __future__ import annotations

import struct

ID, INT, RECTANGLE, FRACTION, OBJECT, CHOICE = 3, 4, 10, 11, 15, 19
RANGE, FLAGS = 1, 4
"""Kinds of choice."""
FORMAT_OBJECT, BUFFERS_OBJECT = 0x40003, 0x40004
ENUM_FORMAT, FORMAT, BUFFERS = 3, 4, 5
"""Parameters a node may be asked for."""
MEDIA_TYPE, MEDIA_SUBTYPE, PIXELS, SIZE, RATE = 1, 2, 0x20001, 0x20003, 0x20004
VIDEO, RAW, YUY2 = 2, 1, 4
COUNT, BLOCKS, BYTES, STRIDE, MEMORY = 1, 2, 3, 4, 6
SHARED_MEMORY = 1 << 2
"""Buffers as file descriptors that the reader maps."""


def pod(kind: int, body: bytes) -> bytes:
    return struct.pack("<II", len(body), kind) + body + b"\0" * (-len(body) % 8)


def pod_number(value: int) -> bytes:
    return pod(INT, struct.pack("<i", value))


def identifier(value: int) -> bytes:
    return pod(ID, struct.pack("<I", value))


def rectangle(wide: int, high: int) -> bytes:
    return pod(RECTANGLE, struct.pack("<II", wide, high))


def fraction(over: int, under: int) -> bytes:
    return pod(FRACTION, struct.pack("<II", over, under))


def choice(kind: int, *values: int) -> bytes:
    """Numbers to choose from, the first is the preferred one."""
    return pod(CHOICE, struct.pack("<IIII", kind, 0, 4, INT) + struct.pack(f"<{len(values)}i", *values))


def an_object(kind: int, parameter: int, properties: dict[int, bytes]) -> bytes:
    return pod(
        OBJECT, struct.pack("<II", kind, parameter) + b"".join(struct.pack("<II", key, 0) + value for key, value in properties.items())
    )


def pod_video_format(wide: int, high: int, rate: tuple[int, int]) -> bytes:
    """Raw YUY2 of this size: the format every camera reader knows, 2 bytes per pixel, width even."""
    return an_object(
        FORMAT_OBJECT,
        ENUM_FORMAT,
        {
            MEDIA_TYPE: identifier(VIDEO),
            MEDIA_SUBTYPE: identifier(RAW),
            PIXELS: identifier(YUY2),
            SIZE: rectangle(wide, high),
            RATE: fraction(*rate),
        },
    )


def buffers(wide: int, high: int) -> bytes:
    """Four buffers preferred, two to eight accepted, each one picture."""
    return an_object(
        BUFFERS_OBJECT,
        BUFFERS,
        {
            COUNT: choice(RANGE, 4, 2, 8),
            BLOCKS: pod_number(1),
            BYTES: pod_number(2 * wide * high),
            STRIDE: pod_number(2 * wide),
            MEMORY: choice(FLAGS, SHARED_MEMORY),
        },
    )
