"""What rooms and paintings are drawn with: colours, soft edges, noise, brush directions, paper."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.synthetic.looks import Plane, blurred, grey, kuwahara
from livepuppet.types import Image

Generator = np.random.Generator
Picture = NDArray[np.float32]
"""(H, W, 3)."""
Numbers = NDArray[np.floating[Any]]

DISPLAY_GAMMA = 2.2
TONE_STEP = 15.0
"""Lightness, of 255, from one flat tone to the next."""


def linear_colour(digits: str) -> NDArray[np.float32]:
    """'rrggbb' -> linear light, (3,) in 0 … 1: a display's power law of 2.2."""
    shown = np.array(list(bytes.fromhex(digits)), np.float32) / 255
    return np.asarray(shown**DISPLAY_GAMMA, np.float32)


def smooth_step(low: float, high: float, x: Numbers) -> Plane:
    """0 below `low`, 1 above `high` (the other way round when low > high), 3t² - 2t³ between; the shape of x."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def logistic(x: Numbers) -> Plane:
    """1 / (1 + exp(-x)): 0 far below zero, 1 far above; the shape of x."""
    return np.asarray(1 / (1 + np.exp(-x)), np.float32)


def white_noise(rng: Generator, shape: tuple[int, ...]) -> Plane:
    """Independent standard normal values, (H, W)."""
    return rng.normal(0, 1, shape[:2]).astype(np.float32)


def soft_noise(rng: Generator, shape: tuple[int, ...], sigma: float) -> Plane:
    """White noise blurred over `sigma` pixels, (H, W); the blur leaves about 0.28 / sigma of its strength."""
    return blurred(white_noise(rng, shape), sigma)


def paper_grain(rng: Generator, shape: tuple[int, ...]) -> Plane:
    """The tooth of drawing paper at three sizes, (H, W), about -2 … 2."""
    noise = white_noise(rng, shape)
    return np.asarray(1.6 * blurred(noise, 1.0) + 3 * blurred(noise, 2.6) + 4 * blurred(noise, 7.0), np.float32)


def pixel_grid(shape: tuple[int, ...]) -> tuple[Plane, Plane]:
    """Column and row of every pixel, (H, W) each."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return columns.astype(np.float32), rows.astype(np.float32)


def resampled(picture: Plane, x: Plane, y: Plane) -> Plane:
    """`picture` (H, W) or (H, W, 3) read at pixel coordinates x, y (H, W); beyond its border, the nearest pixel."""
    return np.asarray(cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def stroke_directions(picture: Image, sigma: float) -> Plane:
    """Along the forms: the angle in which RGB uint8 (H, W, 3) changes least, (H, W) in radians.

    The minor eigenvector of the structure tensor, smoothed over `sigma` pixels (Förstner and Gülch, 1987).
    """
    brightness = grey(picture)
    across = cv2.Scharr(brightness, cv2.CV_32F, 1, 0)
    down = cv2.Scharr(brightness, cv2.CV_32F, 0, 1)
    xx = blurred(np.asarray(across * across, np.float32), sigma)
    xy = blurred(np.asarray(across * down, np.float32), sigma)
    yy = blurred(np.asarray(down * down, np.float32), sigma)
    return np.asarray(0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2, np.float32)


def smeared(picture: Numbers | Image, angle: Plane, steps: int) -> Plane:
    """The mean over `steps` pixels both ways along the strokes: line integral convolution (Cabral and Leedom, 1993).

    picture: (H, W) or (H, W, 3). angle: (H, W) in radians; a stroke has no head, so angles that differ by pi are the same.
    """
    values = np.asarray(picture, np.float32)
    field = (np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32))
    total = values.copy()
    for way in (1, -1):
        x, y = pixel_grid(values.shape)
        along_x, along_y = way * field[0], way * field[1]
        for _ in range(steps):
            x = x + along_x
            y = y + along_y
            along_x, along_y = followed(field, x, y, along_x, along_y)
            total += resampled(values, x, y)
    return np.asarray(total / (2 * steps + 1), np.float32)


def followed(field: tuple[Plane, Plane], x: Plane, y: Plane, along_x: Plane, along_y: Plane) -> tuple[Plane, Plane]:
    """The field's direction at x, y, turned to go on the way one came."""
    next_x, next_y = resampled(field[0], x, y), resampled(field[1], x, y)
    same_way = np.where(next_x * along_x + next_y * along_y < 0, np.float32(-1), np.float32(1))
    return next_x * same_way, next_y * same_way


