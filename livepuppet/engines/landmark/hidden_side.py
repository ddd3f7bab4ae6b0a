"""What a portrait hides of its face or shows edge-on, when the head turns it into view: the far side is filled from the other one.

The mesh is symmetric, so every triangle has a mirror image. One that the portrait shows edge-on or from behind has no texture of its own;
where it comes to face the camera it takes its twin's, in its own side's light. Faces are only about symmetric, so nothing is mirrored that
the portrait itself shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.engines.landmark.face_model import COUNT, OVAL, TEMPLATE, TRIANGLES
from livepuppet.engines.landmark.lattice import smooth
from livepuppet.engines.landmark.raster import Grid, affines, enlarge_map, sample_affines
from livepuppet.types import Floats, Image

MIRROR: NDArray[np.int64] = np.linalg.norm((TEMPLATE * [-1, 1, 1])[:, None] - TEMPLATE[None], axis=2).argmin(1)
"""(478,): each landmark's twin on the other side."""
SHOWN = (0.05, 0.40)
"""Cosines of the angle to the camera at which skin starts to have texture in the portrait, and has all of it."""
TURNED = (0.06, 0.26)
"""By how much more (cosine) it must face the camera than in the portrait, to begin to take its twin's, and to have it."""
LEAST = 0.25
"""A portrait none of whose points is hidden by more than this has two sides of its own."""
LIGHT = (0.6, 1.6)
"""Limits of the ratio of both sides' light, per channel."""


@dataclass(frozen=True, eq=False)
class HiddenSide:
    """What a portrait hides of its face.

    Attributes:
        hidden (478,): how much better the portrait shows a point's twin, 0 … 1.
        facing (478,): cosine of the angle to the camera in the portrait.
        light (3,): the hidden side's colours as multiples of the other's.
        sources (478, 3): each point's twin in the portrait, pixels.
    """

    hidden: Floats
    facing: Floats
    light: Floats
    sources: Floats


def find_hidden_side(image: Image, landmarks: Floats) -> HiddenSide | None:
    """What of this portrait's face is hidden; None where both sides are shown alike."""
    facing = facing_camera(landmarks)
    shown = smooth(np.clip((facing - SHOWN[0]) / (SHOWN[1] - SHOWN[0]), 0, 1))
    hidden = np.clip(shown[MIRROR] - shown, 0, 1)
    if hidden.max() < LEAST:
        return None
    height, width = image.shape[:2]
    soft = cv2.blur(image, (2 * max(1, round(0.01 * float(np.ptp(landmarks[:, 1])))) + 1,) * 2)
    at = np.clip(np.round(landmarks[:, :2]).astype(int), 0, [width - 1, height - 1])
    colours = soft[at[:, 1], at[:, 0]].astype(np.float64) + 8
    dim_side = hidden > LEAST / 2
    beside = (shown > 0.6) & (shown[MIRROR] > 0.6) & (np.sign(TEMPLATE[:, 0]) == np.sign(np.median(TEMPLATE[dim_side, 0])))
    beside &= np.abs(TEMPLATE[:, 0]) > 0.04
    ratio = np.median(colours[beside] / colours[MIRROR[beside]], axis=0) if beside.sum() >= 8 else np.ones(3)
    return HiddenSide(hidden, facing, np.clip(ratio, *LIGHT), landmarks[MIRROR])


@dataclass(frozen=True, eq=False)
class RimTexture:
    """Where the skin along the face's rim takes its pixels from once it turns into view.

    A frontal portrait shows the jaw and the temples edge-on: the last pixels before the background, mixed with it. Drawn out by a turning
    head they would open the cheek to what is behind it.

    Attributes:
        facing: cosine of the angle to the camera of the face's points in the portrait (478,).
        inwards: from each of them to where the portrait is all person (478, 2), pixels; 0 for nearly all.
    """

    facing: Floats
    inwards: Floats


WIDEST_INSET = 0.12
"""Face widths: how far inside the rim the person's own pixels are looked for."""
INSET = (0.03, 0.2)
"""By how much more (cosine) skin must face the camera than in the portrait, for pixels to come from farther inside, and from there."""


