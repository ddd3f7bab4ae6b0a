"""The head's and the body's place from the picture itself: small patches over bone, hair and clothes, followed to a fraction of a pixel.

A landmark network moves all its points a little when the mouth opens, and trembles. Texture over bone does not: patches that a keyframe
remembers are found again in each frame (Lucas and Kanade, IJCAI 1981, in pyramids), and the pose is the one that explains them best,
with the landmarks' own pose as the prior. The body is followed in the same way below the chin, as a shift in the picture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.engines.landmark.face_model import CHIN, FOREHEAD, LEFT_EDGE, OVAL, RIGHT_EDGE
from livepuppet.engines.landmark.retarget import HeadPose, rotation_matrix, rotation_vector
from livepuppet.types import Floats, Image
from livepuppet.vision.face_landmarks import Landmarks
from livepuppet.vision.mediapipe_models import carries_models
from livepuppet.vision.segmentation import PersonMask, PersonSegmenter

Patch = NDArray[np.uint8]

FACE_PX = 112
"""The face's width in a patch."""
HEAD_BOX = (-0.85, -1.05, 0.85, 0.75)
"""Left, top, right, bottom of the head's patch in the face's own frame, face widths about its origin."""
BODY_BOX = (-1.6, 0.05, 1.6, 1.2)
"""The same for the body's, below the chin and as wide as both shoulders."""
FEATURES = 90
BODY_FEATURES = 80

PRIOR = np.array([0.02, 0.03, 0.012, 0.012, 0.012, 0.012])
"""How far the landmarks' pose may be off: rotation (radians), shift (face widths), log scale."""
FEATURE_NOISE = 0.006
"""Face widths: how well one patch is found; neighbours err together, so this is more than a lone patch's error."""
OUTLIER = 0.012
"""Face widths: a patch off by this counts half."""
BODY_OUTLIER_PX = 3.0
"""Pixels of the body's patch: a feature farther from where the body's similarity has it belongs to something else."""
BODY_TRUST = (0.15, 0.30)
"""Below and above these ratios of features that agree, the body's own motion counts for nothing, and in full."""
LEAST_FEATURES = 6
NEW_VIEW = (0.13, 0.10)
"""A keyframe serves views within this rotation (radians) and this log scale."""
KEYFRAMES = 12
OUTLINE = np.ones((7, 7), np.uint8)
"""How far beyond the person, in pixels of the body's patch, the outline of shoulders is still a feature."""


@dataclass(frozen=True, eq=False)
class Keyframe:
    """A view to come back to.

    Attributes:
        head, body: its patches. features (N, 2) in the head's patch and points (N, 3) in the face's own frame.
        placed: the head's pose. anchor (2,): where the body was, pixels of the image. to_body (2, 3): image to the body's patch.
            body_features (M, 2) in that patch.
    """

    head: Patch
    features: NDArray[np.float32]
    points: Floats
    placed: HeadPose
    body: Patch
    body_features: NDArray[np.float32]
    to_body: Floats
    anchor: Floats


@dataclass(frozen=True, eq=False)
class RegisteredHead:
    """The refined pose, and where the body is (2,), pixels of the image."""

    placed: HeadPose
    anchor: Floats


