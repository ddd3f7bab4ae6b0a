"""Is every frame of the face the same still, only warped? A puppet made from a picture shows no new light and no new skin.

Each frame's skin, laid flat by its landmarks (piecewise affine), is registered to one frame in the middle, by dense optical flow that is
smoothed until it is locally affine; what then still differs, in the band between codec noise and the whole face's exposure, is new. Its
variance is compared with that between two frames in succession, which holds the noise of the recording and of the measurement itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.engines.landmark.face_model import RIGID
from livepuppet.evidence.texture import FaceLayout, Texture
from livepuppet.types import Floats
from livepuppet.vision.face_landmarks import Landmarks

FLOW_SMOOTHING_PX = 4.0
"""Of the layout: within about this the registration is affine."""
PASSES = 2
"""The second one registers what the first has left."""
BLUR_PX = 3.0
"""Smaller differences are noise of sensor and codec."""
DARK = 12.0
"""Grey levels added before the logarithm, so that shadows do not count more than light."""
LEVEL = 0.75
"""Share of the skin that changes less than what is reported: light falls on all of it, while a registration slips at single edges."""
LEAST_PAIRS = 8
LEAST_MOTION = 0.008
"""Face widths: a face that moves less shows too little for either answer."""


@dataclass(frozen=True, eq=False)
class NewPixels:
    """What no warp of one frame explains.

    Attributes:
        change: standard deviation over time of the skin's brightness beyond noise, percent; LEVEL of the skin changes less.
        noise: that of two frames in succession, over all the skin, percent.
        motion: how far the landmarks move beyond shifting, turning and scaling as one, face widths.
        moments: how many frames were compared.
        picture: where it changes, percent, (SIDE_PX, SIDE_PX); NaN outside the skin.
    """

    change: float
    noise: float
    motion: float
    moments: int
    picture: NDArray[np.float32]


def measure_new_pixels(pairs: list[tuple[int, Texture, Texture]], landmarks: list[Landmarks], layout: FaceLayout) -> NewPixels | None:
    """None: too few frames, or a face that hardly moves.

    Args:
        pairs: number of a frame, its skin laid flat, and that of the frame after it.
        landmarks: of every frame, by number.
    """
    if len(pairs) < LEAST_PAIRS:
        return None
    shapes = np.stack([normalised_shape(landmarks[number]) for number, _, _ in pairs])
    middle = np.median(shapes, axis=0)
    away = np.sqrt(((shapes - middle) ** 2).sum(2).mean(1))
    motion = float(np.sqrt((away**2).mean()))
    if motion < LEAST_MOTION:
        return None
    reference = pairs[int(away.argmin())][1]
    register = SkinRegistration(reference, layout)
    logs = [(register(first), register(second)) for _, first, second in pairs]
    far = np.stack([first for first, _ in logs])
    near = np.stack([first - second for first, second in logs])
    noise = (near**2).mean(0) / 2
    total = far.var(0)
    skin = layout.skin
    picture = np.where(skin, 100 * np.sqrt(np.maximum(total - noise, 0)), np.nan).astype(np.float32)
    change = float(np.quantile(picture[skin], LEVEL))
    return NewPixels(change, 100 * float(np.sqrt(noise[skin].mean())), motion, len(pairs), picture)


class SkinRegistration:
    """Brings laid-out skin onto a reference; returns its brightness (log), band-passed, exposure taken out."""

    def __init__(self, reference: Texture, layout: FaceLayout) -> None:
        self._reference = reference
        self._skin = layout.skin
        self._weight = layout.covered.astype(np.float32)
        self._spread = cv2.GaussianBlur(self._weight, (0, 0), BLUR_PX) + 1e-6
        self._y, self._x = (axis.astype(np.float32) for axis in np.mgrid[: reference.shape[0], : reference.shape[1]])
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def __call__(self, texture: Texture) -> NDArray[np.float32]:
        flow = np.zeros((*texture.shape, 2), np.float32)
        moved = texture
        for _ in range(PASSES):
            found = self._flow.calc(self._reference, moved, None)  # type: ignore[call-overload]
            step = np.asarray(cv2.GaussianBlur(found, (0, 0), FLOW_SMOOTHING_PX), dtype=np.float32)
            flow = step + self._shifted(flow, step)
            moved = np.asarray(self._shifted(texture, flow), dtype=np.uint8)
        bright = np.log(moved.astype(np.float32) + DARK)
        smooth = cv2.GaussianBlur(bright * self._weight, (0, 0), BLUR_PX) / self._spread
        return np.asarray(smooth - smooth[self._skin].mean(), dtype=np.float32)

    def _shifted(self, values: NDArray[Any], flow: NDArray[np.float32]) -> NDArray[np.float32]:
        """values[x + flow]."""
        at = self._x + flow[..., 0], self._y + flow[..., 1]
        return np.asarray(cv2.remap(values, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def normalised_shape(landmarks: Landmarks) -> Floats:
    """The landmarks in the plane, (468, 2), with place, size and tilt of the bone's points taken out; unit: face width."""
    points = landmarks[:468, :2]
    bone = points[RIGID]
    middle = bone.mean(0)
    eyes = points[263] - points[33]
    size = float(np.sqrt(((bone - middle) ** 2).sum(1).mean())) * 2.6
    cosine, sine = eyes / max(float(np.linalg.norm(eyes)), 1e-6)
    turn = np.array([[cosine, sine], [-sine, cosine]])
    return np.asarray((points - middle) @ turn.T / max(size, 1e-6), dtype=np.float64)
