"""The face of a portrait that is to move: upright, and the one that is meant."""

from __future__ import annotations

import logging

import numpy as np

from livepuppet.errors import NoFaceError, UsageError
from livepuppet.types import Image
from livepuppet.vision.face_landmarks import Landmarks, find_faces
from livepuppet.vision.orientation import quarters_to_upright, turned, turning_words

log = logging.getLogger("livepuppet.vision.portrait_face")

MOST_FACES = 5
UPRIGHT_RAD = np.radians(60.0)
LEFT_EYE, RIGHT_EYE = 33, 263
"""The outer corners of the eyes, left and right in the picture."""


def find_portrait_face(portrait: Image, face: int | None = None) -> tuple[Image, Landmarks]:
    """The portrait turned upright, and the landmarks of the face in it that is to move. Says (level INFO) what it turned or chose.

    Args:
        portrait: RGB uint8 (H, W, 3), any size.
        face: 1 is the largest, 2 the second largest, …; None takes the largest.

    Raises:
        NoFaceError: there is no face, or none that is upright.
        UsageError: there are fewer faces.
    """
    quarters = quarters_to_upright([portrait])
    if quarters:
        log.info("the face in the portrait %s", turning_words(quarters))
        portrait = turned(portrait, quarters)
    faces = find_faces(portrait, max(MOST_FACES, face or 1))
    if not faces:
        raise NoFaceError("no face found in the portrait: choose a picture where one face is well visible, upright and not too small")
    if face is not None and face > len(faces):
        only = "1 face is" if len(faces) == 1 else f"{len(faces)} faces are"
        raise UsageError(f"there is no face {face} in the portrait: only {only} found", parameter="avatar_face")
    if face is None and len(faces) > 1:
        log.info("%d faces in the portrait: taking the largest", len(faces), extra={"parameter": "avatar_face"})
    chosen = faces[(face or 1) - 1]
    across = chosen[RIGHT_EYE] - chosen[LEFT_EYE]
    if abs(np.arctan2(across[1], across[0])) > UPRIGHT_RAD:
        raise NoFaceError("the face in the portrait is not upright: turn the picture, then try again")
    return portrait, chosen
