"""Lids and gaze: measured in the face's own frame, where turning the head does not open or close an eye."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from livepuppet.engines.landmark.face_model import IRIS, LOWER_LID, UPPER_LID
from livepuppet.types import Floats

EYES_SIZE = 6
"""Closing of the two lids (1 = closed, below 0 = wider), then gaze (right, down) of each eye in eye widths."""
CLOSED, FAITHFUL = 0.22, 0.5
"""Shares of the reference's opening. MediaPipe's lids never quite meet, so an eye open by less than the first is closed; above the second
(looking down leaves about half) the avatar's eye opens about as far as the driver's."""
LID_GAIN = 1.2
"""MediaPipe sees a half-closed eye as more open than it is."""
WIDEST = 0.3
"""Share by which an eye may open wider than in the portrait: its white and iris are stretched, for nothing else is known of it."""
GAZE_REST = 0.012
"""Eye widths; smaller changes of gaze are the iris model's noise."""
GAZE_LIMIT = np.array([0.22, 0.11])
"""To the side, up and down."""


@dataclass(frozen=True, eq=False)
class Eyes:
    """opening (2,): between the lids. gaze (2, 2): the iris from the middle of the corners, right and down. All in eye widths."""

    opening: Floats
    gaze: Floats


def measure_eyes(shape: Floats) -> Eyes:
    """Of a face in its own frame (478, 3)."""
    opening, gaze = [], []
    for upper, lower, iris in zip(UPPER_LID, LOWER_LID, IRIS, strict=True):
        outer, inner = shape[upper[0]], shape[upper[-1]]
        width = float(np.linalg.norm(inner - outer))
        opening.append(float(np.linalg.norm(shape[upper[3:6]] - shape[lower[3:6]], axis=1).mean()) / width)
        along = (inner - outer)[:2] / width
        off = (shape[iris] - (outer + inner) / 2)[:2] / width
        gaze.append((off @ along, off @ np.array([-along[1], along[0]])))
    return Eyes(np.array(opening), np.array(gaze))


def retarget_eyes(portrait: Eyes, rest: Eyes, now: Eyes, gain: float) -> Floats:
    """The avatar's eyes (EYES_SIZE,) for the driver's change from `rest` to `now`."""
    # both eyes look at the same thing, so their mean halves the noise; a closing eye's iris is a guess and counts less
    seen = np.clip(now.opening / np.maximum(rest.opening, 1e-3), 0.05, 1.0)[:, None]
    gaze = (seen * (now.gaze - rest.gaze)).sum(0) / seen.sum()
    gaze = np.sign(gaze) * np.maximum(np.abs(gaze) - GAZE_REST, 0)
    ratio = now.opening / np.maximum(rest.opening, 1e-3)
    narrowed = np.where(ratio < 1, 1 - LID_GAIN * (1 - ratio), ratio)
    opened = narrowed * np.clip((ratio - CLOSED) / (FAITHFUL - CLOSED), 0, 1)
    closing = np.clip((1 - opened) * gain, -WIDEST, 1.0)
    gaze = np.clip(gaze * gain, -GAZE_LIMIT, GAZE_LIMIT)
    return np.concatenate([closing, gaze, gaze])
