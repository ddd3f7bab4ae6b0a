"""What a puppet does while nobody drives it: it breathes, sways a little and blinks."""

from __future__ import annotations

import numpy as np

from livepuppet.engines.landmark.eyes import EYES_SIZE
from livepuppet.engines.landmark.face_model import COUNT
from livepuppet.engines.landmark.lattice import lattice_shift
from livepuppet.types import Floats

BREATH_HZ = 0.23
BLINK_EVERY_SECONDS = 4.1
BLINK_SECONDS = 0.32


def sway(seconds: float) -> Floats:
    """The pose (POSE_SIZE,), see retarget: under a degree, under 1 % of the face; slow waves whose periods never meet."""
    wave = 2 * np.pi * seconds * np.array([BREATH_HZ, 0.071, 0.113, 0.047, 0.089])
    breath, *slow = np.sin(wave)
    turn = np.radians([0.35 * breath + 0.3 * slow[0], 0.8 * slow[1], 0.35 * slow[2]])
    return np.concatenate([turn, [0.004 * slow[3], 0.004 * breath, 0.002 * breath], lattice_shift(np.array([0.0, 0.006 * breath]))])


def blink(seconds: float) -> float:
    """How far the lids are shut, 0 … 1, smooth; the pauses between blinks vary by a third."""
    phase = seconds + 0.7 * np.sin(seconds * 0.9)
    into = phase % BLINK_EVERY_SECONDS - (BLINK_EVERY_SECONDS - BLINK_SECONDS)
    return float(np.sin(np.pi * into / BLINK_SECONDS) ** 2) if into > 0 else 0.0


def idle_vectors(seconds: float) -> tuple[Floats, Floats]:
    """Pose and expression of the avatar's idle motion at this time."""
    expression = np.zeros(COUNT * 3 + EYES_SIZE)
    expression[COUNT * 3 : COUNT * 3 + 2] = blink(seconds)
    return sway(seconds), expression
