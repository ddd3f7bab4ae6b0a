"""How the shipped people are developed and painted: as a photograph, in oil, watercolour, pencil or flat colour with ink.

Each picture once, at leisure: unlike `livepuppet.synthetic.looks`, which must be quick and alike on every frame of a clip. Sizes are
pixels of a picture about 1024 wide. Pictures are RGB; the same seed paints the same picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.synthetic.looks import Plane, blurred, grey, kuwahara
from livepuppet.types import Image
from tools.demo_assets.strokes import (
    Generator,
    Numbers,
    Picture,
    craquelure,
    dodged,
    evened,
    flat_tones,
    flattened,
    logistic,
    paper_grain,
    pencil_line,
    pixel_grid,
    smeared,
    smooth_step,
    soft_noise,
    stroke_directions,
    to_bytes,
    wandered,
    white_noise,
)  # fmt: skip

LUMINANCE = np.array([0.25, 0.6, 0.15], np.float32)
"""How bright a colour looks to the film, which sees less of green than an eye does."""


def developed(linear: NDArray[np.float32], exposure: float = 0.80, saturation: float = 0.90) -> Image:
    """Linear light (H, W, 3) -> RGB uint8 (H, W, 3), as film would show it.

    A curve with a soft shoulder (equation 4 of Reinhard et al., 2002, with the square of white at 9 and the denominator weaker), the sRGB
    transfer function (IEC 61966-2-1), and a slight S around middle grey.
    """
    exposed = np.maximum(linear * exposure, 0)
    luminance = (exposed @ LUMINANCE)[..., None]
    coloured = np.maximum(luminance + saturation * (exposed - luminance), 0)
    toned = np.clip(coloured * (1 + coloured / 9) / (1 + coloured * 0.42), 0, 1)
    power = 1.055 * np.power(np.maximum(toned, 1e-6), 1 / 2.4) - 0.055
    encoded = np.where(toned < 0.0031308, 12.92 * toned, power)
    contrasted = encoded + 0.018 * np.sin((encoded - 0.5) * 2 * np.pi)
    return np.ascontiguousarray((np.clip(contrasted, 0, 1) * 255 + 0.5).astype(np.uint8))


# ---------------------------------------------------------------- oil

GLAZE = np.array([1.04, 0.93, 0.74])
"""Yellowed varnish."""
HAZE = 0.035 * np.array([1.0, 0.7, 0.35])
"""What dark paint still reflects."""
THREAD = 4.2
"""Pixels from one thread of the canvas to the next."""


def oil(image: Image, detail: NDArray[np.float32], seed: int) -> Image:
    """An old master's portrait: brush strokes along the forms, thick paint catching the light, varnish, canvas, fine cracks.

    image: RGB uint8 (H, W, 3), and so is the result. detail: (H, W) from 0, the broad brush, to 1, the finest.
    """
    rng = np.random.default_rng(seed)
    fineness = np.asarray(detail, np.float32)[..., None]
    wandering = 3.3 * soft_noise(rng, image.shape, 30) * (1 - detail)
    angle = np.asarray(stroke_directions(image, 11) + wandering, np.float32)
    bristles = smeared(2.4 * soft_noise(rng, image.shape, 1.1), angle, 13)
    strokes = 3.2 * bristles * (1 - 0.78 * np.clip(detail * 1.6, 0, 1))
    relief = cv2.Sobel(strokes, cv2.CV_32F, 1, 0) + cv2.Sobel(strokes, cv2.CV_32F, 0, 1)
    paint = brushed(image, fineness, angle) * (1 + 0.055 * strokes[..., None])
    lit = paint + 4 * relief[..., None] * (1 - 0.6 * fineness)
    varnished = under_varnish(np.clip(lit / 255, 0, 1))
    return to_bytes(1.08 * aged(varnished, rng))


def brushed(image: Image, fineness: Picture, angle: Plane) -> Picture:
    """Three brushes, each blended into the next: broad where fineness (H, W, 1) is 0, middle at 0.5, fine at 1. (H, W, 3) in 0 … 255."""
    broad = smeared(flattened(image, 11, 7), angle, 14)
    middle = smeared(flattened(image, 6, 4), angle, 6)
    fine = 0.55 * smeared(kuwahara(image, 2), angle, 2) + 0.45 * image
    to_middle = np.clip(2 * fineness, 0, 1)
    to_fine = np.clip(2 * fineness - 1, 0, 1)
    coarse = broad * (1 - to_middle) + middle * to_middle
    return np.asarray(coarse * (1 - to_fine) + fine * to_fine, np.float32)


def under_varnish(paint: Numbers) -> Numbers:
    """Paint (H, W, 3) in 0 … 1, warmed by varnish and darker towards the corners."""
    height, width = paint.shape[:2]
    warm = paint**1.04 * GLAZE
    warm = warm + HAZE * (1 - warm)
    across, down = np.linspace(-1, 1, width)[None], np.linspace(-1, 1, height)[:, None]
    outside = np.clip(np.sqrt(across**2 + down**2) - 0.45, 0, 1)
    return np.asarray(warm * (1 - 0.42 * outside**1.3)[..., None])


def aged(paint: Numbers, rng: Generator) -> Numbers:
    """The canvas showing through unevenly, and cracks, stronger in some places than in others."""
    height, width = paint.shape[:2]
    threads_across = np.sin(np.arange(width) * 2 * np.pi / THREAD)[None]
    threads_down = np.sin(np.arange(height) * 2 * np.pi / THREAD)[:, None]
    weave = 0.5 * threads_across + 0.5 * threads_down
    unevenness = blurred(1 + 0.5 * white_noise(rng, paint.shape), 2)
    woven = paint * (1 + 0.012 * weave * unevenness)[..., None]
    cracks = craquelure(rng, paint.shape)
    dryness = 2 * blurred(rng.uniform(0, 1, (height, width)).astype(np.float32), 60)
    return np.asarray(woven * (1 - 0.055 * cracks * dryness)[..., None])


# ---------------------------------------------------------------- watercolour

WASH = np.array([0.14, 0.20, 0.26])
"""What the background's wash takes from white paper at the least: most of the blue."""
WATERCOLOUR_PAPER = np.array([0.995, 0.985, 0.965])
WATERCOLOUR_LINE = np.array([1.0, 0.95, 0.9])


