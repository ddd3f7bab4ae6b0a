"""What tests of training share: small clips with a known motion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.synthetic.clips import Clip
from livepuppet.synthetic.truth import Truth as ClipTruth
from livepuppet.training.recipe import RECIPES
from livepuppet.training.settings import DiscriminatorShape

CLIP_SIZE = 64


def moving_pattern(frames: int, height: int, width: int, seed: int = 0) -> list[NDArray[np.uint8]]:
    """A smooth texture that slides a little every frame."""
    texture = np.random.default_rng(seed).uniform(0, 255, (height, width + 4 * frames, 3)).astype(np.float32)
    texture = np.asarray(cv2.GaussianBlur(texture, (0, 0), 3), np.float32)
    texture = (texture - texture.min()) / (texture.max() - texture.min()) * 255
    return [np.ascontiguousarray(texture[:, 4 * i : 4 * i + width]).astype(np.uint8) for i in range(frames)]


def write_frames_as_video(path: Path, images: list[NDArray[np.uint8]], codec: str = "libx264") -> None:
    import av  # here, since tests on a GPU need the clips and may lack the video library

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def write_frames_as_images(folder: Path, images: list[NDArray[np.uint8]], suffix: str = ".png") -> None:
    folder.mkdir(parents=True)
    for i, image in enumerate(images):
        cv2.imwrite(str(folder / f"{i:05d}{suffix}"), image[..., ::-1])


def sliding_clip(shift: int = 8, size: int = CLIP_SIZE, frames: int = 3) -> Clip:
    """A synthetic clip made by hand: every frame shows the texture `shift` pixels further along, and its truth says so."""
    wide = moving_pattern(1, size, size + shift * frames, seed=3)[0]
    images = np.stack([wide[:, shift * i : shift * i + size] for i in range(frames)])
    cells = size // 4
    middle = (np.arange(cells) + 0.5) * 4
    flow = np.zeros((frames, frames, cells, cells, 2), np.float32)
    for d in range(frames):
        for s in range(frames):
            flow[d, s, ..., 0], flow[d, s, ..., 1] = middle[None] + shift * (d - s), middle[:, None]
    seen = (flow[..., 0] >= 2) & (flow[..., 0] <= size - 2)
    landmarks = np.stack([np.linspace([size * 0.6 - shift * i, 10], [size * 0.7 - shift * i, size - 10], 16) for i in range(frames)])
    frame = np.broadcast_to(np.array([[30.0, 4.0], [-2.0, 28.0]]), (frames, 16, 2, 2))
    truth = ClipTruth(flow, seen, np.ones((frames, cells, cells), bool), landmarks.astype(np.float32), frame.astype(np.float32))
    return Clip(np.ascontiguousarray(images), truth, np.zeros((frames, 52), np.float32), "photo")


TINY = RECIPES["tiny-64"]


SMALL_RECIPE = replace(
    TINY,
    model=replace(TINY.model, size=32),
    discriminator=DiscriminatorShape(block_expansion=4, max_features=16, num_blocks=2, sn=True, use_kp=True),
    weights=replace(TINY.weights, feature_matching=(2.0, 2.0)),
    own=replace(TINY.own, steps=6, motion_first=0.0, adversarial_from=0.5, warm_up=0),
    scales=(1.0, 0.5),
    batch_size=2,
)
