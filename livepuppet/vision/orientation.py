"""Which way up the faces of an image are: the landmark models expect them upright, and see nonsense in a face that is not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from livepuppet.types import Image
from livepuppet.vision.face_detection import FaceDetector

UPRIGHT_RAD = np.radians(40.0)
"""A face tilted by less is upright: the landmarks follow it."""
CLEARLY = 2.0
"""Images are turned only where faces are so much more certain in the other position: detectors see faces upside down, too, now and then."""


def turned(image: Image, quarters: int) -> Image:
    """The image turned counter-clockwise by so many quarters; itself for 0."""
    return np.ascontiguousarray(np.rot90(image, quarters)) if quarters else image


def quarters_to_upright(images: Sequence[Image]) -> int:
    """Counter-clockwise quarter turns (0 … 3) after which the largest faces of the images, all taken together, are upright.

    0 where no face is found, or where it is not clear.

    Args:
        images: RGB uint8 (H, W, 3), several of one shot, or one.
    """
    certainty = np.zeros(4)
    with FaceDetector(0.5, distant=True) as detector:
        for image in images:
            for quarters in range(4):
                faces = detector(turned(image, quarters))
                largest = max(faces, key=lambda face: face.side * face.score, default=None)
                if largest is not None and abs(largest.roll) < UPRIGHT_RAD:
                    certainty[quarters] += largest.score
    best = int(certainty.argmax())
    return best if certainty[best] > CLEARLY * certainty[0] else 0


def turning_words(quarters: int) -> str:
    """How the face lay and what was done, to go on 'the face in … '."""
    return {1: "lies on its side: turned by 90° to the left", 2: "is upside down: turned by 180°"}.get(
        quarters, "lies on its side: turned by 90° to the right"
    )
