"""Misleading MediaPipe's face mesh by trial: no gradients are to be had from it, so patches of colour are tried, and kept where they help.

After the square attack (Andriushchenko et al., ECCV 2020): random patches, at the limit of the allowed change, ever smaller.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.errors import NoFaceError
from livepuppet.types import Image
from livepuppet.vision.face_landmarks import (
    WINDOW_SIDE_PX,
    LandmarkDetector,
    Landmarks,
    find_faces,
    open_landmark_detector,
)
from livepuppet.vision.windows import bounding_box, cut_window, window_round

log = logging.getLogger("livepuppet.protection")

Change: TypeAlias = NDArray[np.float32]
"""float32 (H, W, 3), what is added to a photo, in levels of 255."""

FACE_ROOM = 2.0
"""Side of the part of the photo that is worked on, in sizes of the face."""
LARGEST_PATCH, SMALLEST_PATCH = 0.2, 0.03
"""Sides of the patches tried first and last, as parts of that."""
NO_FACE = 10.0
"""Score of a change after which no face is found: better than any displacement."""


@dataclass(frozen=True, eq=False)
class Misled:
    """change: the whole change, the given one included.  before, after: mean displacement of the landmarks in face widths by the given
    change and by this one; NO_FACE where the face is no longer found."""

    change: Change
    before: float
    after: float


def mislead(photo: Image, change: Change, strength: float, trials: int, seed: int = 0) -> Misled:
    """Add patches to a change of the photo so that its landmarks move, no level changing by more than `strength` of 255.

    Args:
        photo: RGB uint8 (H, W, 3).

    Raises:
        NoFaceError: its message says what is wrong.
    """
    faces = find_faces(photo)
    if not faces:
        raise NoFaceError("no face found in the photo: there is nothing to protect from animation")
    left, top, side = window_round(*bounding_box(faces[0]), FACE_ROOM)
    rng = np.random.default_rng(seed)
    mesh = open_landmark_detector(True)
    try:
        plain = landmarks_in(mesh, photo, (left, top, side))
        if plain is None:
            log.debug("the face mesh alone finds no face in the original either: its landmarks are left alone")
            return Misled(change, 0.0, 0.0)
        width = float(np.ptp(plain[:, 0]))

        def score(candidate: Change) -> float:
            found = landmarks_in(mesh, apply_change(photo, candidate), (left, top, side))
            return NO_FACE if found is None else float(np.linalg.norm(found[:, :2] - plain[:, :2], axis=1).mean()) / width

        first = best = score(change)
        height, breadth = photo.shape[:2]
        for trial in range(trials):
            patch = max(2, round(side * (LARGEST_PATCH + (SMALLEST_PATCH - LARGEST_PATCH) * trial / trials)))
            y, x = (int(rng.integers(start, start + max(1, side - patch))) for start in (top, left))
            rows, columns = slice(max(0, y), min(height, y + patch)), slice(max(0, x), min(breadth, x + patch))
            candidate = change.copy()
            candidate[rows, columns] += rng.choice([-strength, strength], 3)
            np.clip(candidate, -strength, strength, out=candidate)
            value = score(candidate)
            if value > best:
                best, change = value, candidate
        return Misled(change, first, best)
    finally:
        mesh.close()


def apply_change(photo: Image, change: Change) -> Image:
    """The photo with the change: rounded, within 0 … 255."""
    return np.asarray(np.clip(np.rint(photo + change), 0, 255), np.uint8)


def landmarks_in(mesh: LandmarkDetector, photo: Image, window: tuple[int, int, int]) -> Landmarks | None:
    """The landmarks in the window, in its pixels at WINDOW_SIDE_PX."""
    faces = mesh.find(cut_window(photo, window, WINDOW_SIDE_PX))
    return faces[0] if faces else None


def enlarge_face(change: Change, height: int, width: int) -> Change:
    """The change for a larger copy of the photo."""
    return np.asarray(cv2.resize(change, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
