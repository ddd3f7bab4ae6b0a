"""The face laid flat: every frame's skin in one fixed layout, so that frames can be compared point by point."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.engines.landmark.face_model import LOWER_LIP, OVAL, TEMPLATE, TRIANGLES, UPPER_LIP
from livepuppet.types import Floats, Image
from livepuppet.vision.face_landmarks import Landmarks

SIDE_PX = 160
"""Side of the layout."""
FACE_PX = 140
"""Width of the face in it."""

Texture = NDArray[np.uint8]
"""Grey (SIDE_PX, SIDE_PX)."""

LOWER_FACE = np.array([61, 291])
LEFT_EYE, RIGHT_EYE = np.array([33, 133, 159, 145, 70, 105, 107]), np.array([263, 362, 386, 374, 300, 334, 336])
"""Corners and lids, and the brows above: what blinks and what frowns are made of."""
NOSTRILS = np.array([98, 327, 2, 94])


def layout_points() -> Floats:
    """Where the landmarks lie in the layout, (478, 2) pixels."""
    flat = TEMPLATE[:, :2]
    low, high = flat[OVAL].min(0), flat[OVAL].max(0)
    scale = FACE_PX / max(high - low)
    return np.asarray((flat - (low + high) / 2) * scale + SIDE_PX / 2, dtype=np.float64)


class FaceLayout:
    """Maps frames to the layout by the landmarks' triangles: piecewise affine.

    Attributes:
        points: (478, 2), the landmarks in the layout.
        skin: bool (SIDE_PX, SIDE_PX): cheeks, nose, chin and forehead, without eyes, brows, lips, nostrils and the rim.
    """

    def __init__(self) -> None:
        self.points = layout_points()
        owner = np.full((SIDE_PX, SIDE_PX), -1, np.int32)
        for number, triangle in enumerate(TRIANGLES):
            corners = np.round(self.points[triangle] * 16).astype(np.int32)
            cv2.fillConvexPoly(owner, corners, (number,), shift=4)
        self._rows, self._columns = np.nonzero(owner >= 0)
        self._corners = TRIANGLES[owner[self._rows, self._columns]]
        self._weights = barycentric(self.points[self._corners], np.stack([self._columns, self._rows], 1).astype(np.float64))
        self.covered = owner >= 0
        self.skin = self._skin()

    def _skin(self) -> NDArray[np.bool_]:
        mask = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
        cv2.fillPoly(mask, [np.round(self.points[OVAL]).astype(np.int32)], (1,))
        mask = np.asarray(cv2.erode(mask, np.ones((2 * (FACE_PX // 14) + 1,) * 2, np.uint8)), dtype=np.uint8)
        for points, reach in ((LEFT_EYE, 4), (RIGHT_EYE, 4), (np.concatenate([UPPER_LIP, LOWER_LIP, LOWER_FACE]), 9), (NOSTRILS, 3)):
            hole = np.zeros_like(mask)
            cv2.fillConvexPoly(hole, cv2.convexHull(np.round(self.points[points]).astype(np.int32)), (1,))
            mask[cv2.dilate(hole, np.ones((2 * reach + 1,) * 2, np.uint8)) > 0] = 0
        return (mask > 0) & self.covered

    def flatten(self, grey: NDArray[np.uint8], landmarks: Landmarks) -> Texture:
        """The face of a grey frame (H, W) in the layout; where no skin is, 0."""
        x, y = landmarks[:, 0], landmarks[:, 1]
        width = float(np.ptp(x[OVAL]))
        shrink = min(1.0, 1.5 * FACE_PX / max(width, 1.0))
        left, top = (max(0, int(low.min()) - 8) for low in (x, y))
        part = grey[top : int(y.max()) + 9, left : int(x.max()) + 9]
        if part.size == 0:
            return np.zeros((SIDE_PX, SIDE_PX), np.uint8)
        if shrink < 1:
            part = np.asarray(cv2.resize(part, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA), np.uint8)
        at = (self._weights[..., None] * landmarks[self._corners][..., :2]).sum(1)
        at = ((at - (left, top)) + 0.5) * shrink - 0.5
        found = cv2.remap(
            part, at[None, :, 0].astype(np.float32), at[None, :, 1].astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        out = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
        out[self._rows, self._columns] = found[0]
        return out


def barycentric(corners: Floats, points: Floats) -> Floats:
    """Weights (N, 3) of each triangle's corners (N, 3, 2) at its point (N, 2)."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    u, v, w = b - a, c - a, points - a
    area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    area = np.where(np.abs(area) < 1e-9, 1e-9, area)
    second = (w[:, 0] * v[:, 1] - w[:, 1] * v[:, 0]) / area
    third = (u[:, 0] * w[:, 1] - u[:, 1] * w[:, 0]) / area
    return np.stack([1 - second - third, second, third], 1)


def grey_of(image: Image) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
