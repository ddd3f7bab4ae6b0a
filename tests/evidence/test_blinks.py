"""Blinks are found, measured, and not invented."""

from __future__ import annotations

import numpy as np

from livepuppet.evidence.blinks import find_blinks
from livepuppet.types import Floats

SECONDS = np.arange(0, 10, 1 / 25)


def opening(*blinks: tuple[float, float, float]) -> Floats:
    """Lids 0.3 wide open with blinks (second, length, depth), half a wave deep."""
    out = np.full(SECONDS.shape, 0.3)
    for at, length, depth in blinks:
        inside = np.abs(SECONDS - at) < length / 2
        out[inside] = 0.3 * (1 - depth * np.cos((SECONDS[inside] - at) / length * np.pi))
    return out


def test_blinks_are_counted_and_measured() -> None:
    found = find_blinks(SECONDS, opening((2.0, 0.4, 0.9), (6.0, 0.4, 0.6)))
    assert [round(blink.at) for blink in found] == [2, 6]
    assert abs(found[0].depth - 0.9) < 0.05 and abs(found[1].depth - 0.6) < 0.05
    assert all(0.1 < blink.length_s < 0.4 for blink in found)


def test_what_is_no_blink() -> None:
    assert find_blinks(SECONDS, opening()) == []
    assert find_blinks(SECONDS, opening((4.0, 0.4, 0.2))) == [], "a flutter"
    assert find_blinks(SECONDS, opening((4.0, 3.0, 0.95))) == [], "eyes shut for a while"
    assert find_blinks(SECONDS[:2], opening()[:2]) == []
    assert find_blinks(SECONDS, np.zeros_like(SECONDS)) == [], "eyes shut all the time"
