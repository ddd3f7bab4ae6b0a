"""Light that enters skin here leaves it a little further on, red furthest."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from livepuppet.synthetic.looks import blurred
from livepuppet.synthetic.setting import Camera

PROFILE = (
    ((0.030, 0.45), (0.010, 0.25)),
    ((0.010, 0.35), (0.005, 0.15)),
    ((0.005, 0.30),),
)
"""For red, green and blue: Gaussians by their standard deviation in dm and their share of the light; the rest does not spread."""


def scattered(light: Tensor, flesh: Tensor, large: tuple[int, int], small: tuple[int, int], camera: Camera) -> Tensor:
    """Light that falls on skin, spread as a sum of Gaussians in the picture, only over skin: (P, 3) -> (P, 3).

    light (P, 3), flesh (P,): of a picture of size `large` (width, height); the spreading is done at size `small`. After d'Eon, Luebke,
    Enderton, "Efficient rendering of human skin", EGSR 2007.
    """
    received = np.asarray(light.view(large[1], large[0], 3).numpy(), np.float32)
    skin = np.asarray(flesh.view(large[1], large[0]).numpy(), np.float32)
    pixels_per_dm = small[1] / camera.height_seen
    small_light = np.asarray(cv2.resize(received * skin[..., None], small, interpolation=cv2.INTER_AREA), np.float32)
    small_skin = np.asarray(cv2.resize(skin, small, interpolation=cv2.INTER_AREA), np.float32)
    out = received.copy()
    for channel, gaussians in enumerate(PROFILE):
        spread = np.zeros(small_skin.shape, np.float32)
        for deviation, share in gaussians:
            sigma = deviation * pixels_per_dm
            covered = np.maximum(blurred(small_skin, sigma), 1e-3)
            spread += share * blurred(small_light[..., channel], sigma) / covered
        total = sum(share for _, share in gaussians)
        enlarged = cv2.resize(spread, large, interpolation=cv2.INTER_LINEAR)
        out[..., channel] = received[..., channel] * (1 - total * skin) + enlarged * skin
    return torch.from_numpy(out).view(-1, 3)
