"""The picture of the eyes: an eyeball that lids pass over, an iris that moves within it, and the lash line of a shut eye."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.engines.landmark.eyes import Eyes
from livepuppet.engines.landmark.face_model import LOWER_LID, UPPER_LID
from livepuppet.engines.landmark.mesh import PosedMesh, WarpMesh
from livepuppet.engines.landmark.retarget import HeadPose, rotation_matrix
from livepuppet.types import Floats, Image, Motion

SHUT_FROM = 0.9
"""A lid closed this far hides the eyeball."""
MARGIN = (0.065, 0.035)
"""Eye widths by which a closing upper and lower lid take their edge from farther out, so that no white of the eye is dragged along."""


def hidden_eyes(net: WarpMesh, posed: PosedMesh) -> list[range]:
    """The triangles of eyes that are shut."""
    return [part for part, shut in zip(net.eyes, posed.closing, strict=True) if shut > SHUT_FROM]


def lid_sources(rest: Floats, closing: Floats) -> Floats:
    """Where the skin's triangles take their pixels from: the net at rest, with the edges of closing lids moved outwards."""
    rest = rest.copy()
    for upper, lower, shut in zip(UPPER_LID, LOWER_LID, closing, strict=True):
        amount = float(np.clip((shut - 0.3) / 0.6, 0, 1))
        if amount <= 0:
            continue
        width = float(np.linalg.norm(rest[upper[-1], :2] - rest[upper[0], :2]))
        down = rest[lower[4], :2] - rest[upper[4], :2]
        down = down / max(float(np.linalg.norm(down)), 1e-6)
        bow = np.sin(np.linspace(0, np.pi, len(upper)))[1:-1, None]
        rest[upper[1:-1], :2] -= MARGIN[0] * width * amount * bow * down
        rest[lower[1:-1], :2] += MARGIN[1] * width * amount * bow * down
    return rest


def set_eyeballs(table: Floats, net: WarpMesh, placed: HeadPose, posed: PosedMesh, motion: Motion) -> None:
    """Let the eyes' triangles move with the head alone (in place, see raster.affines): lids pass over an eye, they do not squeeze it."""
    turn = rotation_matrix(motion.pose[:3]) * float(np.exp(motion.pose[5]))
    for part, upper, shut in zip(net.eyes, UPPER_LID, posed.closing, strict=True):
        ends = [upper[0], upper[-1]]
        of, to = net.points[ends], posed.points[ends]
        down = placed.rotation[:, 1] * np.linalg.norm(of[1] - of[0])
        wide = 1 - min(float(shut), 0.0)  # an eye opened wider than in the portrait shows the same eye, taller
        of = np.concatenate([of, of.mean(0, keepdims=True) + down])
        to = np.concatenate([to, to.mean(0, keepdims=True) + turn @ down * wide])
        table[part.start : part.stop] = cv2.getAffineTransform(to[:, :2].astype(np.float32), of[:, :2].astype(np.float32)).ravel()


IRIS_RADIUS = 0.21
"""Eye widths."""


def shift_gaze(x: NDArray[np.float32], y: NDArray[np.float32], ids: NDArray[np.int32], net: WarpMesh, portrait: Eyes, gaze: Floats) -> None:
    """Move the irises by moving where the eyes' pixels come from (in place).

    The iris moves as a whole; the white between it and the corners is drawn out or pressed together, so that nothing folds over.
    """
    for part, upper, lower, own, look in zip(net.eyes, UPPER_LID, LOWER_LID, portrait.gaze, gaze, strict=True):
        if not look.any():
            continue
        inside = (ids >= part.start) & (ids < part.stop)
        if not inside.any():
            continue
        corner = net.points[upper[0], :2]
        along = net.points[upper[-1], :2] - corner
        width = max(float(np.linalg.norm(along)), 1e-3)
        along = along / width
        down = np.array([-along[1], along[0]])
        tall = max(float(np.linalg.norm(net.points[upper[4], :2] - net.points[lower[4], :2])), 1e-3)
        centre = (net.points[upper[4], :2] + net.points[lower[4], :2]) / 2
        dx, dy = x[inside] - corner[0], y[inside] - corner[1]
        u = np.clip((dx * along[0] + dy * along[1]) / width, 0, 1)
        v = (x[inside] - centre[0]) * down[0] + (y[inside] - centre[1]) * down[1]
        at = 0.5 + float(own[0])
        arrives = float(np.clip(at + look[0], min(at, IRIS_RADIUS + 0.05), max(at, 0.95 - IRIS_RADIUS)))
        left, right = max(arrives - IRIS_RADIUS, 0.03), min(arrives + IRIS_RADIUS, 0.97)
        share = np.clip(np.minimum(u / left, (1 - u) / (1 - right)), 0, 1)
        across = (at - arrives) * width * share
        downwards = -look[1] * width * share * np.clip(1 - (2 * np.abs(v) / tall) ** 2, 0, 1)
        x[inside] += (across * along[0] + downwards * down[0]).astype(np.float32)
        y[inside] += (across * along[1] + downwards * down[1]).astype(np.float32)


def lash_colours(image: Image, landmarks: Floats) -> Floats:
    """The dark of each upper lid's edge, RGB (2, 3)."""
    height, width = image.shape[:2]
    out = []
    for upper in UPPER_LID:
        at = np.clip(np.round(landmarks[upper, :2]).astype(int), 0, [width - 1, height - 1])
        out.append(np.percentile(image[at[:, 1], at[:, 0]].astype(np.float64), 30, axis=0) * 0.8)
    return np.stack(out)


def draw_lash_lines(out: Image, colours: Floats, posed: PosedMesh) -> None:
    """Draw the line where shut lids meet (in place)."""
    height, width = out.shape[:2]
    for upper, lower, shut, colour in zip(UPPER_LID, LOWER_LID, posed.closing, colours, strict=True):
        strength = float(np.clip((shut - 0.8) / 0.15, 0, 1))
        if strength <= 0:
            continue
        line = (posed.points[upper, :2] + posed.points[lower, :2]) / 2
        wide = float(np.linalg.norm(line[-1] - line[0]))
        left, top = np.maximum(np.floor(line.min(0) - 5), 0).astype(int)
        right, bottom = np.minimum(np.ceil(line.max(0) + 6), [width, height]).astype(int)
        if right - left < 4 or bottom - top < 4:
            continue
        mask = np.zeros((bottom - top, right - left), np.uint8)
        places = np.round((line - [left, top]) * 16).astype(np.int32)
        cv2.polylines(mask, [places], False, (255,), max(1, round(wide * 0.035)), cv2.LINE_AA, 4)
        share = cv2.GaussianBlur(mask, (3, 3), 0).astype(np.float32)[..., None] * (0.8 * strength / 255)
        region = out[top:bottom, left:right]
        region[:] = np.rint(region * (1 - share) + colour * share).astype(np.uint8)