class Registration:
    """Remembers a few views of one driver. Belongs to the tracker: one thread, one stream of frames."""

    def __init__(self) -> None:
        self._keyframes: list[Keyframe] = []
        self._shape: tuple[int, ...] = ()
        self._failures = 0
        self._body_shift = np.zeros(2)
        self._last: Keyframe | None = None
        self._before: RegisteredHead | None = None
        self._segmenter: PersonSegmenter | None = None

    def refine(self, image: Image, landmarks: Landmarks, placed: HeadPose) -> RegisteredHead:
        """The pose and the body's place in this image; `placed` is the landmarks' own pose."""
        if image.shape != self._shape:
            self._keyframes, self._shape, self._before = [], image.shape, None
        if self._failures > 8:  # another person, another light: what was remembered is of no use
            self._keyframes, self._last = [], None
        self._before = self._register(image, landmarks, placed)
        return self._before

    def _register(self, image: Image, landmarks: Landmarks, placed: HeadPose) -> RegisteredHead:
        if not self._keyframes:
            self._failures = 0
            anchor = body_of(placed)
            if self._before is not None:
                anchor = self._before.anchor + BODY_FOLLOWS * (placed.position - self._before.placed.position)[:2]
            return self._remember(image, landmarks, placed, anchor)
        keyframe = min(self._keyframes, key=lambda k: unlike(k.placed, placed))
        to_patch = head_matrix(placed)
        head = patch(image, to_patch, box_size(HEAD_BOX))
        found, kept = follow(keyframe.head, head, keyframe.features, keyframe.features)
        refined, share = solve(keyframe.points[kept], unmap(found[kept], to_patch), placed)
        self._failures = 0 if share > 0.4 else self._failures + 1
        if share <= 0.25:
            refined = placed
        anchor = self._follow_body(image, keyframe, refined)
        if unlike(keyframe.placed, refined) > (1 if share > 0.4 else 0.5) and len(self._keyframes) < KEYFRAMES:
            return self._remember(image, landmarks, refined, anchor)
        return RegisteredHead(refined, anchor)

    def _remember(self, image: Image, landmarks: Landmarks, placed: HeadPose, anchor: Floats) -> RegisteredHead:
        self._keyframes.append(make_keyframe(image, landmarks, placed, anchor, self._person(image)))
        return RegisteredHead(placed, anchor)

    def _follow_body(self, image: Image, keyframe: Keyframe, placed: HeadPose) -> Floats:
        """Where the body is: its anchor moved by the similarity that most of its features agree on; where few do, with a part of the head.

        The features are looked for where the body was last, so that a change of keyframe loses nothing.
        """
        scale = FACE_PX / keyframe.placed.scale
        guess = keyframe.anchor + BODY_FOLLOWS * (placed.position[:2] - keyframe.placed.position[:2])
        features = keyframe.body_features
        if len(features) < LEAST_FEATURES:
            return guess
        if keyframe is not self._last:
            self._body_shift = np.zeros(2) if self._before is None else self._before.anchor - keyframe.anchor
            self._last = keyframe
        now = patch(image, keyframe.to_body, box_size(BODY_BOX))
        found, kept = follow(keyframe.body, now, features, features + (self._body_shift * scale).astype(np.float32))
        if kept.sum() < LEAST_FEATURES:
            return guess
        similarity, agreed = cv2.estimateAffinePartial2D(features[kept], found[kept], ransacReprojThreshold=BODY_OUTLIER_PX, maxIters=300)
        if similarity is None:
            return guess
        anchor = keyframe.to_body[:, :2] @ keyframe.anchor + keyframe.to_body[:, 2]
        self._body_shift = (similarity[:, :2] @ anchor + similarity[:, 2] - anchor) / scale
        low, high = BODY_TRUST
        trust = float(np.clip((agreed.sum() / len(features) - low) / (high - low), 0, 1))
        return np.asarray(guess + trust * (keyframe.anchor + self._body_shift - guess))

    def _person(self, image: Image) -> PersonMask | None:
        """How likely each pixel shows the driver; None where there is no model for it."""
        if self._segmenter is None and carries_models():
            self._segmenter = PersonSegmenter()
        return None if self._segmenter is None else self._segmenter(image)

    def close(self) -> None:
        """Free the model. May be called twice."""
        if self._segmenter is not None:
            self._segmenter.close()
            self._segmenter = None


BODY_FOLLOWS = 0.5
"""The body's share of the head's shift, where the body itself cannot be seen."""


def unlike(one: HeadPose, other: HeadPose) -> float:
    """How different two views of the head are; above 1 they need keyframes of their own."""
    turned = float(np.linalg.norm(rotation_vector(one.rotation @ other.rotation.T)))
    return float(max(turned / NEW_VIEW[0], abs(np.log(one.scale / other.scale)) / NEW_VIEW[1]))


def body_of(placed: HeadPose) -> Floats:
    """A point on the chest straight below the head in the picture (2,)."""
    return np.asarray(placed.position[:2] + np.array([0.0, 1.2 * placed.scale]))


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


def body_matrix(placed: HeadPose, landmarks: Landmarks) -> Floats:
    """(2, 3): image -> body patch, below the chin, upright in the picture."""
    k = FACE_PX / placed.scale
    middle = np.array([placed.position[0], landmarks[CHIN, 1]])
    return np.asarray(np.c_[k * np.eye(2), -np.array(BODY_BOX[:2]) * FACE_PX - k * middle])


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


def make_keyframe(image: Image, landmarks: Landmarks, placed: HeadPose, anchor: Floats, person: PersonMask | None = None) -> Keyframe:
    """Choose what to follow: corners over bone, nose, ears and hair; below the chin whatever the clothes and their outline offer.

    Args:
        person: how likely each pixel shows the driver; None takes what is behind them along.
    """
    matrix = head_matrix(placed)
    head = patch(image, matrix, box_size(HEAD_BOX))
    at = landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    features = corners(head, head_mask(at, head.shape), FEATURES)
    to_body = body_matrix(placed, landmarks)
    body = patch(image, to_body, box_size(BODY_BOX))
    shown = np.full(body.shape, 255, np.uint8)
    inverse = unmap(np.array([[0, 0], body.shape[::-1]], np.float32), to_body)
    limit = (np.array(image.shape[1::-1]) - inverse[0]) / (inverse[1] - inverse[0]) * body.shape[::-1] - 8
    shown[max(0, int(limit[1])) :] = 0  # below the picture's edge there is nothing to follow
    shown[:, max(0, int(limit[0])) :] = 0
    start = -inverse[0] / (inverse[1] - inverse[0]) * body.shape[::-1] + 8
    shown[:, : max(0, int(start[0]))] = 0
    if person is not None:
        inside = (cv2.warpAffine(person, to_body, body.shape[::-1]) > 0.5).astype(np.uint8)
        shown[cv2.dilate(inside, OUTLINE) == 0] = 0
    depth = depths(at, landmarks[:, 2], features, placed.scale)
    in_image = np.c_[unmap(features, matrix), depth]
    points = (in_image - placed.position) @ placed.rotation / placed.scale
    return Keyframe(head, features, points, placed, body, corners(body, shown, BODY_FEATURES), to_body, anchor)


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
