"""Paintings, drawings and old photographs: one look, drawn once, then applied to every frame of a clip alike.

Filters on RGB uint8 (H, W, 3). A look's grain and canvas stand still while the face moves, as they do when a painting is puppeteered; sizes
are shares of the picture's height.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.errors import UsageError
from livepuppet.types import Image

Generator = np.random.Generator
Plane = NDArray[np.float32]
Look = Callable[[Image], Image]


def to_image(picture: NDArray[np.floating[Any]]) -> Image:
    return np.ascontiguousarray(picture.clip(0, 255).round().astype(np.uint8))


def blurred(picture: Plane, sigma: float) -> Plane:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), max(sigma, 0.3)), np.float32)


def grey(picture: Image) -> Plane:
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)


def grain(rng: Generator, shape: tuple[int, ...], sigma: float) -> Plane:
    """Normal noise blurred over `sigma` pixels and brought back to unit strength, (H, W)."""
    noise = blurred(rng.normal(0, 1, shape[:2]).astype(np.float32), sigma)
    return np.asarray(noise / max(float(noise.std()), 1e-6), np.float32)


def kuwahara(picture: Image, radius: int) -> Plane:
    """The mean of the calmest of four quadrants around each pixel (Kuwahara et al., 1976): flat patches with sharp edges."""
    values = picture.astype(np.float32)
    brightness = values.mean(2)
    size = (radius + 1, radius + 1)
    means, spreads = [], []
    for anchor in ((0, 0), (radius, 0), (0, radius), (radius, radius)):
        mean = cv2.blur(brightness, size, anchor=anchor)
        spreads.append(cv2.blur(brightness**2, size, anchor=anchor) - mean**2)
        means.append(cv2.blur(values, size, anchor=anchor))
    calmest = np.argmin(np.stack(spreads), axis=0)
    return np.asarray(np.take_along_axis(np.stack(means), calmest[None, ..., None], axis=0)[0], np.float32)


def draw_curve(rng: Generator, strength: float = 0.13) -> NDArray[np.float32]:
    """A monotone tone curve per channel, (256, 3)."""
    knots = np.linspace(0, 1, 6)
    curves = [np.interp(np.arange(256) / 255, knots, np.sort(knots + rng.normal(0, strength, 6)).clip(0, 1)) for _ in range(3)]
    return (255 * np.stack(curves, -1)).astype(np.float32)


def toned(picture: Image, curve: NDArray[np.float32]) -> Plane:
    return np.stack([curve[picture[..., channel], channel] for channel in range(3)], -1)


def draw_oil(rng: Generator) -> Look:
    """Brush patches, a palette of its own, strokes catching the light, canvas."""
    coarse, curve, seed = rng.uniform(0.007, 0.013), draw_curve(rng), int(rng.integers(1 << 30))

    def look(picture: Image) -> Image:
        height = picture.shape[0]
        painted = toned(to_image(kuwahara(picture, max(2, round(coarse * height)))), curve)
        strokes = cv2.blur(grain(np.random.default_rng(seed), picture.shape, 0.004 * height), (max(3, height // 28), 1))
        weave = np.sin(np.arange(picture.shape[1]) * 1.5)[None] * np.sin(np.arange(height) * 1.5)[:, None]
        return to_image(painted + (9 * strokes + 2.5 * weave)[..., None])

    return look


def draw_watercolour(rng: Generator) -> Look:
    """Light washes with dark rims on rough paper."""
    wash, seed = rng.uniform(0.009, 0.017), int(rng.integers(1 << 30))
    paper_tint = np.array([252, 248, 240]) * rng.uniform(0.95, 1.0)

    def look(picture: Image) -> Image:
        height = picture.shape[0]
        own = np.random.default_rng(seed)
        flat = kuwahara(picture, max(2, round(wash * height)))
        shift = 0.003 * height * np.stack([grain(own, picture.shape, 0.02 * height) for _ in range(2)], -1)
        y, x = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32)
        to_x, to_y = (x + shift[..., 0]).astype(np.float32), (y + shift[..., 1]).astype(np.float32)
        warped = cv2.remap(flat, to_x, to_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        brightness = warped.mean(2).astype(np.float32)
        rim = np.clip(blurred(brightness, 0.012 * height) - brightness, -30, 30) / 90
        pigment = (1 - warped / 255) * (0.85 + rim + 0.06 * grain(own, picture.shape, 0.03 * height))[..., None]
        paper = paper_tint * (1 + 0.02 * grain(own, picture.shape, 0.004 * height))[..., None]
        return to_image(paper * (1 - pigment.clip(0, 1)))

    return look


def draw_pencil(rng: Generator) -> Look:
    """Graphite: lines where brightness changes, hatching in the shade."""
    paper, seed, angle = rng.uniform(0.85, 1.0, 3), int(rng.integers(1 << 30)), rng.uniform(0.5, 1.1)

    def look(picture: Image) -> Image:
        height = picture.shape[0]
        tone = grey(picture)
        line = tone / np.maximum(255 - blurred(255 - tone, 0.02 * height), 1)
        y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
        phase = (x * np.cos(angle) + y * np.sin(angle)) * (2 * np.pi / max(3.0, 0.012 * height))
        hatch = 0.5 + 0.5 * np.sin(phase + 1.5 * grain(np.random.default_rng(seed), picture.shape, 0.01 * height))
        shade = np.clip((150 - tone) / 150, 0, 1) * hatch
        rough = 1 + 0.03 * grain(np.random.default_rng(seed + 1), picture.shape, 0.6)
        return to_image((255 * np.minimum(line * 1.15, 1) * (1 - 0.55 * shade) * rough)[..., None] * paper)

    return look


def draw_toon(rng: Generator) -> Look:
    """Few flat tones and ink lines."""
    levels = int(rng.integers(4, 8))

    def look(picture: Image) -> Image:
        smooth = cv2.bilateralFilter(picture, 7, 60, 7)
        step = 256 / levels
        flat = (np.floor(smooth / step) + 0.5) * step
        block = max(5, round(picture.shape[0] / 28)) | 1
        tone = cv2.medianBlur(cv2.cvtColor(smooth, cv2.COLOR_RGB2GRAY), 3)
        ink = cv2.adaptiveThreshold(tone, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, block, 6) / 255
        return to_image(flat * (0.1 + 0.9 * ink[..., None]))

    return look


def draw_tint(rng: Generator) -> Look:
    """A photograph with odd colours, or with one only."""
    curve, single, tint = draw_curve(rng), rng.uniform() < 0.5, rng.uniform(0.6, 1, 3)

    def look(picture: Image) -> Image:
        return to_image(toned(to_image(grey(picture)[..., None] * tint) if single else picture, curve))

    return look


def draw_old(rng: Generator) -> Look:
    """Brown, soft, grainy."""
    seed, strength = int(rng.integers(1 << 30)), rng.uniform(5, 11)

    def look(picture: Image) -> Image:
        soft = blurred(grey(picture), 0.005 * picture.shape[0])[..., None] * np.array([1.0, 0.88, 0.72]) * 0.85 + 25
        return to_image(soft + strength * grain(np.random.default_rng(seed), picture.shape, 0.5)[..., None])

    return look


def draw_marble(rng: Generator) -> Look:
    """Shading without colour: a statue."""
    tint = rng.uniform(0.8, 1, 3)

    def look(picture: Image) -> Image:
        tone = grey(picture)
        return to_image((tone / (blurred(tone, 0.07 * picture.shape[0]) + 8) * 120)[..., None] * tint)

    return look


def draw_photo(rng: Generator) -> Look:
    return lambda picture: picture


LOOKS: dict[str, Callable[[Generator], Look]] = {
    "photo": draw_photo,
    "oil": draw_oil,
    "watercolour": draw_watercolour,
    "pencil": draw_pencil,
    "toon": draw_toon,
    "tint": draw_tint,
    "old": draw_old,
    "marble": draw_marble,
}
SHARES = (0.62, 0.09, 0.05, 0.05, 0.06, 0.06, 0.04, 0.03)
"""How often each is drawn when none is asked for."""


def draw_look(rng: Generator, name: str | None = None) -> tuple[str, Look]:
    """A look and its name; None draws one, mostly 'photo'.

    Raises:
        UsageError: naming the known ones.
    """
    chosen = name or str(rng.choice(list(LOOKS), p=SHARES))
    if chosen not in LOOKS:
        raise UsageError(f"no look named '{chosen}': choose one of {', '.join(LOOKS)}")
    return chosen, LOOKS[chosen](rng)
