"""All tests on one stretch: a value each, or why there is too little to tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from livepuppet.evidence.blinks import Blink, find_blinks
from livepuppet.evidence.footage import LEAST_FACE_PX, LEAST_S, Stretch
from livepuppet.evidence.new_pixels import LEAST_MOTION, LEAST_PAIRS, measure_new_pixels
from livepuppet.evidence.texture import FaceLayout

ClueName: TypeAlias = Literal["new_pixels", "background", "blinks"]
CLUES: tuple[ClueName, ...] = ("new_pixels", "background", "blinks")
"""In the order in which they are shown."""

LEAST_MOMENTS = 20
"""Comparisons of the background below which it tells too little."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One test's outcome.

    Attributes:
        value: higher values are more like a camera recording; None: too little to tell.
        reason: why there is too little to tell.
    """

    value: float | None
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Measurements:
    """What was measured on a stretch.

    Attributes:
        clues: every test of CLUES.
        blinks: those that were seen.
        skin_change: where the skin changes beyond what a warp explains, percent, NaN elsewhere; None where that was not measured.
    """

    clues: Mapping[ClueName, Measured]
    blinks: tuple[Blink, ...] = ()
    skin_change: NDArray[np.float32] | None = None


def too_little(reason: str) -> Measurements:
    """No test can be done."""
    return Measurements({name: Measured(None, reason) for name in CLUES})


def measure(stretch: Stretch | None) -> Measurements:
    """Do the tests. Never raises for what the video shows: a test without enough to go on says so."""
    if stretch is None:
        return too_little("no face is seen")
    if stretch.people > 1:
        return too_little("more than one person is seen")
    if stretch.length_s < LEAST_S:
        return too_little(f"a face is seen without a cut for only {stretch.length_s:.1f} s; {LEAST_S:g} s are needed")
    if stretch.face_px < LEAST_FACE_PX:
        return too_little(f"the face is {stretch.face_px:.0f} pixels high; {LEAST_FACE_PX} are needed")
    found = measure_new_pixels(stretch.pairs, stretch.landmarks, FaceLayout())
    blinks = find_blinks(np.array(stretch.seconds), np.array(stretch.lids).mean(1))
    if found is not None:
        skin = Measured(found.change)
    elif len(stretch.pairs) < LEAST_PAIRS:
        skin = Measured(None, "too few frames were compared")
    else:
        skin = Measured(None, f"the face hardly moves (less than {LEAST_MOTION:.1%} of its width)")
    changed = stretch.background.changed
    return Measurements(
        {
            "new_pixels": skin,
            "background": Measured(100 * float(np.mean(changed)))
            if len(changed) >= LEAST_MOMENTS
            else Measured(None, "too little background is seen beside the person"),
            "blinks": Measured(float(np.median([blink.depth for blink in blinks])))
            if blinks
            else Measured(None, f"no blink in {stretch.length_s:.0f} s"),
        },
        tuple(blinks),
        None if found is None else found.picture,
    )