def flattened(image: Image, coarse: int, fine: int) -> Plane:
    """Patches of one colour, tidied by smaller ones: Kuwahara's filter of two radii, (H, W, 3) in 0 … 255."""
    return kuwahara(kuwahara(image, coarse).astype(np.uint8), fine)


def flat_tones(image: Image) -> Picture:
    """Few tones with soft borders and stronger colours: (H, W, 3) in 0 … 255.

    Lightness of CIE L*a*b* is drawn to the middle of its step along a logistic curve (Winnemöller et al., 2006).
    """
    smooth = image
    for _ in range(3):
        smooth = np.asarray(cv2.bilateralFilter(smooth, 11, 34, 7), np.uint8)
    lab = cv2.cvtColor(kuwahara(smooth, 4).clip(0, 255).astype(np.uint8), cv2.COLOR_RGB2LAB).astype(np.float32)
    steps = lab[..., 0] / TONE_STEP
    whole = np.floor(steps)
    stepped = TONE_STEP * (whole + logistic(13 * (steps - whole - 0.5)))
    lab[..., 0] = 0.55 * stepped + 0.45 * lab[..., 0]
    lab[..., 1:] = 128 + (lab[..., 1:] - 128) * 1.25
    return cv2.cvtColor(lab.clip(0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB).astype(np.float32)


def wandered(picture: Picture, rng: Generator) -> Picture:
    """Borders a hand would draw: every pixel taken from a little beside it."""
    aside, below = 30 * soft_noise(rng, picture.shape, 7), 30 * soft_noise(rng, picture.shape, 7)
    x, y = pixel_grid(picture.shape)
    return np.asarray(cv2.remap(picture, x + aside, y + below, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.float32)


def pencil_line(image: Image) -> Plane:
    """Where the picture is darker than around it: a difference of Gaussians, (H, W) in 0 … 1."""
    tone = grey(image)
    darker = blurred(tone, 2.6) - blurred(tone, 1.1)
    return np.asarray(np.clip(darker - 1.6, 0, 9) / 9, np.float32)


def evened(tone: Plane) -> Plane:
    """Local contrast made alike (CLAHE: Zuiderveld, 1994): (H, W) in 0 … 255 -> 0 … 1."""
    equalised = cv2.createCLAHE(1.6, (6, 6)).apply(tone.clip(0, 255).astype(np.uint8))
    return np.asarray(equalised.astype(np.float32) / 255, np.float32)


def dodged(tone: Plane) -> Plane:
    """The darkroom's way to a line drawing, "colour dodge": a tone (H, W) over its own blur, 1 where nothing changes."""
    return np.asarray(tone / (255 - blurred(255 - tone, 5) + 1e-3), np.float32)


def voronoi_cells(points: NDArray[np.float64], width: int, height: int) -> list[NDArray[np.float32]]:
    """The outline (n, 2) of the cell around each of `points` (P, 2), all within the picture; outlines may reach beyond it."""
    division = cv2.Subdiv2D((0, 0, width, height))
    for x, y in points:
        division.insert((float(x), float(y)))
    outlines, _ = division.getVoronoiFacetList([])
    return [np.asarray(outline, np.float32) for outline in outlines]


def craquelure(rng: Generator, shape: tuple[int, ...], cells: int = 900) -> Plane:
    """The cracks of old varnish: borders between cells, a little ragged, (H, W) in 0 … 1."""
    height, width = shape[:2]
    cracks = np.zeros((height, width), np.uint8)
    points = rng.uniform(0, 1, (cells, 2)) * [width, height]
    for outline in voronoi_cells(points, width, height):
        ragged = np.round(outline + rng.normal(0, 0.6, outline.shape)).astype(np.int32)
        cv2.polylines(cracks, [ragged], True, (255,), 1, cv2.LINE_AA)
    return blurred(cracks.astype(np.float32) / 255, 0.6)


def to_bytes(picture: Numbers) -> Image:
    """Shares of full brightness -> uint8, rounded down."""
    return np.ascontiguousarray(np.clip(picture * 255, 0, 255).astype(np.uint8))
