"""The neural engine: a First Order Motion Model from a model directory moves the portrait. See `livepuppet.types.Engine`."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from livepuppet.engines.fomm import model_store as artifacts
from livepuppet.engines.fomm import motion as motions
from livepuppet.engines.fomm.crop import Crop, SteadyCrop, face_crop, whole_crop
from livepuppet.engines.fomm.paste import PasteRegion, build_paste_region, paste_back
from livepuppet.engines.fomm.runtime.interface import FommRuntime, PreparedSource
from livepuppet.engines.fomm.runtime.loading import load_runtime
from livepuppet.errors import FrameError, ModelError, NoFaceError
from livepuppet.types import Closing, Floats, Image, Motion, Size, Tuning
from livepuppet.vision.face_landmarks import FaceTracker, Landmarks
from livepuppet.vision.portrait_crop import fit_portrait
from livepuppet.vision.portrait_face import find_portrait_face

log = logging.getLogger("livepuppet.fomm")

DEFAULT_MODEL = "fomm-synth-256"
SMALLEST_FACE_PX = 24


@dataclass(frozen=True, eq=False)
class FommAvatar:
    """A portrait made ready. Immutable; shared freely between threads. span: of its keypoints, for the scale of relative motion."""

    image: Image
    neutral: Motion
    prepared: PreparedSource
    square: PasteRegion
    span: float


class FommEngine(Closing):
    """device: of runtimes.loading.DEVICES. model: a name of `livepuppet models list`, or a model directory; None takes the shipped one.

    A name may end in the form to run, 'vox@onnx-int8'; else the fastest exact one for the device is taken.

    Raises UsageError for an unknown model or device, ModelError for a damaged model.
    """

    name = "fomm"

    def __init__(self, device: str = "auto", model: str | None = None) -> None:
        name, _, form = (model or DEFAULT_MODEL).partition("@")
        directory = artifacts.find_model(name)
        self._manifest = directory.manifest
        self._graphs: FommRuntime = load_runtime(directory, form or None, device)
        self._tracker: FaceTracker | None = None
        self._crop = SteadyCrop(self._manifest.margin)
        self._scale: tuple[Motion, FommAvatar, float] | None = None
        self._warned = False
        if self._manifest.experimental:
            log.info("the model '%s' is experimental: %s", self._manifest.name, self._manifest.experimental)

    @property
    def device(self) -> str:
        return f"{self._graphs.device}, model {self._manifest.name}"

    def prepare(self, portrait: Image, size: Size | None = None, face: int | None = None) -> FommAvatar:
        if self._manifest.crop == "none":
            height, width = portrait.shape[:2]
            image, _ = fit_portrait(portrait, np.array([[0.0, 0.0, 0.0], [width, height, 0.0]]), size)
            crop, view = whole_crop(image), np.zeros(3)
        else:
            image, landmarks = self._find(portrait, size, face)
            crop, view = face_crop(landmarks, self._manifest.margin), motions.view_of(landmarks)
        crop = crop.whole()
        shown = crop.cut(image, self._manifest.size)
        prepared = self._graphs.prepare(shown)
        rest = self._graphs.render(prepared, prepared.value, prepared.jacobian)
        if not rest.finite:
            raise ModelError(f"the model '{self._manifest.name}' cannot animate this portrait: it computes NaN")
        image.setflags(write=False)
        neutral = motions.neutral_motion(prepared.value, prepared.jacobian, view)
        return FommAvatar(image, neutral, prepared, build_paste_region(image, crop, shown, rest), motions.span(neutral.pose))

    def _find(self, portrait: Image, size: Size | None, face: int | None) -> tuple[Image, Landmarks]:
        image, landmarks = fit_portrait(*find_portrait_face(portrait, face), size)
        if np.ptp(landmarks[:, 0]) < SMALLEST_FACE_PX:
            raise NoFaceError(f"the face in the portrait is only {np.ptp(landmarks[:, 0]):.0f} pixels wide: choose a closer picture")
        return image, landmarks

    def observe(self, image: Image) -> Motion | None:
        crop, view = whole_crop(image), np.zeros(3)
        if self._manifest.crop == "face":
            found = self._track(image)
            if found is None:
                return None
            crop, view = found
        value, jacobian = self._graphs.detect(crop.cut(image, self._manifest.size))
        if not (np.isfinite(value).all() and np.isfinite(jacobian).all()):
            self._warn()
            return None
        return motions.motion_from_keypoints(value, jacobian, crop, image.shape[1], image.shape[0], view)

    def _track(self, image: Image) -> tuple[Crop, Floats] | None:
        if self._tracker is None:
            self._tracker = FaceTracker()
        landmarks = self._tracker.track(image)
        return None if landmarks is None else (self._crop.follow(landmarks, (image.shape[1], image.shape[0])), motions.view_of(landmarks))

    def restart(self) -> None:
        if self._tracker is not None:
            self._tracker.restart()

    def transfer(self, avatar: FommAvatar, reference: Motion, driving: Motion, tuning: Tuning) -> Motion:
        known = self._scale
        if known is None or known[0] is not reference or known[1] is not avatar:
            # The spans are convex hulls: constant as long as reference and avatar are, so found once.
            self._scale = known = (reference, avatar, avatar.span / motions.span(reference.pose))
        return motions.transfer_motion(avatar.neutral, reference, driving, known[2], tuning)

    def render(self, avatar: FommAvatar, motion: Motion, tuning: Tuning) -> Image:
        if np.array_equal(motion.pose, avatar.neutral.pose) and np.array_equal(motion.expression, avatar.neutral.expression):
            return avatar.image.copy()
        rendered = self._graphs.render(avatar.prepared, *motions.keypoints_from_motion(motion))
        if not rendered.finite:
            self._warn()
            raise FrameError(f"the model '{self._manifest.name}' computed NaN for this frame")
        return paste_back(avatar.image, avatar.square, rendered)

    def distance(self, avatar: FommAvatar, driving: Motion) -> float:
        return motions.motion_distance(avatar.neutral, driving)

    def idle(self, avatar: FommAvatar, seconds: float) -> Motion:
        return motions.idle(avatar.neutral, seconds)

    def close(self) -> None:
        self._graphs.close()
        if self._tracker is not None:
            self._tracker.close()
            self._tracker = None

    def _warn(self) -> None:
        """Once: what happens thirty times a second would bury everything else."""
        if not self._warned:
            log.warning("the model '%s' computed NaN: holding the last picture", self._manifest.name)
            self._warned = True
