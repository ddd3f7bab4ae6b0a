"""How often, how long and how far somebody blinks, from the opening of the lids over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from livepuppet.types import Floats

USUAL_QUANTILE = 0.8
"""Of the opening within WINDOW_S: how far the eye is open when it is open."""
WINDOW_S = 4.0
DIP = 0.65
"""Openings below this share of the usual one belong to a blink."""
SHORTEST_S, LONGEST_S = 0.03, 0.7
"""Shorter dips are noise, longer ones a look down or closed eyes."""


@dataclass(frozen=True)
class Blink:
    """One blink.

    Attributes:
        at: second of its deepest moment.
        length_s: how long the lids were less than DIP open.
        depth: how far they closed, 0 (not at all) … 1.
    """

    at: float
    length_s: float
    depth: float


def find_blinks(seconds: Floats, opening: Floats) -> list[Blink]:
    """The blinks in a stretch.

    Args:
        seconds: of every frame (F,), rising.
        opening: of both eyes on average (F,), share of the eye's width.
    """
    if len(seconds) < 3:
        return []
    step = float(np.median(np.diff(seconds)))
    usual = np.array([np.quantile(opening[np.abs(seconds - now) <= WINDOW_S / 2], USUAL_QUANTILE) for now in seconds])
    share = opening / np.maximum(usual, 1e-6)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], share < DIP, [False]]).astype(np.int8)))
    found = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        length = float(seconds[end - 1] - seconds[start]) + step
        if start == 0 or end == len(seconds) or not SHORTEST_S <= length <= LONGEST_S:
            continue
        deepest = start + int(share[start:end].argmin())
        found.append(Blink(float(seconds[deepest]), length, float(np.clip(1 - share[deepest], 0, 1))))
    return found
