"""The pattern of a session: a square tile of +1 and -1 cells that repeats over the picture.

Half of the cells are the same in every picture livepuppet makes (the sync cells: they say "livepuppet, synthetic", and where the tile
lies); the other half spell the session's 16 bits. Each data cell has 16 fixed random bits and shows the parity of those that the session
id picks: a random linear code. Only 65,536 of the 2^512 possible words are valid, so the code is its own checksum, and the nearest of
all valid words is found at once by a Walsh-Hadamard transform (MacWilliams & Sloane, "The Theory of Error-Correcting Codes", ch. 14).
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import shake_256
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

TILE = 32
"""Cells along each side of the tile."""
CELLS = 128
"""Cells along the short side of a picture: the mark scales with the picture, so a rescaled picture needs no search for its scale."""
SMALLEST = 192
"""Short side in pixels below which pictures stay unmarked: their cells would be too small to be smooth, and to survive anything."""
IDS = 1 << 16
"""Session ids are 0 … IDS - 1."""
SEED = b"livepuppet, synthetic: watermark 1"
"""Names the pattern; another version of the mark takes another number."""


class Layout(NamedTuple):
    """What is fixed about the tile, each (TILE, TILE).

    Attributes:
        data: bool, True where a cell carries session bits, False where it is a sync cell.
        sign: +1 or -1, the sync cells' values and the data cells' scrambling.
        word: 0 … IDS - 1, a data cell's 16 random bits.
    """

    data: NDArray[np.bool_]
    sign: NDArray[np.float64]
    word: NDArray[np.int64]


@lru_cache(maxsize=1)
def layout() -> Layout:
    """Drawn from SHAKE-256 rather than a random generator: the same on every machine and in every version of numpy."""
    stream = np.frombuffer(shake_256(SEED).digest(TILE * TILE * 8), np.uint8).reshape(TILE * TILE, 8).astype(np.int64)
    order = np.argsort(stream[:, :4] @ [1, 1 << 8, 1 << 16, 1 << 24], kind="stable")
    data = np.zeros(TILE * TILE, np.bool_)
    data[order[::2]] = True
    sign = 1.0 - 2.0 * (stream[:, 4] & 1)
    word = stream[:, 5] | stream[:, 6] << 8
    return Layout(data.reshape(TILE, TILE), sign.reshape(TILE, TILE), word.reshape(TILE, TILE))


def watermark_tile(session_id: int) -> NDArray[np.float64]:
    """The session's pattern: (TILE, TILE) of +1 and -1.

    Raises:
        ValueError: for an id outside 0 … IDS - 1.
    """
    if not 0 <= session_id < IDS:
        raise ValueError(f"a session id is 0 … {IDS - 1}, not {session_id}")
    plan = layout()
    bits = np.where(plan.data, plan.word & session_id, 0)
    for shift in (8, 4, 2, 1):
        bits = bits ^ (bits >> shift)
    return plan.sign * (1.0 - 2.0 * (bits & 1))


def sync_pattern() -> NDArray[np.float64]:
    """The part that all sessions share: (TILE, TILE), 0 in the data cells."""
    plan = layout()
    return np.where(plan.data, 0.0, plan.sign)


def decode_word(cells: NDArray[np.float64]) -> tuple[int, float]:
    """The session id whose pattern is nearest to (TILE, TILE) soft cell values, and how clearly it leads.

    The lead is in standard deviations of the other 65,535 candidates' scores; chance alone reaches about 4.5.
    """
    plan = layout()
    scores = np.zeros(IDS)
    np.add.at(scores, plan.word[plan.data], (plan.sign * cells)[plan.data])
    step = 1
    while step < IDS:
        pairs = scores.reshape(-1, 2, step)
        scores = np.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], axis=1).reshape(IDS)
        step *= 2
    best = int(np.argmax(scores))
    spread = float(np.delete(scores, best).std())
    return best, float(scores[best]) / spread if spread > 0 else 0.0
