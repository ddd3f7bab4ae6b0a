"""Fitting the lattice to optical flow: least squares in which an edge speaks only of what happens across it.

The flow u of a patch with the structure tensor T costs (B c - u)' T (B c - u), where B interpolates the control points' displacements c:
across an edge the difference counts, along it nothing is known and nothing is asked (the aperture problem). Cells that disagree with the
rest count less (iteratively reweighted, Geman and McClure); bending costs, and where nothing is seen c is drawn towards a guess.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.engines.landmark.lattice import BODY, COLUMNS, CONTROLS, ROWS, lattice_counts, lattice_weights
from livepuppet.types import Floats

OUTLIER_PX = 2.0
"""Pixels of the patch: flow that the lattice misses by this counts half."""
STIFFNESS, HEAD_STIFFNESS = 0.008, 0.3
"""How strongly the lattice resists bending over the body and around the head, in textured cells per control point: clothes fold, a skull
does not."""
PULL = 0.001
"""How strongly it is drawn towards what is expected where nothing is seen, in the same unit."""
ROUNDS = 2
"""How often the cells are weighed anew."""


@dataclass(frozen=True, eq=False)
class LatticeSupport:
    """Which control points each of N places hangs on: nearest (N, 4), their weights (N, 4), and for the normal equations the products of
    the weights (N, 16) and where they go in a (CONTROLS, CONTROLS) matrix (N · 16,)."""

    nearest: NDArray[np.int64]
    weights: Floats
    products: Floats
    entries: NDArray[np.int64]


def lattice_support(places: Floats) -> LatticeSupport:
    """places (N, 2) in half rims."""
    dense = lattice_weights(places) * lattice_counts(places)[:, None]
    nearest = np.sort(np.argsort(-dense, axis=1)[:, :4], axis=1)
    weights = np.take_along_axis(dense, nearest, 1)
    products = (weights[:, :, None] * weights[:, None, :]).reshape(len(places), 16)
    entries = (nearest[:, :, None] * CONTROLS + nearest[:, None, :]).ravel()
    return LatticeSupport(nearest, weights, products, entries)


def fit_lattice(
    support: LatticeSupport, tensors: tuple[Floats, Floats, Floats], flow: Floats, before: Floats, guess: Floats
) -> tuple[Floats, Floats]:
    """What the control points' displacements change by (CONTROLS, 2), and how much each cell agrees (N,), 0 … 1.

    Args:
        tensors: xx, xy, yy of each cell's structure (N,), at most about 1. flow (N, 2): what each cell has moved beyond `before`, pixels.
        before, guess: the displacements so far and those to expect where nothing is seen (CONTROLS, 2), pixels.
    """
    xx, xy, yy = tensors
    pulled = np.diag(PULL * (0.2 + BODY))
    held = BENDING + pulled
    rest = pulled @ (guess - before) - BENDING @ before
    agree, step = np.ones(len(flow)), np.zeros((CONTROLS, 2))
    matrix, right = np.zeros((2 * CONTROLS, 2 * CONTROLS)), np.zeros(2 * CONTROLS)
    for _ in range(ROUNDS):
        blocks = [
            np.bincount(support.entries, (support.products * (agree * t)[:, None]).ravel(), CONTROLS**2).reshape(CONTROLS, CONTROLS)
            for t in (xx, xy, yy)
        ]
        matrix[:CONTROLS, :CONTROLS], matrix[CONTROLS:, CONTROLS:] = blocks[0] + held, blocks[2] + held
        matrix[:CONTROLS, CONTROLS:] = matrix[CONTROLS:, :CONTROLS] = blocks[1]
        for axis, (a, b) in enumerate(((xx, xy), (xy, yy))):
            towards = agree * (a * flow[:, 0] + b * flow[:, 1])
            seen = np.bincount(support.nearest.ravel(), (support.weights * towards[:, None]).ravel(), CONTROLS)
            right[axis * CONTROLS : (axis + 1) * CONTROLS] = seen + rest[:, axis]
        solved = cv2.solve(matrix, right[:, None], flags=cv2.DECOMP_CHOLESKY)[1]  # LAPACK would wake threads for so few numbers
        step = np.asarray(solved, np.float64).reshape(2, CONTROLS).T
        x, y = ((support.weights[:, :, None] * step[support.nearest]).sum(1) - flow).T
        across = np.sqrt(np.maximum((xx * x + 2 * xy * y) * x + yy * y * y, 0) / (xx + yy + 1e-9))
        agree = 1 / (1 + (across / OUTLIER_PX) ** 2) ** 2
    return step, agree


def _bending() -> Floats:
    """(CONTROLS, CONTROLS): resistance to bending (squared second differences along rows, columns, diagonals) as a quadratic form."""
    out = np.zeros((CONTROLS, CONTROLS))

    def add(parts: list[tuple[int, int, float]], weight: float) -> None:
        row = np.zeros(CONTROLS)
        for j, i, value in parts:
            row[j * COLUMNS + i] += value
        body = float(BODY[[j * COLUMNS + i for j, i, _ in parts]].mean())
        out[:] += weight * (HEAD_STIFFNESS ** (1 - body) * STIFFNESS**body) * np.outer(row, row)

    for j in range(ROWS):
        for i in range(COLUMNS):
            if 0 < i < COLUMNS - 1:
                add([(j, i - 1, 1), (j, i, -2), (j, i + 1, 1)], 1.0)
            if 0 < j < ROWS - 1:
                add([(j - 1, i, 1), (j, i, -2), (j + 1, i, 1)], 1.0)
            if i < COLUMNS - 1 and j < ROWS - 1:
                add([(j, i, 1), (j, i + 1, -1), (j + 1, i, -1), (j + 1, i + 1, 1)], 2.0)
    return out


BENDING = _bending()
