"""The window's picture as a pure function: frame and status in, what the person sees out."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from livepuppet.sinks.window.mirror import draw_mirror, hang, mirror_size
from livepuppet.sinks.window.panels import (
    INK,
    help_panel,
    margin,
    message_panel,
    recording_panel,
    statistics_panel,
    text_size,
)
from livepuppet.sinks.window.sprite import lay, line_height, text_width, written
from livepuppet.types import Image, Size, Status

NAME = "livepuppet"
SMALLEST: Size = (160, 120)


def compose_window(image: Image | None, status: Status, size: Size, *, recorded_s: float = 0.0) -> Image:
    """What the window shows: RGB uint8 of `size`, always a new picture; neither `image` nor anything in `status` is drawn into.

    Args:
        image: the animated frame, None before the first one.
        size: of the canvas, which is the window's own, so that text is sharp at any zoom.
        recorded_s: how long the recording has run.
    """
    size = max(SMALLEST[0], size[0]), max(SMALLEST[1], size[1])
    canvas = framed(image, size) if image is not None else title(size)
    text, edge = text_size(size), margin(size)
    room_right = 0
    if status.driving is not None:
        camera = status.driving.shape[1], status.driving.shape[0]
        inset = mirror_size(camera, size, large=status.overlay > 0 or len(status.points) > 0)
        hang(canvas, draw_mirror(status, inset), size[0] - edge - inset[0], size[1] - edge - inset[1], text * 0.8)
        room_right = inset[0] + edge
    if status.recording:
        minutes, seconds = divmod(int(recorded_s), 60)
        sign = recording_panel(f"REC {minutes}:{seconds:02d}", text)
        lay(canvas, sign, size[0] - edge - sign.size[0], edge)
    if status.statistics and not status.help:
        lay(canvas, statistics_panel(status.statistics, max(11, round(text * 0.9)), (size[0] - 2 * edge, size[1] - 2 * edge)), edge, edge)
    if status.help:
        table = help_panel(status.help, text, (size[0] - 2 * edge, size[1] - 2 * edge))
        lay(canvas, table, max(0, (size[0] - table.size[0]) // 2), max(0, (size[1] - table.size[1]) // 2))
    if status.message.strip():
        _lay_message(canvas, status.message, room_right)
    return canvas


def _lay_message(canvas: Image, message: str, room_right: int) -> None:
    """At the bottom: in the middle if it fits there beside the inset, else in the room left of it, else above everything at the top."""
    size = canvas.shape[1], canvas.shape[0]
    text, edge = text_size(size), margin(size)
    free = size[0] - 2 * edge - room_right
    crowded = free < 12 * text
    panel = message_panel(message, text, size[0] - 2 * edge if crowded else free)
    x = (size[0] - panel.size[0]) // 2
    if crowded:
        lay(canvas, panel, x, edge)
        return
    if room_right and x + panel.size[0] > size[0] - edge - room_right:
        x = edge + (free - panel.size[0]) // 2
    lay(canvas, panel, x, size[1] - edge - panel.size[1])


def framed(image: Image, size: Size) -> Image:
    """The whole picture as large as it fits into `size`, its aspect kept, on a dark ground. A copy."""
    height, width = image.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    shown = min(size[0], max(1, round(width * scale))), min(size[1], max(1, round(height * scale)))
    # plain bilinear loses detail unseen down to a half; below that it would sparkle
    how = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR if scale < 1 else cv2.INTER_CUBIC
    picture = image if shown == (width, height) else np.asarray(cv2.resize(image, shown, interpolation=how), np.uint8)
    if shown == size:
        return picture.copy() if picture is image else picture
    canvas = ground(size).copy()
    left, top = (size[0] - shown[0]) // 2, (size[1] - shown[1]) // 2
    canvas[top : top + shown[1], left : left + shown[0]] = picture
    return canvas


@lru_cache(maxsize=2)
def ground(size: Size) -> Image:
    """The dark ground: a touch lighter in the middle."""
    x = np.linspace(-1, 1, size[0])[None, :]
    y = np.linspace(-1, 1, size[1])[:, None]
    light = np.clip(1 - np.hypot(x, y) / 1.5, 0, 1)[..., None]
    noise = np.random.default_rng(0).random(light.shape)  # dither: eight bits would show bands
    made: Image = (np.floor(14 + 18 * light + noise) + np.array([0, 1, 4])).astype(np.uint8)
    made.setflags(write=False)
    return made


def title(size: Size) -> Image:
    """What stands there before the first picture."""
    canvas = ground(size).copy()
    text = round(text_size(size) * 1.9)
    lay(canvas, written(NAME, text, INK), (size[0] - text_width(NAME, text)) // 2, (size[1] - line_height(text)) // 2)
    return canvas