def find_rim_texture(matte: NDArray[np.uint8], landmarks: Floats) -> RimTexture:
    """matte (H, W): 255 where the portrait shows the person alone; empty where it could not be told."""
    facing = facing_camera(landmarks)
    if matte.size == 0:
        return RimTexture(facing, np.zeros((COUNT, 2)))
    points, width = landmarks[:, :2], float(np.ptp(landmarks[OVAL, 0]))
    inwards = points[OVAL].mean(0) - points
    inwards /= np.maximum(np.linalg.norm(inwards, axis=1, keepdims=True), 1e-6)
    steps = np.linspace(0, WIDEST_INSET * width, 25)
    at = points[:, None] + inwards[:, None] * steps[None, :, None]
    x, y = (np.clip(np.round(at[..., i]).astype(int), 0, matte.shape[1 - i] - 1) for i in (0, 1))
    mixed = matte[y, x] <= 250
    last = np.where(mixed.any(1), len(steps) - mixed[:, ::-1].argmax(1), 0)  # past every gap, as between an ear and the jaw
    distance = np.where(last > 0, steps[np.minimum(last, len(steps) - 1)] + 0.01 * width, 0.0)
    return RimTexture(facing, inwards * distance[:, None])


def rim_inset(texture: RimTexture, facing: Floats) -> Floats:
    """How far inwards each of the face's points takes its pixels from (478, 2), in pixels: 0 where it has not turned into view.

    Args:
        facing: cosine of the angle to the camera now (478,), see `facing_camera`.
    """
    amount = smooth(np.clip((facing - texture.facing - INSET[0]) / (INSET[1] - INSET[0]), 0, 1))
    return np.asarray(amount[:, None] * texture.inwards)


def facing_camera(points: Floats) -> Floats:
    """The cosine of the angle between the skin at each point (478, 3) and the direction to the camera, (478,)."""
    corners = points[OUTWARDS]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    each = np.stack([np.bincount(OUTWARDS.ravel(), np.repeat(normals[:, axis], 3), COUNT) for axis in range(3)], 1)
    return np.asarray(-each[:, 2] / np.maximum(np.linalg.norm(each, axis=1), 1e-9))


def _outwards() -> NDArray[np.int32]:
    """The mesh's triangles, each in the order that makes its normal point out of the average head."""
    corners = TEMPLATE[TRIANGLES]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    inside = TEMPLATE.mean(0) + np.array([0, 0, 0.4])
    inwards = ((corners.mean(1) - inside) * normals).sum(1) < 0
    return np.asarray(np.where(inwards[:, None], TRIANGLES[:, ::-1], TRIANGLES), dtype=np.int32)


OUTWARDS = _outwards()


def fill_hidden_side(out: Image, image: Image, side: HiddenSide, posed: Floats, facing: Floats, ids: NDArray[np.int32], grid: Grid) -> None:
    """Paint what has come into view into `out` (in place).

    Args:
        image: the portrait. posed, facing: the face's points in `out` (478, 3), and their cosines to the camera (478,).
        ids: which triangle shows at each place of the grid.
    """
    turned = smooth(np.clip((facing - side.facing - TURNED[0]) / (TURNED[1] - TURNED[0]), 0, 1))
    each = (side.hidden * turned)[TRIANGLES].mean(1)
    if each.max() < 0.02:
        return
    skin = ids < len(TRIANGLES)
    weight = np.where(skin, each.astype(np.float32)[np.where(skin, ids, 0)], np.float32(0))
    weight = np.asarray(cv2.blur(weight, (3, 3)), np.float32)
    rows, columns = np.flatnonzero(weight.max(1) > 0.01), np.flatnonzero(weight.max(0) > 0.01)
    if not len(rows) or not len(columns):
        return
    table = affines(posed, side.sources, TRIANGLES)
    x, y = sample_affines(np.where(skin, ids, len(TRIANGLES)), table, grid)
    box = slice(max(0, int(rows[0]) - 1), int(rows[-1])), slice(max(0, int(columns[0]) - 1), int(columns[-1]))
    full = enlarge_map(weight, grid, *box)
    region = out[box[0].start * grid.step :, box[1].start * grid.step :][: full.shape[0], : full.shape[1]]
    mirrored = cv2.remap(image, enlarge_map(x, grid, *box), enlarge_map(y, grid, *box), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    lit = np.clip(mirrored.astype(np.float32) * side.light.astype(np.float32), 0, 255)
    region[:] = np.rint(region + full[..., None] * (lit - region)).astype(np.uint8)
