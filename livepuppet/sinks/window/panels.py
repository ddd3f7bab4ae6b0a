"""The window's panels: message, statistics, keys, recording. Text in, sprite out; the same text gives the same sprite, made once."""

from __future__ import annotations

import math
from functools import lru_cache

from livepuppet.sinks.window.sprite import (
    Colour,
    Sprite,
    clear,
    copied,
    draw_disc,
    draw_outline,
    line_height,
    rounded_rectangle,
    shortened,
    solid_sprite,
    stack,
    text_width,
    wrapped,
    written,
)
from livepuppet.types import Size

INK: Colour = (242, 243, 245)
QUIET: Colour = (163, 170, 182)
PAPER: Colour = (17, 19, 24)
ACCENT: Colour = (255, 198, 92)
ALARM: Colour = (255, 82, 77)
PAPER_OPACITY = 0.78
"""Dense enough that quiet text keeps a contrast of 4.5 : 1 over pure white."""

SMALLEST_TEXT_PX = 9


def text_size(size: Size) -> int:
    """Height of body text, in pixels, for a canvas of this size."""
    return round(min(24.0, max(12.0, math.sqrt(size[0] * size[1]) / 52)))


def margin(size: Size) -> int:
    """Distance of the panels from the edge of the canvas, in pixels."""
    return round(text_size(size) * 1.1)


def panel_sheet(size: Size, radius: float, opacity: float = PAPER_OPACITY) -> Sprite:
    """An empty panel, to be written on."""
    return copied(_blank(size, radius, opacity))


@lru_cache(maxsize=16)
def _blank(size: Size, radius: float, opacity: float) -> Sprite:
    made = solid_sprite(rounded_rectangle(size, radius), PAPER, opacity)
    stack(made, solid_sprite(draw_outline(size, radius, 1), INK, 0.10), 0, 0)
    return made


