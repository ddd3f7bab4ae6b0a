"""The network that hears the mouth: a few rows of sound around a moment in, what jaw and lips do out. Runs in NumPy, 0.1 ms a row.

Taught by tools/speech_model on synthetic voices alone; nobody's recording is in it.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from livepuppet.speech.features import BANDS, Rows

OFFSETS = np.array([-20, -16, -13, -10, -8, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6])
"""Rows that are heard for one answer, relative to it."""
PAST, FUTURE = -int(OFFSETS[0]), int(OFFSETS[-1])
CHANNELS = ("jaw", "spread", "round", "teeth", "shut", "bite", "voice")
"""What it says, each 0 … 1: the jaw's opening, lips drawn wide, lips rounded, lips off the teeth, lips pressed together (p, b, m), the
lower lip at the teeth (f, v), and whether anybody speaks."""
FILE = "mouth_model.npz"

Layers = tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]


@lru_cache(maxsize=1)
def load_layers() -> Layers:
    """Weights (in, out) and biases (out,) of each layer."""
    with (files("livepuppet.speech") / FILE).open("rb") as file, np.load(file, allow_pickle=False) as archive:
        count = len(archive.files) // 2
        return tuple((archive[f"weight_{i}"].astype(np.float32), archive[f"bias_{i}"].astype(np.float32)) for i in range(count))


def with_neighbours(rows: Rows) -> Rows:
    """(PAST + N + FUTURE, BANDS) -> (N, len(OFFSETS) * BANDS), what the network takes for each of the N."""
    count = len(rows) - PAST - FUTURE
    if count <= 0:
        return np.zeros((0, len(OFFSETS) * BANDS), np.float32)
    around = rows[np.arange(count)[:, None] + PAST + OFFSETS]
    return np.asarray(around.reshape(count, -1), np.float32)


def hear(rows: Rows) -> NDArray[np.float32]:
    """(PAST + N + FUTURE, BANDS) -> (N, len(CHANNELS)), each 0 … 1."""
    layers = load_layers()
    values = with_neighbours(rows)
    for number, (weight, bias) in enumerate(layers):
        values = values @ weight + bias
        if number < len(layers) - 1:
            values = np.maximum(values, 0)
    return np.asarray(1 / (1 + np.exp(-values)), np.float32)