def watercolour(image: Image, mask: NDArray[np.float32], seed: int) -> Image:
    """Flat washes with dark rims, pigment settling in the paper, a loose background that ends before the paper does, a pencil's line.

    image: RGB uint8 (H, W, 3), and so is the result. mask: (H, W), 1 on the person, 0 elsewhere.
    """
    rng = np.random.default_rng(seed)
    paper = paper_grain(rng, image.shape)
    person = np.asarray(mask, np.float32)[..., None]
    flat = wandered(flat_tones(image), rng)
    density = pigment(flat, paper, rng)
    background = loose_background(density, paper, rng)
    painted = density * person * (0.25 + 0.75 * torn_below(image.shape, rng))[..., None] + background * (1 - person)
    sheet = WATERCOLOUR_PAPER * (1 + 0.010 * paper[..., None])
    line = pencil_line(image) * np.clip(0.6 + 0.25 * paper, 0, 1)
    return to_bytes((1 - np.clip(painted, 0, 1)) * sheet * (1 - 0.55 * line[..., None] * WATERCOLOUR_LINE))


def pigment(flat: Picture, paper: Plane, rng: Generator) -> Numbers:
    """How much light the paint takes from the paper, (H, W, 3), about 0 … 1: more at the rims of a wash and in the paper's hollows."""
    light = 255 - (255 - flat) * 0.86
    brightness = light.mean(2).astype(np.float32)
    rim = np.clip(blurred(brightness, 3) - brightness, -30, 30)
    wash = 1 + 2.6 * soft_noise(rng, flat.shape, 26)
    return np.asarray((1 - light / 255) * ((1 + 0.010 * rim) * wash * (1 + 0.05 * paper))[..., None])


def loose_background(density: Numbers, paper: Plane, rng: Generator) -> Numbers:
    """One wet wash of the picture's blurred colours, in an uneven oval with a darker border; outside it, none."""
    height, width = paper.shape
    x, y = pixel_grid(paper.shape)
    distance = np.sqrt(((x / width - 0.5) / 0.60) ** 2 + ((y / height - 0.46) / 0.62) ** 2)
    uneven_distance = distance + 3.0 * soft_noise(rng, paper.shape, 30) + 0.02 * paper
    inside = logistic(np.asarray(26 * (0.86 - uneven_distance), np.float32))
    border = np.clip(inside - blurred(inside, 4), 0, 1)
    colours = 0.55 * blurred(np.asarray(density, np.float32), 30) + 0.25 * WASH
    unevenness = 1 + 10 * soft_noise(rng, paper.shape, 40)
    return np.asarray(colours * (unevenness * (inside + 1.2 * border))[..., None])


