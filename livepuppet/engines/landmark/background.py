"""What stands behind the person: which pixels move with them, and what shows where they were."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.engines.landmark.raster import Grid
from livepuppet.face import carries_models
from livepuppet.interfaces import Image

RIM = (0.015, 0.06)
"""Face widths outside the person's outline: up to the first, pixels move with the person; beyond the second they stay. Soft between."""


@dataclass(frozen=True, eq=False)
class Backdrop:
    """plate: the portrait without the person (H, W, 3). person: 1 where pixels move with the person, 0 where they stay, on the raster's
    grid with `above` more rows on top (a head that the photo cuts off is rounded there); None where the whole picture moves as one
    sheet, because the person could not be told from the background."""

    plate: Image
    person: NDArray[np.float32] | None
    above: int = 0


def segment(image: Image) -> NDArray[np.float32] | None:
    """How likely each pixel is a person (H, W), 0 … 1; None where the installed MediaPipe has no such model."""
    if not carries_models():
        return None
    from mediapipe.python.solutions.selfie_segmentation import SelfieSegmentation

    with SelfieSegmentation(model_selection=0) as model:
        mask = model.process(np.ascontiguousarray(image)).segmentation_mask
    return np.asarray(mask, dtype=np.float32)


def build_backdrop(image: Image, face_hull: NDArray[np.int32], face_width: float, grid: Grid) -> Backdrop:
    """face_hull (N, 2): the face's outline in pixels, certainly person. grid: the raster's."""
    likely = segment(image)
    if likely is None:
        return Backdrop(image, None)
    person = (likely > 0.4).astype(np.uint8)
    cv2.fillConvexPoly(person, face_hull, (1,))
    if trust(person, likely, face_hull) < 0.9:
        return Backdrop(image, None)
    distance = cv2.distanceTransform(1 - person, cv2.DIST_L2, 5)
    inner, outer = RIM[0] * face_width, RIM[1] * face_width
    near = np.clip((outer - distance) / max(outer - inner, 1.0), 0, 1)
    soft = (near * near * (3 - 2 * near)).astype(np.float32)
    plate = fill(image, (distance <= inner).astype(np.uint8))
    soft = np.asarray(cv2.blur(soft, (grid.step, grid.step)), dtype=np.float32)
    on_grid = np.asarray(cv2.remap(soft, grid.x, grid.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), dtype=np.float32)
    above = dome(on_grid[1], face_width / grid.step)
    return Backdrop(plate, np.concatenate([above, on_grid[1:]]), len(above) - 1)


DOME = (0.3, 0.2)
"""A head cut off by the photo's upper edge is closed by an arch of this share of the cut's width, at most so many face widths high."""


def dome(edge: NDArray[np.float32], face_width: float) -> NDArray[np.float32]:
    """Rows (N, w) to put on top of `edge` (w,), the first row of the person: an arch over each stretch that the edge cuts off."""
    rows = max(2, round(DOME[1] * face_width) + 2)
    out = np.zeros((rows, len(edge)), np.float32)
    cut = np.flatnonzero(np.diff(np.concatenate([[False], edge > 0.5, [False]]).astype(np.int8)))
    x, height = np.arange(len(edge)), np.arange(rows, 0, -1)[:, None]
    for start, end in zip(cut[::2], cut[1::2], strict=True):
        wide = (end - start) / 2
        rise = max(1.0, min(2 * wide * DOME[0], DOME[1] * face_width))
        across = np.clip(1 - ((x - (start + end - 1) / 2) / wide) ** 2, 0, 1)
        out = np.maximum(out, np.clip(rise * np.sqrt(across) - height + 0.5, 0, 1).astype(np.float32))
    return np.minimum(np.asarray(cv2.blur(out, (3, 3)), dtype=np.float32), 1.0)


def trust(person: NDArray[np.uint8], likely: NDArray[np.float32], face_hull: NDArray[np.int32]) -> float:
    """How much of the face the segmentation calls a person, 0 … 1: on some paintings it sees nobody."""
    face = np.zeros_like(person)
    cv2.fillConvexPoly(face, face_hull, (1,))
    inside = face > 0
    return float((likely[inside] > 0.4).mean()) if inside.any() else 0.0


def fill(image: Image, hole: NDArray[np.uint8]) -> Image:
    """The image with the hole (1 = unknown) filled from its surroundings: averages of ever coarser pictures (push-pull)."""
    if not hole.any():
        return image.copy()
    if hole.all():
        return np.broadcast_to(image.mean((0, 1)).astype(np.uint8), image.shape).copy()
    known = (1 - hole).astype(np.float32)
    levels = [(image.astype(np.float32) * known[..., None], known)]
    while min(levels[-1][1].shape) > 1:
        colour, weight = levels[-1]
        size = max(1, weight.shape[1] // 2), max(1, weight.shape[0] // 2)
        smaller = np.asarray(cv2.resize(weight, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
        averaged = np.asarray(cv2.resize(colour, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
        levels.append((averaged.reshape(size[1], size[0], 3), smaller))
    colour, weight = levels.pop()
    filled = colour / np.maximum(weight, 1e-6)[..., None]
    while levels:
        colour, weight = levels.pop()
        coarse = cv2.resize(filled, weight.shape[::-1], interpolation=cv2.INTER_LINEAR).reshape(*weight.shape, 3)
        share = weight[..., None]
        filled = colour + (1 - share) * coarse
    return np.asarray(np.clip(np.rint(filled), 0, 255), dtype=np.uint8)
