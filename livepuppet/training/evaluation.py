"""Held-out figures: how well a clip is rebuilt from its first frame and the motion of the others.

l1: mean absolute difference of pictures in 0 … 1 (FOMM, section 4, "L1"). still: L1 of leaving the first frame as it is.
akd: mean distance in pixels of face landmarks between rebuilt and real frames, where a face is found in both (478 MediaPipe points; the
paper used 68 of another detector, so compare within this table only).
identity: 1 - cosine of two HOG descriptors of the face, turned upright and scaled by its eyes to 96 x 96. It stands in for the paper's
AED, whose embedding is trained on photos of people; it sees the shape and shading of a face, not whose it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from livepuppet.engines.fomm.networks.checkpoint import FommModel
from livepuppet.engines.fomm.networks.keypoints import Keypoints
from livepuppet.synthetic.clips import Clip
from livepuppet.training.dataset import FrameStore, TrainingClip, square_crop
from livepuppet.types import Image
from livepuppet.vision.face_landmarks import FaceTracker

EYES = ((33, 133), (362, 263))
"""Corners of the eye on the picture's left, and on its right, in the face mesh."""
FACE_PX = 96


@dataclass(frozen=True)
class EvaluationResult:
    """akd and identity are nan where no face was found.

    Attributes:
        frames: how many were rebuilt.
        found: in how many both had a face.
    """

    l1: float
    still: float
    akd: float
    identity: float
    frames: int
    found: int

    def tree(self) -> dict[str, Any]:
        return asdict(self)


def images_of(footage: TrainingClip, size: int, most: int) -> list[Image]:
    """At most `most` frames, evenly spaced, the first included."""
    if footage.synthetic:
        images: list[Image] = [square_crop(image, size) for image in Clip.load(footage.path).images]
    else:
        frames = FrameStore.load(footage.path)
        images = [square_crop(frames.image(index), size) for index in range(len(frames))]
    chosen = np.unique(np.linspace(0, len(images) - 1, min(most, len(images))).round().astype(int))
    return [images[index] for index in chosen]


def upright_face(image: Image, landmarks: NDArray[np.float64]) -> Image:
    """The face with its eyes level, 96 x 96."""
    left, right = (landmarks[list(corners), :2].mean(0) for corners in EYES)
    across = right - left
    scale = 0.42 * FACE_PX / max(float(np.linalg.norm(across)), 1e-6)
    cosine, sine = scale * across / max(float(np.linalg.norm(across)), 1e-6)
    middle = (left + right) / 2
    turn = np.array([[cosine, sine], [-sine, cosine]])
    shift = np.array([FACE_PX / 2, 0.36 * FACE_PX]) - turn @ middle
    return np.asarray(cv2.warpAffine(image, np.column_stack([turn, shift]), (FACE_PX, FACE_PX), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def descriptor(face: Image) -> NDArray[np.float64]:
    """HOG (Dalal, Triggs, CVPR 2005): 8 px cells, 16 px blocks, 9 bins; unit length, mean removed."""
    hog = cv2.HOGDescriptor((FACE_PX, FACE_PX), (16, 16), (8, 8), (8, 8), 9)
    values = np.asarray(hog.compute(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)), np.float64).reshape(-1)
    values -= values.mean()
    return np.asarray(values / max(float(np.linalg.norm(values)), 1e-9))


def compare_faces(made: Image, real: Image, tracker: FaceTracker) -> tuple[float, float] | None:
    """(landmark distance in pixels, identity distance); None unless a face is found in each. The tracker looks at each picture afresh."""
    one, other = (tracker.track(image) for image in (made, real))
    if one is None or other is None:
        return None
    distance = float(np.linalg.norm(one[:, :2] - other[:, :2], axis=1).mean())
    a, b = descriptor(upright_face(made, one)), descriptor(upright_face(real, other))
    return distance, 1 - float(a @ b)


@torch.no_grad()
def rebuild(model: FommModel, images: list[Image]) -> list[Image]:
    """Every image but the first, from the first and its own keypoints (absolute motion, as the paper evaluates reconstruction)."""
    device = next(model.generator.parameters()).device

    def tensor(image: Image) -> torch.Tensor:
        return torch.from_numpy(image).to(device).permute(2, 0, 1)[None].float() / 255

    source = tensor(images[0])
    at_rest: Keypoints = model.detector(source)
    features = model.generator.encode(source)
    small = model.generator.dense_motion_network.down(source)
    out = []
    for image in images[1:]:
        motion = model.generator.dense_motion_network.estimate(small, at_rest, model.detector(tensor(image)))
        made = model.generator.decode(features, motion.deformation, motion.occlusion)[0]
        out.append((made.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy())
    return out


def evaluate(model: FommModel, clips: Iterable[TrainingClip], size: int, *, frames: int = 16, faces: bool = True) -> EvaluationResult:
    """Mean over clips of the mean over their frames. The model must be in eval mode."""
    l1, still, akd, identity = [], [], [], []
    count = found = 0
    tracker = FaceTracker(static=True) if faces else None
    for footage in clips:
        images = images_of(footage, size, frames)
        made = rebuild(model, images)
        l1.append(np.mean([np.abs(a.astype(float) - b).mean() / 255 for a, b in zip(made, images[1:], strict=True)]))
        still.append(np.mean([np.abs(images[0].astype(float) - b).mean() / 255 for b in images[1:]]))
        count += len(made)
        if tracker is not None:
            compared = [pair for a, b in zip(made, images[1:], strict=True) if (pair := compare_faces(a, b, tracker)) is not None]
            found += len(compared)
            if compared:
                akd.append(np.mean([distance for distance, _ in compared]))
                identity.append(np.mean([difference for _, difference in compared]))

    if tracker is not None:
        tracker.close()

    def mean(values: list[Any]) -> float:
        return float(np.mean(values)) if values else float("nan")

    return EvaluationResult(mean(l1), mean(still), mean(akd), mean(identity), count, found)