@lru_cache(maxsize=16)
def message_panel(text: str, size: int, width: int) -> Sprite:
    """A line for the person, in at most three lines of text, no wider than `width` pixels."""
    aside, above = round(size * 1.05), round(size * 0.55)
    lines = wrapped(text, size, max(size, width - 2 * aside), 3)
    step = round(size * 1.5)
    inner = max(text_width(line, size) for line in lines)
    height = 2 * above + (len(lines) - 1) * step + line_height(size)
    panel = panel_sheet((inner + 2 * aside, height), min(height / 2, size * 1.2))
    for number, line in enumerate(lines):
        stack(panel, written(line, size, INK), aside + (inner - text_width(line, size)) // 2, above + number * step)
    return panel


@lru_cache(maxsize=4)
def recording_panel(text: str, size: int) -> Sprite:
    """A red dot and a word beside it."""
    above, gap, dot = round(size * 0.5), round(size * 0.5), round(size * 0.72)
    height = 2 * above + line_height(size)
    panel = panel_sheet((2 * gap + above + dot + text_width(text, size, True) + gap, height), height / 2)
    stack(panel, solid_sprite(draw_disc(dot), ALARM), above + gap // 2, (height - dot) // 2)
    stack(panel, written(text, size, INK, True), above + gap // 2 + dot + gap, above)
    return panel


def halves(line: str) -> tuple[str, str]:
    """What stands before and after the tab; a line without one is all value."""
    label, tab, value = line.partition("\t")
    return (label, value) if tab else ("", label)


@lru_cache(maxsize=4)
def statistics_panel(lines: tuple[str, ...], size: int, most: Size) -> Sprite:
    """One fact a line: its name, a tab, its value; further tabs make columns, an empty line makes a gap.

    No larger than `most`: values are cut, and lines at the end left out.
    """
    around, gap, step = round(size * 0.95), round(size * 1.1), round(size * 1.5)
    rows = [line.split("\t") if line else [] for line in lines]
    room = most[0] - 2 * around
    columns = _column_widths([row for row in rows if len(row) > 2], size)
    first = max((text_width(row[0], size) for row in rows if row), default=0)
    values = [shortened(row[1], size, max(size, room - first - gap)) for row in rows if len(row) == 2]
    widest = max([sum(columns) + gap * (len(columns) - 1), *(text_width(value, size) for value in values)])
    # the width moves in steps, so that the panel does not twitch with every digit
    width = min(room - first - gap, math.ceil(widest / (2 * size)) * 2 * size)
    places: list[tuple[int, list[str]]] = []
    top = around
    for row in rows:
        if row and top + line_height(size) + around > most[1]:
            break
        places += [(top, row)] if row else []
        top += step if row else step // 2
    height = places[-1][0] + line_height(size) + around if places else 2 * around
    panel = panel_sheet((2 * around + first + gap + max(size, width), height), size * 0.7)
    for top, row in places:
        stack(panel, written(row[0], size, QUIET), around, top)
        left = around + first + gap
        if len(row) == 2:
            stack(panel, written(shortened(row[1], size, max(size, width)), size, INK), left, top)
        for cell, column in zip(row[1:] if len(row) > 2 else (), columns, strict=False):
            stack(panel, written(cell, size, INK), left + column - text_width(cell, size), top)
            left += column + gap
    return panel


def _column_widths(rows: list[list[str]], size: int) -> list[int]:
    count = max((len(row) - 1 for row in rows), default=0)
    return [max(text_width(row[column + 1], size) for row in rows if len(row) > column + 1) for column in range(count)]


@lru_cache(maxsize=2)
def help_panel(lines: tuple[str, ...], size: int, most: Size) -> Sprite:
    """The keys, each in a frame like a key's cap, and what they do; in the largest text and the fewest columns that fit into `most`."""
    for text in range(max(size, SMALLEST_TEXT_PX), SMALLEST_TEXT_PX - 1, -1):
        for spacing in (1.95, 1.75):
            for columns in (1, 2, 3):
                panel = _key_table(lines, text, columns, spacing)
                if panel.size[0] <= most[0] and panel.size[1] <= most[1]:
                    return panel
    return _key_table(lines, SMALLEST_TEXT_PX, 1, 1.6)


def _key_table(lines: tuple[str, ...], size: int, columns: int, spacing: float) -> Sprite:
    around, gap, step = round(size * 1.6), round(size * 0.9), round(size * spacing)
    rows = [halves(line) for line in lines]
    deep = math.ceil(len(rows) / columns)
    blocks = [rows[start : start + deep] for start in range(0, len(rows), deep)]
    cap_widths = [max(_cap_width(label, size) for label, _ in block) for block in blocks]
    widths = [cap + gap + max(text_width(text, size) for _, text in block) for cap, block in zip(cap_widths, blocks, strict=True)]
    between = round(size * 2.4)
    panel = panel_sheet(
        (2 * around + sum(widths) + between * (len(blocks) - 1), 2 * around + step * (deep - 1) + _cap_height(size)), size, 0.86
    )
    left = around
    for block, cap_width, width in zip(blocks, cap_widths, widths, strict=True):
        for number, (label, text) in enumerate(block):
            top = around + number * step
            if label:
                cap = _cap(label, size)
                stack(panel, cap, left + cap_width - cap.size[0], top)
            stack(panel, written(text, size, INK), left + cap_width + gap, top + (_cap_height(size) - line_height(size)) // 2)
        left += width + between
    return panel


def _cap_height(size: int) -> int:
    return line_height(size) + round(size * 0.3)


def _cap_width(label: str, size: int) -> int:
    return max(_cap_height(size), text_width(label, size, True) + round(size * 0.9)) if label else 0


def _cap(label: str, size: int) -> Sprite:
    width, height = _cap_width(label, size), _cap_height(size)
    cap = clear((width, height))
    stack(cap, solid_sprite(rounded_rectangle((width, height), size * 0.35), INK, 0.10), 0, 0)
    stack(cap, solid_sprite(draw_outline((width, height), size * 0.35, 1), INK, 0.28), 0, 0)
    letters = written(label, size, ACCENT, True)
    stack(cap, letters, (width - text_width(label, size, True)) // 2, (height - line_height(size)) // 2)
    return cap
