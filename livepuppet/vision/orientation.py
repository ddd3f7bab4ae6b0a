"""Which way up the faces of an image are: the landmark models expect them upright, and see nonsense in a face that is not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from livepuppet.types import Image
from livepuppet.vision.face_detection import FaceDetector
from livepuppet.vision.windows import cut_window, window_round

UPRIGHT_RAD = np.radians(40.0)
"""A face tilted by less is upright: the landmarks follow it."""
SURE, SURER = 0.75, 0.12
"""Images are turned only where the detector is on average this sure of faces in the other position, and so much surer than of them as they
are: it sees faces upside down, too."""
ROOM, CLOSE_UP_PX = 3.0, 192
"""A close-up shows this many sides of the face, at this size."""


def turned(image: Image, quarters: int) -> Image:
    """The image turned counter-clockwise by so many quarters; itself for 0."""
    return np.ascontiguousarray(np.rot90(image, quarters)) if quarters else image


def quarters_to_upright(images: Sequence[Image]) -> int:
    """Counter-clockwise quarter turns (0 … 3) after which the surest faces of the images, all taken together, are upright.

    0 where no face is found, or where it is not clear.

    Args:
        images: RGB uint8 (H, W, 3), several of one shot, or one.
    """
    certainty, seen = np.zeros(4), 0
    with FaceDetector(0.3, distant=True) as wide, FaceDetector(0.3) as near:
        for image in images:
            shown = close_up(image, wide)
            sure = [max((face.score for face in near(turned(shown, k)) if abs(face.roll) < UPRIGHT_RAD), default=0.0) for k in range(4)]
            if max(sure) > 0:
                certainty, seen = certainty + sure, seen + 1
    best = int(certainty.argmax())
    clear = certainty[best] >= SURE * seen and certainty[best] > certainty[0] + SURER * seen
    return best if clear else 0


def close_up(image: Image, detector: FaceDetector) -> Image:
    """A square round the surest face of the image, whichever way up it is; the whole image with room around it where none is found."""
    height, width = image.shape[:2]
    found = [(face, k) for k in range(4) for face in detector(turned(image, k))[:1]]
    if not found:
        return cut_window(image, window_round(width / 2, height / 2, max(width, height), ROOM / 2), CLOSE_UP_PX)
    face, k = max(found, key=lambda pair: pair[0].score)
    return turned(cut_window(turned(image, k), window_round(face.x, face.y, face.side, ROOM), CLOSE_UP_PX), -k % 4)


def turning_words(quarters: int) -> str:
    """How the face lay and what was done, to go on 'the face in … '."""
    return {1: "lies on its side: turned by 90° to the left", 2: "is upside down: turned by 180°"}.get(
        quarters, "lies on its side: turned by 90° to the right"
    )