def torn_below(shape: tuple[int, ...], rng: Generator) -> Plane:
    """Where the person's paint thins out: (H, W), 1 above an uneven line near the lower border, 0 below it."""
    height = shape[0]
    _, y = pixel_grid(shape)
    border = 0.93 + 0.42 * soft_noise(rng, shape, 14)
    return logistic(np.asarray(40 * (border - y / height), np.float32))


# ---------------------------------------------------------------- pencil

PENCIL_PAPER = np.array([0.965, 0.93, 0.86])
HATCHING = ((0.8, 0.80), (0.95, 0.58), (2.2, 0.40), (1.5, 0.25))
"""Each layer's angle in radians, and the brightness below which it is laid."""


def pencil(image: Image, mask: NDArray[np.float32], seed: int) -> Image:
    """Graphite on warm paper: hatching in the shadows, lines where brightness changes, the background barely hinted at.

    image: RGB uint8 (H, W, 3), and so is the result. mask: (H, W), 1 on the person, 0 elsewhere.
    """
    rng = np.random.default_rng(seed)
    paper = paper_grain(rng, image.shape)
    tone = grey(image)
    tone = np.asarray(np.where(mask > 0.5, tone, 255 - (255 - tone) * 0.10), np.float32)
    line = np.clip(3 * (1 - dodged(tone)), 0, 1)
    drawn = hatched(evened(tone), paper, rng) * (1 - 0.7 * line * (0.75 + 0.2 * paper))
    graphite = np.clip(0.08 + 0.92 * drawn, 0, 1)
    return to_bytes(graphite[..., None] * PENCIL_PAPER * (1 + 0.008 * paper[..., None]))


def hatched(brightness: Plane, paper: Plane, rng: Generator) -> Plane:
    """Layers of parallel strokes, the more the darker: (H, W), 1 is bare paper."""
    tone = np.ones_like(brightness)
    for angle, limit in HATCHING:
        strokes = smeared(2.2 * white_noise(rng, tone.shape), np.full_like(tone, angle), 16)
        shade = np.clip((limit - brightness) / 0.25, 0, 1)
        tone = tone * (1 - np.clip(shade * (0.36 + 0.30 * strokes), 0, 0.9) * (0.8 + 0.12 * paper))
    return np.asarray(tone, np.float32)


# ---------------------------------------------------------------- flat colour and ink

BRIGHTNESS = np.array([0.3, 0.6, 0.1], np.float32)
SKIN, EYE = 0, 1
STRANDS_PER_GROUP = 100_000
SCALP, BROW = 0, 1
BEYOND = 14.0
"""A depth behind everything."""
SHADE = np.array([0.56, 0.50, 0.56])
"""What is left of a colour in the shade: a little violet."""
CATCHLIGHT = 0.95
LASHES = np.array([0.012, 0.008, 0.008])
INK = np.array([0.016, 0.010, 0.010])


