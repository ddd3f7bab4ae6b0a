"""The head's place from the picture itself: small patches over bone and hair, followed to a fraction of a pixel.

A landmark network moves all its points a little when the mouth opens, and trembles. Texture over bone does not: patches that a keyframe
remembers are found again in each frame (Lucas and Kanade, IJCAI 1981, in pyramids), and the pose is the one that explains them best,
with the landmarks' own pose as the prior.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.engines.landmark.face_model import FOREHEAD, LEFT_EDGE, OVAL, RIGHT_EDGE
from livepuppet.engines.landmark.retarget import HeadPose, angle_between, rotation_matrix
from livepuppet.types import Floats, Image
from livepuppet.vision.face_landmarks import Landmarks

Patch = NDArray[np.uint8]

FACE_PX = 112
"""The face's width in a patch."""
HEAD_BOX = (-0.85, -1.05, 0.85, 0.75)
"""Left, top, right, bottom of the head's patch in the face's own frame, face widths about its origin."""
FEATURES = 90

PRIOR = np.array([0.02, 0.03, 0.012, 0.012, 0.012, 0.012])
"""How far the landmarks' pose may be off: rotation (radians), shift (face widths), log scale."""
FEATURE_NOISE = 0.006
"""Face widths: how well one patch is found; neighbours err together, so this is more than a lone patch's error."""
OUTLIER = 0.012
"""Face widths: a patch off by this counts half."""
NEW_VIEW = (0.13, 0.10)
"""A keyframe serves views within this rotation (radians) and this log scale."""
KEYFRAMES = 12


@dataclass(frozen=True, eq=False)
class Keyframe:
    """A view to come back to.

    Attributes:
        head: its patch. features (N, 2) in the patch and points (N, 3) in the face's own frame.
        placed: the head's pose.
    """

    head: Patch
    features: NDArray[np.float32]
    points: Floats
    placed: HeadPose


class Registration:
    """Remembers a few views of one driver. Belongs to the tracker: one thread, one stream of frames."""

    def __init__(self) -> None:
        self._keyframes: list[Keyframe] = []
        self._shape: tuple[int, ...] = ()
        self._failures = 0

    def refine(self, image: Image, landmarks: Landmarks, placed: HeadPose) -> HeadPose:
        """The head's pose in this image; `placed` is the landmarks' own."""
        if image.shape != self._shape or self._failures > 8:  # another person, another light: what was remembered is of no use
            self._keyframes, self._shape = [], image.shape
        if not self._keyframes:
            self._failures = 0
            self._keyframes.append(make_keyframe(image, landmarks, placed))
            return placed
        keyframe = min(self._keyframes, key=lambda k: unlike(k.placed, placed))
        to_patch = head_matrix(placed)
        head = patch(image, to_patch, box_size(HEAD_BOX))
        found, kept = follow(keyframe.head, head, keyframe.features, keyframe.features)
        refined, share = solve(keyframe.points[kept], unmap(found[kept], to_patch), placed)
        self._failures = 0 if share > 0.4 else self._failures + 1
        if share <= 0.25:
            refined = placed
        if unlike(keyframe.placed, refined) > (1 if share > 0.4 else 0.5) and len(self._keyframes) < KEYFRAMES:
            self._keyframes.append(make_keyframe(image, landmarks, refined))
        return refined


def unlike(one: HeadPose, other: HeadPose) -> float:
    """How different two views of the head are; above 1 they need keyframes of their own."""
    turned = angle_between(one.rotation, other.rotation)
    return float(max(turned / NEW_VIEW[0], abs(np.log(one.scale / other.scale)) / NEW_VIEW[1]))


def box_size(box: tuple[float, float, float, float]) -> tuple[int, int]:
    return round((box[2] - box[0]) * FACE_PX), round((box[3] - box[1]) * FACE_PX)


