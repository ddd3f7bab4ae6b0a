"""Finds the mark in pictures that codecs, calls, scaling, cropping or a screenshot have been at.

A portrait stands almost still, so averaging frames does not remove it; what removes it is prewhitening: the picture minus its
surroundings, divided by how busy the surroundings are, which leaves something like noise to the mark. The whitened frames are averaged,
and the mean is searched once over scale, mirroring and position: it is brought to two samples per cell, folded onto one tile (all
repetitions of the tile add up), and correlated with the sync cells over all positions at once by FFT.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.provenance.watermark.code import CELLS, TILE, decode_word, sync_pattern
from livepuppet.types import Image


class ScaleLevel(NamedTuple):
    """A resolution to look at.

    Attributes:
        cell: pixels per cell of the mark, were the picture not cropped.
        smallest, largest: the cell sizes searched here, relative to that.
    """

    cell: float
    smallest: float
    largest: float


LEVELS = (ScaleLevel(3.0, 0.65, 1.7), ScaleLevel(6.0, 0.3, 0.65))
"""Whole pictures, rescaled or cropped by up to 40 % of the short side; then pictures that fill only a part of theirs (screenshots)."""
FINEST = 1.25
"""Pixels per cell in the picture as it came below which no mark is left to find: smaller scales are not searched."""
STEP = 0.006
"""Relative step between scales: half a step is a third of a cell at the edges of a 16:9 picture."""
PER_CELL = 2
SIDE = TILE * PER_CELL
"""Samples along each side of the folded tile."""
FLATTEST = 0.5
"""Added to the busyness, in levels of 255: what is flatter than this is not blown up to noise."""
FOUND = 7.5
"""Score above which a mark counts as found; measured in benchmarks/watermark.py."""
CERTAIN = 10.0
"""Score that ends the search."""
READABLE = 6.5
"""Lead (see `code.decode`) above which the session id counts as read."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the reader saw.

    Attributes:
        found: whether the mark is there.
        score: the best match in standard deviations of all positions' matches.
        session_id: the 16 bits, None where the mark is absent or too faint to spell them.
        lead: see `code.decode`.
        scale: size of the picture's cells relative to an uncropped picture.
        mirrored: left and right are swapped.
        frames: how many frames were looked at.
    """

    found: bool
    score: float
    session_id: int | None
    lead: float
    scale: float
    mirrored: bool
    frames: int


class Reader:
    """Takes frames of one picture or video, all of one size, and says whether they carry the mark."""

    def __init__(self) -> None:
        self._sums: list[NDArray[np.float32]] = []
        self._shape: tuple[int, ...] = ()
        self._frames = 0

    def add(self, image: Image) -> None:
        """Look at one more frame.

        Args:
            image: RGB uint8 (H, W, 3), shaped as the first one.

        Raises:
            ValueError: if it is not.
        """
        if self._sums and image.shape != self._shape:
            raise ValueError(f"frames of one video have one size: {image.shape} != {self._shape}")
        white = [whiten_image(image, level.cell) for level in LEVELS]
        self._sums = [total + new for total, new in zip(self._sums, white, strict=True)] if self._sums else white
        self._shape = image.shape
        self._frames += 1

    def read(self) -> Reading:
        """What all frames together say."""
        best = TemplateMatch(0.0, 1.0, False, (0, 0), 0)
        smallest = FINEST * CELLS / min(self._shape[:2]) if self._sums else 1.0
        for number, white in enumerate(self._sums):
            if best.score < FOUND:
                best = max(best, search_scales(white, number, smallest))
        if best.score == 0:
            return Reading(False, 0.0, None, 0.0, 1.0, False, self._frames)
        session_id, lead = decode_word(align_tile(fold_tiles(self._sums[best.level], LEVELS[best.level].cell * best.scale), best))
        found = best.score >= FOUND
        known = session_id if found and lead >= READABLE else None
        return Reading(found, best.score, known, lead, best.scale, best.mirrored, self._frames)


@dataclass(frozen=True, order=True, slots=True)
class TemplateMatch:
    """The best position of the sync cells at one scale.

    Attributes:
        position: row and column in samples of the folded tile.
        level: in LEVELS.
    """

    score: float
    scale: float
    mirrored: bool
    position: tuple[int, int]
    level: int


def whiten_image(image: Image, cell: float) -> NDArray[np.float32]:
    """Brightness minus its surroundings over their busyness, float32, -2 … 2, with CELLS · cell pixels on the short side."""
    height, width = image.shape[:2]
    factor = CELLS * cell / min(height, width)
    grey: NDArray[Any] = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    detail = grey - cv2.GaussianBlur(grey, (0, 0), 0.6 * cell)
    busyness = cv2.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), 0.8 * cell)) + FLATTEST
    return np.clip(detail / busyness, -2, 2)


def search_scales(white: NDArray[np.float32], number: int, smallest: float = 0.0) -> TemplateMatch:
    """The best match over the level's scales, likeliest first, ended by a certain one; then once more around it in finer steps."""
    level = LEVELS[number]
    best = TemplateMatch(0.0, 1.0, False, (0, 0), number)
    if max(level.smallest, smallest) >= level.largest:
        return best
    scales = np.exp(np.arange(np.log(max(level.smallest, smallest)), np.log(level.largest), STEP))
    memory = np.empty(int(1.1 * white.size * max(1.0, (PER_CELL / (level.cell * scales[0])) ** 2)), np.float32)
    for scale in sorted((float(scale) for scale in scales), key=lambda scale: abs(np.log(scale))):
        best = max(best, match_template(fold_tiles(white, level.cell * scale, memory), scale, number))
        if best.score > CERTAIN:
            break
    around = [best.scale * (1 + STEP * part) for part in (-1.0, -0.75, -0.5, -0.25, 0.25, 0.5, 0.75, 1.0)]
    return max(best, *(match_template(fold_tiles(white, level.cell * scale, memory), scale, number) for scale in around))