@dataclass(frozen=True, eq=False)
class Buffers:
    """What a renderer knows of each pixel besides its colour; all in the size it renders at, a whole multiple of the picture's.

    material: (h, w) int8: -1 nothing, 0 skin and cloth, 1 eye, 2 and above teeth, tongue, glasses. strand: (h, w) int32: 0 no hair, else
    group * 100000 + strand + 1, where group 0 is the scalp's, 1 the brows', others beard and lashes. albedo, light and linear: (h, w, 3)
    float32: a surface's own colour, what falls on it, and the finished picture, hair included, in linear light. depth: (h, w) float32, dm
    from the camera; of no meaning where material is -1.
    """

    material: NDArray[np.int8]
    strand: NDArray[np.int32]
    albedo: NDArray[np.float32]
    light: NDArray[np.float32]
    linear: NDArray[np.float32]
    depth: NDArray[np.float32]

    @property
    def body(self) -> NDArray[np.bool_]:
        return np.asarray(self.material >= 0)

    @property
    def hair_group(self) -> NDArray[np.int32]:
        """(h, w): which group's hair is seen, -1 for none."""
        return np.where(self.strand > 0, self.strand // STRANDS_PER_GROUP, -1).astype(np.int32)


def toon(buffers: Buffers, hair: NDArray[np.float32], background: NDArray[np.float32]) -> NDArray[np.float32]:
    """Flat colour in two tones with ink lines, from what a renderer knows instead of from its picture.

    hair: (3,) linear light. background: (H, W, 3) linear light; h and w of the buffers are the same whole multiple of H and W. Returns
    linear light (H, W, 3), for `developed`.
    """
    height, width = background.shape[:2]
    scale = buffers.material.shape[1] // width
    scalp = covered(buffers.hair_group == SCALP, scale, 0.5)
    brows = covered(buffers.hair_group == BROW, 0.9 * scale, 0.42)
    lashes = covered(buffers.hair_group > BROW, 0.5 * scale, 0.40)
    behind = cv2.resize(background, buffers.material.shape[::-1])
    picture = np.where(buffers.body[..., None], two_tones(buffers, scale), behind)
    picture = np.where(scalp[..., None], flat_hair(buffers, hair, scalp, scale), picture)
    picture = np.where(brows[..., None], hair * 0.8 + 0.01, picture)
    picture = np.where(lashes[..., None], LASHES, picture)
    line = ink_lines(buffers, scalp, scale)[..., None]
    inked = (picture * (1 - line) + INK * line).astype(np.float32)
    return np.asarray(cv2.resize(inked, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def covered(pixels: NDArray[np.bool_], sigma: float, least: float) -> NDArray[np.bool_]:
    """Where more than the share `least` of what is around is set: single strands become one shape, (h, w)."""
    return np.asarray(blurred(pixels.astype(np.float32), sigma) > least)


def two_tones(buffers: Buffers, scale: int) -> Numbers:
    """Skin, eyes and cloth lit or not, nothing between, (h, w, 3); the light's mirror image stays in the eyes."""
    lit = smooth_step(0.55, 0.63, blurred(buffers.light @ BRIGHTNESS, 2.5 * scale))[..., None]
    tone = 0.98 * lit + SHADE * (1 - lit)
    eye = buffers.material == EYE
    tone = np.where(eye[..., None], 0.92, tone)
    smooth = cv2.bilateralFilter(buffers.albedo.clip(0, 1), 9, 0.08, 5)
    colour = np.where((buffers.material == SKIN)[..., None], smooth, buffers.albedo)
    flat = colour * tone * 1.05
    mirrored = eye & (buffers.albedo.mean(-1) < 0.35) & (buffers.linear.mean(-1) > 0.55)
    whole = cv2.morphologyEx(mirrored.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)) > 0
    return np.where(whole[..., None], CATCHLIGHT, flat)


def flat_hair(buffers: Buffers, colour: NDArray[np.float32], scalp: NDArray[np.bool_], scale: int) -> Numbers:
    """The scalp's hair in shade, in light and in gloss, (h, w, 3): the darkest third, the rest, and the brightest seventh."""
    seen = (buffers.hair_group == SCALP).astype(np.float32)
    sigma = 2.0 * scale
    brightness = blurred((buffers.linear @ BRIGHTNESS) * seen, sigma) / np.maximum(blurred(seen, sigma), 0.05)
    dark, bright = np.quantile(brightness[scalp], [0.35, 0.86]) if scalp.any() else (0.0, 1.0)
    lit = smooth_step(dark * 0.95, dark * 1.05 + 1e-4, brightness)[..., None]
    gloss = smooth_step(bright * 0.97, bright * 1.03 + 1e-4, brightness)[..., None]
    return np.asarray(colour * (0.55 + 0.75 * lit) + 0.10 * gloss * (colour / colour.max()) + 0.02)


def ink_lines(buffers: Buffers, scalp: NDArray[np.bool_], scale: int) -> Plane:
    """Where one material ends and another begins, and where the surface bends away sharply: (h, w), 1 is ink."""
    hair_number = 9
    regions = np.where(scalp, hair_number, buffers.material).astype(np.float32)
    around = np.ones((3, 3), np.uint8)
    borders = cv2.dilate(regions, around) != cv2.erode(regions, around)
    depth = np.where(buffers.body, buffers.depth, BEYOND).astype(np.float32)
    bend = abs(cv2.Laplacian(blurred(depth, 1.0), cv2.CV_32F, ksize=5))
    lines = (borders | ((bend > 0.42) & ~scalp)).astype(np.float32)
    nib = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * scale - 1, 2 * scale - 1))
    return blurred(np.asarray(cv2.dilate(lines, nib), np.float32), 0.5 * scale)