def head_matrix(placed: HeadPose) -> Floats:
    """(2, 3): image -> head patch, upright and at FACE_PX whatever the roll and the size."""
    across = placed.rotation[:2, 0]
    angle = np.arctan2(across[1], across[0])
    k = FACE_PX / placed.scale
    linear = k * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corner = -np.array(HEAD_BOX[:2]) * FACE_PX
    return np.asarray(np.c_[linear, corner - linear @ placed.position[:2]])


def unmap(points: NDArray[np.float32], matrix: Floats) -> Floats:
    """Points of a patch in pixels of the image."""
    inverse = cv2.invertAffineTransform(matrix)
    return np.asarray(points @ inverse[:, :2].T + inverse[:, 2], dtype=np.float64)


def patch(image: Image, matrix: Floats, size: tuple[int, int]) -> Patch:
    """The grey patch with its slow shading taken out, so that a passing shadow or the camera's exposure moves nothing."""
    k = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if k < 0.6:  # average first: a thinned-out picture would shimmer
        ends = unmap(np.array([[0, 0], [size[0], 0], [0, size[1]], size], np.float32), matrix)
        low = np.maximum(np.floor(ends.min(0)) - 2, 0).astype(int)
        high = np.minimum(np.ceil(ends.max(0)) + 2, image.shape[1::-1]).astype(int)
        if (high - low > 4).all():
            cut = image[low[1] : high[1], low[0] : high[0]]
            target = max(2, round(cut.shape[1] * k)), max(2, round(cut.shape[0] * k))
            small = cv2.resize(cut, target, interpolation=cv2.INTER_AREA)
            fx, fy = cut.shape[1] / target[0], cut.shape[0] / target[1]
            linear = matrix[:, :2] * [fx, fy]
            offset = matrix[:, :2] @ (low + np.array([fx - 1, fy - 1]) / 2) + matrix[:, 2]
            return flatten(cv2.warpAffine(small, np.c_[linear, offset], size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    return flatten(cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def flatten(colour: NDArray[np.generic]) -> Patch:
    """Grey minus its own blur, about 128."""
    grey = cv2.cvtColor(np.asarray(colour, np.uint8), cv2.COLOR_RGB2GRAY)
    slow = cv2.blur(grey, (25, 25))
    return np.asarray(cv2.addWeighted(grey, 1.6, slow, -1.6, 128), dtype=np.uint8)


def follow(
    before: Patch, now: Patch, features: NDArray[np.float32], start: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Where the features (N, 2) of the one patch are in the other, and which were found."""
    if len(features) == 0:
        return features, np.zeros(0, dtype=bool)
    found, status, _ = cv2.calcOpticalFlowPyrLK(
        before, now, features, start.copy(), winSize=(17, 17), maxLevel=3,
        criteria=(cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.01), flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )  # fmt: skip
    inside = ((found > 2) & (found < np.array(now.shape[::-1]) - 3)).all(1)
    return np.asarray(found, dtype=np.float32), (status.ravel() > 0) & inside


def make_keyframe(image: Image, landmarks: Landmarks, placed: HeadPose) -> Keyframe:
    """Choose what to follow: corners over bone, nose, ears and hair."""
    matrix = head_matrix(placed)
    head = patch(image, matrix, box_size(HEAD_BOX))
    at = landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    features = corners(head, head_mask(at, head.shape), FEATURES)
    depth = depths(at, landmarks[:, 2], features, placed.scale)
    in_image = np.c_[unmap(features, matrix), depth]
    points = (in_image - placed.position) @ placed.rotation / placed.scale
    return Keyframe(head, features, points, placed)


def corners(of: Patch, mask: NDArray[np.uint8], most: int) -> NDArray[np.float32]:
    """Well-textured places (N, 2), spread out."""
    found = cv2.goodFeaturesToTrack(of, most, 0.01, 5, mask=mask, blockSize=5)
    return np.zeros((0, 2), np.float32) if found is None else np.asarray(found.reshape(-1, 2), dtype=np.float32)


def head_mask(at: Floats, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """255 where the patch shows what moves with the skull: forehead, bridge of the nose, temples, ears, hair; never brows, eyes, mouth."""
    mask = np.zeros(shape, np.uint8)
    middle = at[OVAL].mean(0)
    width = float(np.linalg.norm(at[LEFT_EDGE] - at[RIGHT_EDGE]))
    top = at[FOREHEAD]
    cv2.ellipse(mask, (int(middle[0]), int(top[1] + 0.25 * width)), (int(0.60 * width), int(0.60 * width)), 0, 180, 360, (255,), -1)
    cv2.fillConvexPoly(
        mask, np.round(at[[127, 356, 323, 93]] + np.array([[-1, 0], [1, 0], [1, 0], [-1, 0]]) * 0.1 * width).astype(np.int32), (255,)
    )
    cv2.fillConvexPoly(mask, np.round(at[OVAL]).astype(np.int32), (255,))
    for eye in (
        [70, 63, 105, 66, 107, 55, 193, 245, 233, 232, 231, 230, 229, 228, 31, 226, 156],
        [300, 293, 334, 296, 336, 285, 417, 465, 453, 452, 451, 450, 449, 448, 261, 446, 383],
    ):
        hull = cv2.convexHull(np.round(at[eye]).astype(np.int32))
        cv2.fillConvexPoly(mask, hull, (0,))
        cv2.polylines(mask, [hull], True, (0,), 9)
    mask[int(at[4, 1]) :, :] = 0  # from the tip of the nose down everything can move
    return mask


def depths(at: Floats, z: Floats, features: NDArray[np.float32], scale: float) -> Floats:
    """z of each feature (N,), pixels of the image: the mesh's near it; hair and ears outside the face lie a little behind its rim."""
    apart = ((features[:, None] - at[None]) ** 2).sum(2)
    nearest = np.argsort(apart, axis=1)[:, :4]
    weight = 1 / (np.take_along_axis(apart, nearest, 1) + 1.0)
    inner = (weight * z[nearest]).sum(1) / weight.sum(1)
    beyond = np.sqrt(apart.min(1)) / FACE_PX
    return np.asarray(inner + scale * np.clip(beyond - 0.08, 0, 0.4))


def solve(points: Floats, seen: Floats, prior: HeadPose) -> tuple[HeadPose, float]:
    """The pose under which points (N, 3) of the face's own frame appear at `seen` (N, 2), near the prior; and the share that agrees.

    Gauss-Newton on rotation, shift and log scale with weights that fall off with the error (Geman and McClure).
    """
    if len(points) < 8:
        return prior, 0.0
    placed = prior
    rotation, shift, grow = np.zeros(3), np.zeros(2), 0.0
    weight = np.ones(len(points))
    information = np.diag(1 / PRIOR**2)
    for _ in range(6):
        turned = points @ placed.rotation.T
        off = (seen - placed.scale * turned[:, :2] - placed.position[:2]) / prior.scale
        size = placed.scale / prior.scale
        zero, one = np.zeros(len(points)), np.ones(len(points))
        x, y, z = turned.T * size
        jacobian = np.stack([np.stack([zero, z, -y, one, zero, x], 1), np.stack([-z, zero, x, zero, one, y], 1)], 1)
        error = np.linalg.norm(off, axis=1)
        weight = 1 / (1 + (error / OUTLIER) ** 2) ** 2
        scaled = weight[:, None, None] * jacobian / FEATURE_NOISE**2
        matrix = np.einsum("nij,nik->jk", scaled, jacobian) + information
        towards = np.einsum("nij,ni->j", scaled, off) - information @ np.concatenate([rotation, shift, [grow]])
        step = cv2.solve(matrix, towards[:, None], flags=cv2.DECOMP_CHOLESKY)[1].ravel()  # LAPACK would wake threads for six numbers
        rotation, shift, grow = rotation + step[:3], shift + step[3:5], grow + step[5]
        placed = replace(
            placed,
            rotation=rotation_matrix(step[:3]) @ placed.rotation,
            scale=placed.scale * float(np.exp(step[5])),
            position=placed.position + np.append(step[3:5], 0) * prior.scale,
        )
        if np.abs(step).max() < 1e-5:
            break
    return placed, float((weight > 0.4).mean())
