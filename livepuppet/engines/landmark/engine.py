"""The default engine: 478 face landmarks drive a full-resolution mesh warp of the portrait. No weights, no GPU."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import cv2
import numpy as np

from livepuppet.engines.landmark import expressions, retarget
from livepuppet.engines.landmark.background import BackgroundPlate, build_background_plate
from livepuppet.engines.landmark.body_tracking import BodyTracker
from livepuppet.engines.landmark.eyes import measure_eyes
from livepuppet.engines.landmark.face_model import COUNT, OVAL
from livepuppet.engines.landmark.hidden_side import (
    HiddenSide,
    RimTexture,
    facing_camera,
    fill_hidden_side,
    find_hidden_side,
    find_rim_texture,
    rim_inset,
)
from livepuppet.engines.landmark.idle import idle_vectors
from livepuppet.engines.landmark.lattice import CONTROLS
from livepuppet.engines.landmark.lids import draw_lash_lines, hidden_eyes, lash_colours, lid_sources, set_eyeballs, shift_gaze
from livepuppet.engines.landmark.mesh import PosedMesh, WarpMesh, build_warp_mesh, outline_sources, pose_warp_mesh
from livepuppet.engines.landmark.mouth import DriverMouth, cut_mouth, mouth_presence, paint_mouth, skin_colour
from livepuppet.engines.landmark.raster import (
    Grid,
    affines,
    areas,
    build_grid,
    compose_map,
    enlarge_map,
    sample_affines,
    sample_image,
    soften_map,
    stretch_to_edge,
    to_grid,
    triangle_ids,
)
from livepuppet.engines.landmark.registration import Registration
from livepuppet.engines.landmark.retarget import Likeness
from livepuppet.errors import NoFaceError
from livepuppet.types import Closing, ExpressionFrame, Floats, Image, Motion, Size, Tuning
from livepuppet.vision.face_landmarks import FaceTracker, Landmarks
from livepuppet.vision.portrait_crop import fit_portrait
from livepuppet.vision.portrait_face import find_portrait_face

log = logging.getLogger("livepuppet.landmark")

SMALLEST_FACE_PX = 24


@dataclass(frozen=True, eq=False)
class LandmarkAvatar:
    """A portrait made ready. Immutable; shared freely between threads."""

    image: Image
    neutral: Motion
    landmarks: Landmarks
    likeness: Likeness
    net: WarpMesh
    upright: Floats
    grid: Grid
    backdrop: BackgroundPlate
    skin: Floats
    lashes: Floats
    hidden_side: HiddenSide | None
    rim: RimTexture


class LandmarkEngine(Closing):
    """MediaPipe's face mesh in, a warped portrait out. See `livepuppet.types.Engine`."""

    name = "landmark"

    def __init__(self, device: str = "auto") -> None:
        """device is accepted for the sake of the other engines: this one computes on the CPU."""
        self._tracker: FaceTracker | None = None
        self._registration = Registration()
        self._body = BodyTracker()
        if device not in ("auto", "cpu"):
            log.info("the landmark engine needs no %s: it computes on the CPU", device)

    @property
    def device(self) -> str:
        return "CPU (MediaPipe, OpenCV)"

    def prepare(self, portrait: Image, size: Size | None = None, face: int | None = None) -> LandmarkAvatar:
        image, landmarks = fit_portrait(*find_portrait_face(portrait, face), size)
        if np.ptp(landmarks[:, 0]) < SMALLEST_FACE_PX:
            raise NoFaceError(f"the face in the portrait is only {np.ptp(landmarks[:, 0]):.0f} pixels wide: choose a closer picture")
        return build_avatar(image, landmarks)

    def observe(self, image: Image) -> Motion | None:
        if self._tracker is None:
            self._tracker = FaceTracker()
        landmarks = self._tracker.track(image)
        if landmarks is None:
            return None
        height, width = image.shape[:2]
        placed = retarget.fit_head_pose(landmarks)
        placed = self._registration.refine(image, landmarks, placed)
        motion = retarget.measure_motion(landmarks, placed, self._body.follow(image, landmarks, placed), width, height)
        return Motion(motion.pose, motion.expression, motion.view, motion.points, cut_mouth(image, landmarks))

    def restart(self) -> None:
        if self._tracker is not None:
            self._tracker.restart()
        self._body.restart()

    def transfer(self, avatar: LandmarkAvatar, reference: Motion, driving: Motion, tuning: Tuning) -> Motion:
        return retarget.retarget_motion(avatar.likeness, reference, driving, tuning)

    def render(self, avatar: LandmarkAvatar, motion: Motion, tuning: Tuning) -> Image:
        if not motion.pose.any() and not motion.expression.any():
            return avatar.image.copy()
        posed = pose_warp_mesh(avatar.net, avatar.likeness, motion)
        out = warp(avatar, posed, motion)
        amount = mouth_presence(posed.shape, avatar.likeness.placed.shape)
        if amount > 0 and tuning.mouth != "none":
            driver = motion.detail if isinstance(motion.detail, DriverMouth) else None
            paint_mouth(out, posed.points, avatar.likeness.placed.scale, avatar.skin, driver, tuning.mouth, amount)
        return out

    def distance(self, avatar: LandmarkAvatar, driving: Motion) -> float:
        return retarget.pose_distance(avatar.likeness, driving)

    def idle(self, avatar: LandmarkAvatar, seconds: float) -> Motion:
        pose, expression = idle_vectors(seconds)
        view = avatar.neutral.view - np.array([pose[1], -pose[0], -pose[2]])
        return Motion(pose, expression, view)

    def express(self, told: ExpressionFrame) -> Motion:
        return expressions.driver_motion(told)

    def add_expression(self, motion: Motion, weights: Floats) -> Motion:
        return expressions.add_expression(motion, weights)

    def replace_mouth(self, motion: Motion, weights: Floats) -> Motion:
        return expressions.replace_mouth(motion, weights)

    def tell(self, reference: Motion, driving: Motion) -> ExpressionFrame:
        return expressions.tell_expression(reference, driving)

    def close(self) -> None:
        self._body.close()
        if self._tracker is not None:
            self._tracker.close()
            self._tracker = None