def fold_tiles(white: NDArray[np.float32], cell: float, memory: NDArray[np.float32] | None = None) -> NDArray[np.float64]:
    """The whitened picture, its cells `cell` pixels wide, at PER_CELL samples per cell, all tiles added up: (SIDE, SIDE).

    Args:
        memory: flat, to work in; fresh memory for hundreds of scales costs more than the arithmetic.
    """
    factor = PER_CELL / cell
    size = (max(1, round(white.shape[1] * factor)), max(1, round(white.shape[0] * factor)))
    enough = memory is not None and memory.size >= size[0] * size[1]
    place = memory[: size[0] * size[1]].reshape(size[1], size[0]) if memory is not None and enough else None
    small = cv2.resize(white, size, dst=place, interpolation=cv2.INTER_LINEAR if factor > 0.5 else cv2.INTER_AREA)
    rows, folded = np.zeros((SIDE, size[0]), np.float32), np.zeros((SIDE, SIDE), np.float32)
    for top in range(0, size[1], SIDE):
        piece = small[top : top + SIDE]
        rows[: len(piece)] += piece
    for left in range(0, size[0], SIDE):
        piece = rows[:, left : left + SIDE]
        folded[:, : piece.shape[1]] += piece
    return folded.astype(np.float64)


@lru_cache(maxsize=1)
def scale_templates() -> NDArray[np.complex128]:
    """Conjugate spectra of the sync cells as `fold` sees them, straight and mirrored: (2, SIDE, SIDE // 2 + 1)."""
    big = np.tile(sync_pattern(), (3, 3)).astype(np.float32)
    smooth = cv2.resize(big, (3 * SIDE, 3 * SIDE))[SIDE : 2 * SIDE, SIDE : 2 * SIDE]
    return np.conj(np.fft.rfft2(np.stack([smooth, smooth[:, ::-1]])))


def match_template(folded: NDArray[np.float64], scale: float, level: int) -> TemplateMatch:
    """Where the sync cells fit best. The tile's own spectrum is flattened first, so that a striped picture does not look like a match."""
    spectrum = np.fft.rfft2(folded)
    spectrum /= np.abs(spectrum) + np.abs(spectrum).mean() * 0.5 + 1e-12
    spectrum[0, 0] = 0
    surface = np.fft.irfft2(spectrum * scale_templates())
    surface /= surface.std(axis=(1, 2), keepdims=True) + 1e-12
    mirrored, row, column = np.unravel_index(int(np.argmax(surface)), surface.shape)
    return TemplateMatch(float(surface[mirrored, row, column]), scale, bool(mirrored), (int(row), int(column)), level)


def align_tile(folded: NDArray[np.float64], best: TemplateMatch) -> NDArray[np.float64]:
    """The folded picture turned to the tile's own origin, one value per cell: (TILE, TILE)."""
    turned = np.roll(folded, (-best.position[0], -best.position[1]), (0, 1))
    if best.mirrored:
        turned = turned[:, ::-1]
    return np.asarray(turned.reshape(TILE, PER_CELL, TILE, PER_CELL).sum((1, 3)))
