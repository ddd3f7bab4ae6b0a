"""HDR video made into what an SDR screen shows: reference white becomes white, highlights are rolled off, BT.2020 becomes BT.709."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.types import Image

PQ, HLG = 16, 18
"""Codes of ITU-T H.273 for the transfer characteristics of SMPTE ST 2084 and ARIB STD-B67."""
BT2020 = 9
"""Code of ITU-T H.273 for primaries and matrix of BT.2020."""

WHITE_NITS = 203.0
"""Diffuse white of HDR video (ITU-R BT.2408, 2.2): where SDR has its white."""
PEAK_NITS = 1000.0
"""Of the display that HLG is graded on (ITU-R BT.2100, table 5, note 5e)."""
KNEE = 0.8
"""Linear light up to which nothing changes; what is brighter shares the rest."""
GAMMA = 2.4
"""Of an SDR display (ITU-R BT.1886)."""
STEPS = 4096
"""Code values: 12 bits."""

BT2020_TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)
"""Linear light (ITU-R BT.2087, 4.2, inverted)."""
LUMINANCE = (0.2627, 0.6780, 0.0593)


def is_wide(transfer: int, primaries: int) -> bool:
    """Whether video of these codes is HDR, or has colours that an SDR screen has not."""
    return transfer in {PQ, HLG} or primaries == BT2020


def to_sdr(image: NDArray[np.uint16], transfer: int) -> Image:
    """RGB uint16 (H, W, 3), below STEPS, in the video's own transfer and BT.2020 primaries -> RGB uint8 (H, W, 3) for SDR screens."""
    light = np.take(to_linear_light(transfer), image)
    if transfer == HLG:  # what the camera saw -> what the display shows (BT.2100, table 5)
        luminance = cv2.transform(light, np.array([LUMINANCE], np.float32))
        light *= (PEAK_NITS / WHITE_NITS) * cv2.pow(luminance, 0.2)[..., None]
    light = np.maximum(np.asarray(cv2.transform(light, BT2020_TO_BT709), np.float32), 0)
    if transfer in {PQ, HLG}:
        brightest = cv2.max(cv2.max(light[..., 0], light[..., 1]), light[..., 2])
        bright = brightest > KNEE
        peaks = brightest[bright]
        light[bright] *= ((1 - (1 - KNEE) * np.exp((KNEE - peaks) / (1 - KNEE))) / peaks)[:, None]
    shown: NDArray[np.float32] = np.asarray(cv2.pow(np.minimum(light, 1), 1 / GAMMA), np.float32)
    return np.asarray(np.rint(shown * 255), np.uint8)


@lru_cache(maxsize=4)
def to_linear_light(transfer: int) -> NDArray[np.float32]:
    """Linear light of STEPS code values: 1 is diffuse white; for HLG what the camera saw, 1 at most."""
    code = np.arange(STEPS) / (STEPS - 1)
    if transfer == PQ:  # BT.2100, table 4
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        root = code ** (1 / m2)
        light = 10_000 / WHITE_NITS * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
    elif transfer == HLG:  # BT.2100, table 5
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    else:
        light = code**GAMMA
    return np.asarray(light, np.float32)