def build_avatar(image: Image, landmarks: Landmarks) -> LandmarkAvatar:
    """The portrait at output size with its landmarks -> everything that does not change from frame to frame."""
    height, width = image.shape[:2]
    placed = retarget.fit_head_pose(landmarks)
    observed = retarget.measure_motion(landmarks, placed, np.zeros((CONTROLS, 2)), width, height)
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    room = np.concatenate([low, [width, height] - high]) / placed.scale + 0.3
    net = build_warp_mesh(landmarks)
    grid = build_grid(width, height)
    hull = cv2.convexHull(np.round(landmarks[OVAL, :2]).astype(np.int32))[:, 0]
    backdrop = build_background_plate(image, hull, placed.scale, grid)
    room[3] = min(room[3], backdrop.fall)
    likeness = Likeness(placed, measure_eyes(placed.shape), np.maximum(room, 0.1), retarget.turn_limits(float(observed.view[0])), observed)
    upright = np.sign(areas(net.points[net.triangles]))
    image.setflags(write=False)
    return LandmarkAvatar(
        image, retarget.neutral_vectors(observed), landmarks, likeness, net, upright, grid, backdrop,
        skin_colour(image, landmarks), lash_colours(image, landmarks), find_hidden_side(image, landmarks),
        find_rim_texture(backdrop.matte, landmarks),
    )  # fmt: skip


def warp(avatar: LandmarkAvatar, posed: PosedMesh, motion: Motion) -> Image:
    """The portrait as the posed net has it: skin, lids, gaze and everything around; the mouth's own pixels where it is open."""
    net, grid = avatar.net, avatar.grid
    ids = triangle_ids(posed.points, net.triangles, avatar.upright, hidden_eyes(net, posed), grid)
    face = posed.points[:COUNT]
    facing = facing_camera(face)
    inset = rim_inset(avatar.rim, facing)
    sources = lid_sources(net.points, posed.closing)
    sources[:COUNT, :2] += inset
    table = affines(posed.points, sources, net.triangles)
    collar = slice(net.collar.start, net.collar.stop)
    outside = outline_sources(net)
    outside[:COUNT, :2] += inset
    table[collar] = affines(posed.points, outside, net.triangles[collar])[:-1]
    set_eyeballs(table, net, avatar.likeness.placed, posed, motion)
    x, y = sample_affines(ids, table, grid)
    shift_gaze(x, y, ids, net, avatar.likeness.eyes, posed.gaze)
    x, y = soften_map(x), soften_map(y)
    stretch_to_edge(y, grid)
    behind = avatar.backdrop
    if behind.person is None:
        picture = sample_image(avatar.image, enlarge_map(x, grid), enlarge_map(y, grid))
    else:
        across, down = to_grid(x, y, grid)
        share = cv2.remap(behind.share, across, down + np.float32(behind.above), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        picture = compose_map(behind.person, behind.matte, x, y, np.asarray(share, dtype=np.float32), behind.plate, grid)
    if avatar.hidden_side is not None:
        fill_hidden_side(picture, avatar.image, avatar.hidden_side, face, facing, ids, grid)
    draw_lash_lines(picture, avatar.lashes, posed)
    return picture
