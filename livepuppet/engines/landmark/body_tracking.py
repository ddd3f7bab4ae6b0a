"""What of the driver moves besides the head: hair, neck, shoulders and clothes, against the first view of them.

Each frame is brought to the first view by what is known so far (the head's pose and the displacement of the frame before), so that little
is left to find. Dense optical flow (DIS, Kroeger et al., ECCV 2016) finds the rest, and a lattice is fitted to it: each patch of the
picture counts by its structure tensor, so that an edge speaks only of what happens across it, by how well the flow explains it, and
whether it shows the driver. Where nothing is seen, the lattice bends smoothly from what is, towards a part of the head's shift.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.engines.landmark.face_model import OVAL
from livepuppet.engines.landmark.lattice import (
    BODY,
    BOTTOM,
    COLUMNS,
    CONTROLS,
    LATTICE,
    LEFT,
    RIGHT,
    ROWS,
    TOP,
    FaceMeasure,
    HeadShares,
    head_shares,
    lattice_counts,
    rim_measure,
)
from livepuppet.engines.landmark.lattice_fit import fit_lattice, lattice_support
from livepuppet.engines.landmark.retarget import HeadPose, angle_between
from livepuppet.types import Floats, Image
from livepuppet.vision.face_landmarks import Landmarks
from livepuppet.vision.mediapipe_models import carries_models
from livepuppet.vision.segmentation import PersonSegmenter, silhouette

Patch = NDArray[np.uint8]
Field = NDArray[np.float32]

HALF_PX = 30.0
"""Pixels of the patch per half rim."""
WIDTH_PX, HEIGHT_PX = round((RIGHT - LEFT) * HALF_PX), round((BOTTOM - TOP) * HALF_PX)
CELL_PX = 8
"""The flow is summed up in cells of this side."""
NEW_VIEW = 0.16
"""Radians: a view of the driver serves heads turned by less than this from it."""
VIEWS = 8
BODY_FOLLOWS = 0.5
"""The body's share of the head's shift, where the body itself cannot be seen."""
NOISE_LEVELS = 18.0
"""Grey levels: a patch that the flow explains this badly counts half."""
TEXTURE = 30.0
"""Squared grey levels per pixel: cells with this much structure count half of those with plenty."""
LEAST_SEEN = 0.25
"""Below this share of the cells that the flow explains, another person or light is in the picture."""
FARTHEST = 0.8
"""Face widths: no control point is displaced by more."""
JUMP_ROUNDS = 4
"""How often the body is approached in the first frame after a jump."""
RELAX = 0.2
"""What of the way to the expected displacement is gone in each frame that says nothing."""


@dataclass(frozen=True, eq=False)
class _View:
    """The driver, brought to the first view.

    Attributes:
        turned: the head's rotation. patch (h, w); tensor: its gradients' products xx, xy, yy (h, w, 3); person (h, w), 0 … 1.
    """

    turned: Floats
    patch: Patch
    tensor: Field
    person: Field


@dataclass(frozen=True, eq=False)
class _Origin:
    """The first view: the head's pose, the lattice's control points (CONTROLS, 3) in pixels of the image and how they follow the head."""

    placed: HeadPose
    measure: FaceMeasure
    controls: Floats
    follows: HeadShares


class BodyTracker:
    """Follows one driver's surroundings of the face. One thread, one stream of frames."""

    def __init__(self) -> None:
        self._origin: _Origin | None = None
        self._views: list[_View] = []
        self._shape: tuple[int, ...] = ()
        self._displacement = np.zeros((CONTROLS, 2))
        self._base = np.zeros((CONTROLS, 2))
        self._failures = 0
        self._jumped = False
        self._segmenter: PersonSegmenter | None = None
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._flow.setFinestScale(1)
        self._flow.setVariationalRefinementIterations(2)
        self._flow.setGradientDescentIterations(10)

    def follow(self, image: Image, landmarks: Landmarks, placed: HeadPose) -> Floats:
        """The lattice's displacement (CONTROLS, 2) beyond the head's share since tracking began, in pixels.

        Args:
            placed: the head's pose in this image.
        """
        if image.shape != self._shape or self._failures > 8:
            self._base = self._base + self._displacement
            self._displacement = np.zeros((CONTROLS, 2))
            self._origin, self._views, self._shape, self._failures = None, [], image.shape, 0
        if self._origin is None:
            measure = rim_measure(landmarks)
            places = measure.pixels(LATTICE)
            follows = head_shares(places, landmarks)
            self._origin = _Origin(placed, measure, np.c_[places, follows.depth], follows)
            self._remember(image, landmarks, placed)
            return self._base
        origin = self._origin
        if self._jumped:
            self._displacement = self._expected(origin, placed)
        view = min(self._views, key=lambda v: angle_between(v.turned, placed.rotation))
        for _ in range(JUMP_ROUNDS if self._jumped else 1):
            seen = self._approach(image, view, origin, placed)
        self._jumped = False
        self._failures = 0 if seen > LEAST_SEEN else self._failures + 1
        if len(self._views) < VIEWS and seen > 2 * LEAST_SEEN and angle_between(view.turned, placed.rotation) > NEW_VIEW:
            self._remember(image, landmarks, placed)
        return self._base + self._displacement

    def restart(self) -> None:
        """What comes does not follow what was: the body is looked for anew, against the same first view."""
        self._jumped = True

    def _approach(self, image: Image, view: _View, origin: _Origin, placed: HeadPose) -> float:
        """Bring the displacement nearer to what the image shows; returns the share of cells that agree."""
        patch, inside = self._rectify(image, self._places(placed, origin), origin)
        step, seen = self._fit(view, patch, inside, origin, placed)
        trust = float(np.clip(seen / LEAST_SEEN - 0.5, 0, 1))
        relax = RELAX * (self._expected(origin, placed) - self._displacement)
        most = FARTHEST * origin.placed.scale
        self._displacement = np.clip(self._displacement + trust * step + (1 - trust) * relax, -most - self._base, most - self._base)
        return seen

    def close(self) -> None:
        """Free the model. May be called twice."""
        if self._segmenter is not None:
            self._segmenter.close()
            self._segmenter = None

    def _remember(self, image: Image, landmarks: Landmarks, placed: HeadPose) -> None:
        assert self._origin is not None
        places = self._places(placed, self._origin)
        patch, inside = self._rectify(image, places, self._origin)
        self._views.append(make_view(placed.rotation, patch, inside * self._person(image, places, landmarks)))

    def _places(self, placed: HeadPose, origin: _Origin) -> tuple[Field, Field]:
        """x and y of every pixel of the patch in the image (HEIGHT_PX, WIDTH_PX), as far as known."""
        expected = follow_head(origin, placed)
        x, y = (spread(expected[:, i]) + COUNTS * spread(self._displacement[:, i]) for i in (0, 1))
        return x, y

    def _rectify(self, image: Image, places: tuple[Field, Field], origin: _Origin) -> tuple[Patch, Field]:
        """The picture brought back to the first view from the places of its pixels, and where it was inside the picture (h, w)."""
        k = HALF_PX / float(origin.measure.half[0])
        low, high = box_of(places, image)
        cut = image[low[1] : high[1], low[0] : high[0]]
        ratio = np.ones(2)
        if k < 0.7:  # average first: a thinned-out picture would shimmer
            size = max(8, round(cut.shape[1] * k)), max(8, round(cut.shape[0] * k))
            ratio = np.array([size[0] / cut.shape[1], size[1] / cut.shape[0]])
            cut = np.asarray(cv2.resize(cut, size, interpolation=cv2.INTER_AREA))
        grey = cv2.cvtColor(cut, cv2.COLOR_RGB2GRAY)
        x, y = (np.asarray((places[i] - np.float32(low[i] - 0.5)) * np.float32(ratio[i]) - np.float32(0.5), np.float32) for i in (0, 1))
        patch = cv2.remap(grey, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        inside = (x > 1) & (y > 1) & (x < grey.shape[1] - 2) & (y < grey.shape[0] - 2)
        return remove_shading(np.asarray(patch, np.uint8)), inside.astype(np.float32)

    def _person(self, image: Image, places: tuple[Field, Field], landmarks: Landmarks) -> Field:
        """Where the rectified picture shows the driver, without the face (HEIGHT_PX, WIDTH_PX), 0 … 1."""
        if self._segmenter is None and carries_models():
            self._segmenter = PersonSegmenter()
        if self._segmenter is None:
            likely = silhouette(image.shape, landmarks)
        else:
            low, high = box_of(places, image)
            likely = self._segmenter.closer(image, (int(low[0]), int(low[1]), int(high[0]), int(high[1])))
        face = np.zeros(image.shape[:2], np.float32)
        cv2.fillConvexPoly(face, cv2.convexHull(np.round(landmarks[OVAL, :2]).astype(np.int32)), (1.0,))
        shown = cv2.remap(likely * (1 - face), *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        grown = cv2.dilate((np.asarray(shown) > 0.5).astype(np.uint8), np.ones((3, 3), np.uint8))
        return grown.astype(np.float32)

    def _fit(self, view: _View, patch: Patch, inside: Field, origin: _Origin, placed: HeadPose) -> tuple[Floats, float]:
        """What the lattice's displacement (CONTROLS, 2), pixels of the first view, changes by, and the share of cells that agree."""
        flow = np.asarray(self._flow.calc(view.patch, patch, np.zeros((HEIGHT_PX, WIDTH_PX, 2), np.float32)), np.float32)
        x, y = GRID_X + flow[..., 0], GRID_Y + flow[..., 1]
        back = cv2.remap(patch, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        off = cv2.absdiff(np.asarray(back, np.uint8), view.patch).astype(np.float32)
        weight = view.person * inside / (1 + (off / NOISE_LEVELS) ** 2)
        tensor = pool(view.tensor * weight[..., None])
        amount = pool(weight)
        moved = pool(flow * weight[..., None]) / np.maximum(amount, 1e-3)[..., None]
        strength = tensor[..., 0] + tensor[..., 2] + 1e-3
        normal = tensor / (strength + TEXTURE * amount)[..., None]
        even = 0.05 * (normal[..., 0] + normal[..., 2])
        xx, xy, yy = (v.ravel() for v in (normal[..., 0] + even, normal[..., 1], normal[..., 2] + even))
        px = HALF_PX / origin.measure.half
        before, guess = self._displacement * px, self._expected(origin, placed) * px
        step, agree = fit_lattice(SUPPORT, (xx, xy, yy), moved.reshape(-1, 2), before, guess)
        full = float(pool(view.person * inside).sum())
        seen = float((amount.ravel() * agree).sum() / max(full, 1e-3)) if full > 4 else 1.0
        return np.asarray(step / px), seen

    def _expected(self, origin: _Origin, placed: HeadPose) -> Floats:
        """The displacement (CONTROLS, 2) of a body that follows the head by BODY_FOLLOWS."""
        shift = (placed.position - origin.placed.position)[:2]
        return np.asarray((BODY * (1 - origin.follows.shifting))[:, None] * BODY_FOLLOWS * shift)


def box_of(places: tuple[Field, Field], image: Image) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The upper left and lower right corner (2,) of the part of the image that holds the places, at least 16 pixels wide and high."""
    size = np.array(image.shape[1::-1])
    low = np.clip(np.floor([values.min() for values in places]) - 2, 0, np.maximum(size - 16, 0)).astype(np.int64)
    high = np.clip(np.ceil([values.max() for values in places]) + 3, low + 16, np.maximum(size, low + 16)).astype(np.int64)
    return low, high


def follow_head(origin: _Origin, placed: HeadPose) -> Floats:
    """Where the head's pose alone takes the control points (CONTROLS, 2), pixels of the image."""
    first, at = origin.placed, origin.controls
    rotation = placed.rotation @ first.rotation.T
    turned = placed.scale / first.scale * (at - first.position) @ rotation.T + first.position
    shift = placed.position - first.position
    moved = at + origin.follows.turning[:, None] * (turned - at) + origin.follows.shifting[:, None] * shift
    return np.asarray(moved[:, :2])


def make_view(turned: Floats, patch: Patch, person: Field) -> _View:
    """The patch with its gradients' products."""
    x = cv2.Scharr(patch, cv2.CV_32F, 1, 0) / 32
    y = cv2.Scharr(patch, cv2.CV_32F, 0, 1) / 32
    return _View(turned, patch, np.stack([x * x, x * y, y * y], 2), person)


def remove_shading(grey: Patch) -> Patch:
    """Grey minus its own blur, about 128: a passing shadow or the camera's exposure moves nothing."""
    return np.asarray(cv2.addWeighted(grey, 1.6, cv2.blur(grey, (15, 15)), -1.6, 128), dtype=np.uint8)


def pool(values: Field) -> Field:
    """Means over cells."""
    return np.asarray(cv2.resize(values, (WIDTH_PX // CELL_PX, HEIGHT_PX // CELL_PX), interpolation=cv2.INTER_AREA), dtype=np.float32)


def spread(values: Floats) -> Field:
    """Values (CONTROLS,) at every pixel of the patch (HEIGHT_PX, WIDTH_PX)."""
    down = cv2.gemm(DOWNWARDS, values.reshape(ROWS, COLUMNS).astype(np.float32), 1.0, NOTHING, 0.0)  # BLAS would wake threads for this
    return np.asarray(cv2.gemm(down, ACROSS, 1.0, NOTHING, 0.0, flags=cv2.GEMM_2_T), dtype=np.float32)


def _hats(count: int, controls: int) -> Field:
    """(count, controls): linear interpolation at the middles of `count` pixels."""
    at = (np.arange(count) + 0.5) / count * (controls - 1)
    return np.maximum(1 - np.abs(at[:, None] - np.arange(controls)), 0).astype(np.float32)


NOTHING = np.zeros((0, 0), np.float32)
ACROSS, DOWNWARDS = _hats(WIDTH_PX, COLUMNS), _hats(HEIGHT_PX, ROWS)
GRID_X, GRID_Y = np.meshgrid(np.arange(WIDTH_PX, dtype=np.float32), np.arange(HEIGHT_PX, dtype=np.float32))
_columns, _rows = WIDTH_PX // CELL_PX, HEIGHT_PX // CELL_PX
_cells = np.stack(np.meshgrid((np.arange(_columns) + 0.5) / _columns, (np.arange(_rows) + 0.5) / _rows), -1).reshape(-1, 2)
_cells = _cells * [RIGHT - LEFT, BOTTOM - TOP] + [LEFT, TOP]
SUPPORT = lattice_support(_cells)
_pixels = np.stack([(GRID_X.ravel() + 0.5) / WIDTH_PX, (GRID_Y.ravel() + 0.5) / HEIGHT_PX], 1) * [RIGHT - LEFT, BOTTOM - TOP] + [LEFT, TOP]
COUNTS = lattice_counts(_pixels).reshape(HEIGHT_PX, WIDTH_PX).astype(np.float32)
"""How much of the lattice's displacement applies at every pixel of the patch."""
