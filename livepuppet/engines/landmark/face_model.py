"""The average face in its own frame, how its points are joined, and which points make the lips, the lids and the bone.

The frame: unit = face width (ear to ear), x to the picture's right, y down, z away from the camera; origin between the ears' front edges.
Made by benchmarks/face_model.py from portraits of people who do not exist.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from livepuppet.types import Floats

COUNT = 478
_data = np.load(str(files("livepuppet.engines.landmark") / "face_model.npz"))
TEMPLATE: Floats = _data["template"].astype(np.float64)
"""(478, 3)."""
TRIANGLES: NDArray[np.int32] = _data["triangles"].astype(np.int32)
"""(852, 3): the skin; eyes and mouth are holes."""

# fmt: off
OVAL = np.array([10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136,
                 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109])
"""The face's rim, clockwise from the middle of the forehead."""
UPPER_LIP = np.array([78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308])
LOWER_LIP = np.array([78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308])
"""The inner edges of the lips, from the picture's left corner to the right one."""
UPPER_LID = (np.array([33, 246, 161, 160, 159, 158, 157, 173, 133]), np.array([362, 398, 384, 385, 386, 387, 388, 466, 263]))
LOWER_LID = (np.array([33, 7, 163, 144, 145, 153, 154, 155, 133]), np.array([362, 382, 381, 380, 374, 373, 390, 249, 263]))
"""The lids' edges of the picture's left and right eye, corner to corner, left to right."""
LID_FOLD = (np.array([247, 30, 29, 27, 28, 56, 190]), np.array([414, 286, 258, 257, 259, 260, 467]))
"""The skin above each upper lid's edge, point by point above UPPER_LID[1:-1]."""
IRIS = (468, 473)
RIGID = np.array([10, 151, 9, 8, 168, 6, 197, 195, 5, 33, 133, 362, 263, 127, 356, 234, 454, 162, 389, 21, 251, 54, 284, 103, 332, 67,
                  297, 109, 338, 93, 323, 122, 351, 193, 417])
"""Skin over bone: forehead, bridge of the nose, corners of the eyes, temples."""
NOSE = np.array([168, 6, 197, 195, 5, 4, 1, 19, 94, 2, 98, 327, 122, 351, 193, 417, 8, 9])
SKIN = np.array([50, 280, 205, 425, 199, 175, 200, 151, 9])
"""Where skin is neither lip nor brow nor usually in shade."""
# fmt: on

RIGHT_EDGE, LEFT_EDGE, FOREHEAD, CHIN = 234, 454, 10, 152
"""The picture's left and right edge of the face, and its highest and lowest point."""


def strip(upper: NDArray[np.int64], lower: NDArray[np.int64]) -> NDArray[np.int32]:
    """Triangles between two lines of points that share their ends."""
    out = []
    for i in range(len(upper) - 1):
        if upper[i] != lower[i]:
            out.append((upper[i], upper[i + 1], lower[i]))
        if upper[i + 1] != lower[i + 1]:
            out.append((lower[i], upper[i + 1], lower[i + 1]))
    return np.array(out, dtype=np.int32)


EYES = tuple(strip(upper, lower) for upper, lower in zip(UPPER_LID, LOWER_LID, strict=True))
MOUTH = strip(UPPER_LIP, LOWER_LIP)
