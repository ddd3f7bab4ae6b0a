"""What stands behind the person: which pixels move with them, and what shows where they were."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.engines.landmark.matte import person_colours, refine_matte
from livepuppet.engines.landmark.raster import Grid
from livepuppet.types import Floats, Image
from livepuppet.vision.inpainting import fill_background
from livepuppet.vision.mediapipe_models import carries_models
from livepuppet.vision.segmentation import PersonSegmenter

RIM = 0.012
"""Face widths beyond the last trace of the person that the background is made anew: cameras and codecs smear edges."""


PLATE_SIDE_PX = 1920
"""What stands behind the person is worked out at this size at most: in 4K it would take a gigabyte, for what hardly ever shows."""


@dataclass(frozen=True, eq=False)
class BackgroundPlate:
    """What is behind a portrait's person, and who that is.

    Attributes:
        plate: the portrait without the person (H, W, 3).
        person: the person's own colours (H, W, 3); None where the whole picture moves as one sheet, because the person could not be told
            from the background.
        matte: the person's (H, W), 0 … 255.
        share: the matte on the raster's grid, 0 … 1, with `above` more rows on top: a head that the photo cuts off is rounded there.
        fall: how far the head may come down, face widths: hardly, where the photo cuts it off.
    """

    plate: Image
    person: Image | None
    matte: NDArray[np.uint8]
    share: NDArray[np.float32]
    above: int = 0
    fall: float = 1.0


CLOSE_UP = 1.7
"""Face widths to every side of the face that the segmentation looks at once more, where the whole picture is much larger."""


def segment_person(image: Image, middle: Floats, face_width: float) -> NDArray[np.float32] | None:
    """How likely each pixel is a person (H, W), 0 … 1; None where the installed MediaPipe has no such model.

    Args:
        middle: (2,) of the face, pixels. A face that is small in the picture is looked at twice, from afar and close up.
    """
    if not carries_models():
        return None
    height, width = image.shape[:2]
    low = np.maximum(np.floor(middle - CLOSE_UP * face_width), 0).astype(int)
    high = np.minimum(np.ceil(middle + CLOSE_UP * face_width), [width, height]).astype(int)
    with PersonSegmenter() as segment:
        likely = segment(image)
        if (high - low).max() > 0.75 * max(width, height) or (high - low).min() < 32:
            return likely
        box = int(low[0]), int(low[1]), int(high[0]), int(high[1])
        close = segment.closer(image, box)
    fade = np.zeros(likely.shape, np.float32)
    edge = max(1, round(0.3 * face_width))
    top, left = (box[1] + edge if box[1] > 0 else 0), (box[0] + edge if box[0] > 0 else 0)
    bottom, right = (box[3] - edge if box[3] < height else height), (box[2] - edge if box[2] < width else width)
    fade[top:bottom, left:right] = 1
    weight = cv2.blur(fade, (2 * edge - 1, 2 * edge - 1))
    return np.asarray(likely + weight * (close - likely), dtype=np.float32)


def build_background_plate(image: Image, face_hull: NDArray[np.int32], face_width: float, grid: Grid) -> BackgroundPlate:
    """face_hull (N, 2): the face's outline in pixels, certainly person.

    Args:
        grid: the raster's.
    """
    whole, scale = image, min(1.0, PLATE_SIDE_PX / max(image.shape[:2]))
    if scale < 1:
        image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        face_hull, face_width = np.round(face_hull * scale).astype(np.int32), face_width * scale
    likely = segment_person(image, face_hull.mean(0), face_width)
    if likely is None or trusted_background(likely, face_hull) < 0.9:
        return BackgroundPlate(whole, None, np.zeros((0, 0), np.uint8), np.zeros((0, 0), np.float32))
    person = person_outline(image, likely, face_hull, face_width)
    matte = refine_matte(image, person, find_strands(image, person, face_hull.mean(0), face_width), face_width)
    traces = np.asarray(cv2.dilate((matte > 8).astype(np.uint8), disc_kernel(RIM * face_width)), np.uint8)
    plate = continue_behind(image, traces, face_width)
    step = grid.step * scale
    soft = np.asarray(cv2.blur(matte, (max(1, round(step)),) * 2), dtype=np.float32) / 255
    x, y = ((at + np.float32(0.5)) * np.float32(scale) - np.float32(0.5) if scale < 1 else at for at in (grid.x, grid.y))
    on_grid = np.asarray(cv2.remap(soft, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), dtype=np.float32)
    above = head_dome(on_grid[1], face_width / step)
    if scale < 1:
        plate = laid_behind(whole, plate, traces)
        matte = np.asarray(cv2.resize(matte, whole.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
    cut = (person[0] > 0).sum() / face_width
    return BackgroundPlate(
        plate,
        person_colours(whole, matte, plate),
        matte,
        np.concatenate([above, on_grid[1:]]),
        len(above) - 1,
        1.0 - 0.85 * float(np.clip((cut - 0.3) / 0.3, 0, 1)),
    )


def laid_behind(image: Image, plate: Image, hole: NDArray[np.uint8]) -> Image:
    """The image with what was filled into the hole (1) of a smaller copy of it; the plate is that copy, filled."""
    size = image.shape[1], image.shape[0]
    filled = cv2.resize(hole, size, interpolation=cv2.INTER_NEAREST) > 0
    out = np.asarray(cv2.resize(plate, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    np.copyto(out, image, where=~filled[..., None])
    return out


def trusted_background(likely: NDArray[np.float32], face_hull: NDArray[np.int32]) -> float:
    """How much of the face the segmentation calls a person, 0 … 1: in some paintings and animals it sees nobody."""
    face = np.zeros(likely.shape, np.uint8)
    cv2.fillConvexPoly(face, face_hull, (1,))
    inside = face > 0
    return float((likely[inside] > 0.4).mean()) if inside.any() else 0.0


OUTLINE_PX = (256, 512, 80)
"""The outline is drawn in a picture of the first size, which is what the segmentation model sees, or, so that a small face has a width of
the third, of up to the second."""


def person_outline(image: Image, likely: NDArray[np.float32], face_hull: NDArray[np.int32], face_width: float) -> NDArray[np.uint8]:
    """1 where the person is (H, W): what the model saw, strands and hats beside it that have the person's colours, and holes in it.

    The colours are weighed by GrabCut (Rother et al., SIGGRAPH 2004), near the model's outline only.
    """
    height, width = likely.shape
    usual, most, face = OUTLINE_PX
    scale = min(1.0, max(usual / max(height, width), min(most / max(height, width), face / face_width)))
    size = max(8, round(width * scale)), max(8, round(height * scale))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    guess = np.asarray(cv2.resize(likely, size, interpolation=cv2.INTER_AREA))
    seen = (guess > 0.4).astype(np.uint8)
    cv2.fillConvexPoly(seen, np.round(face_hull * scale).astype(np.int32), (1,))
    core = cv2.erode((guess > 0.8).astype(np.uint8), disc_kernel(0.05 * face_width * scale), borderType=cv2.BORDER_REPLICATE)
    labels = np.full(seen.shape, cv2.GC_BGD, np.uint8)
    labels[cv2.dilate(seen, disc_kernel(0.16 * face_width * scale)) > 0] = cv2.GC_PR_BGD
    labels[seen > 0] = cv2.GC_PR_FGD
    labels[core > 0] = cv2.GC_FGD
    if core.any() and (labels == cv2.GC_BGD).any():
        cv2.grabCut(small, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
        seen |= (labels & 1).astype(np.uint8)  # foreground, sure or probable
    seen = np.asarray(cv2.morphologyEx(seen, cv2.MORPH_CLOSE, disc_kernel(0.04 * face_width * scale)), dtype=np.uint8)
    count, parts = cv2.connectedComponents(1 - seen, connectivity=4)
    border = {*parts[0], *parts[:, 0], *parts[:, -1]}  # not the lower edge: below the shoulders there is no way out
    for part in range(1, count):
        if part not in border and (parts == part).sum() < 0.2 * (face_width * scale) ** 2:
            seen[parts == part] = 1
    _, parts = cv2.connectedComponents(seen)
    x, y = np.clip(np.round(face_hull.mean(0) * scale).astype(int), 0, [size[0] - 1, size[1] - 1])
    seen = (parts == parts[y, x]).astype(np.uint8)  # nobody else
    full = cv2.resize(seen.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(full > 0.5, dtype=np.uint8)


STRAND_REACH = 0.25
"""Face widths: how far from the outline single strands are looked for; twice as far, the background shows what else looks like one."""
HAIR_REACH = 1.2
"""Face widths from the face's middle: farther away, what is thin beside the outline is no hair."""
STRAND_WIDTH = 0.05
"""Face widths: a wider thing of the person's colours is no strand."""
FAINTEST_STRAND = 0.12
"""How much of the person's colour, on the way from the background's to it, makes a strand."""
LEAST_CONTRAST = 30.0
"""Colours that differ by less (Euclidean, of 255) tell no strand from the wall behind it."""


def find_strands(image: Image, person: NDArray[np.uint8], middle: Floats, face_width: float) -> NDArray[np.uint8]:
    """1 where single hairs are that the outline (H, W; 1 = person) leaves out: thin, of the colours at the outline nearest to them, and
    joined to it. Left in the background they would hang in the air where the head has been. A background that is itself full of thin
    things keeps them. middle (2,): of the face, in pixels."""
    out = np.zeros_like(person)
    x0, y0 = np.maximum(0, np.floor(middle - (HAIR_REACH + STRAND_REACH) * face_width)).astype(int)
    x1, y1 = np.maximum(1, np.ceil(middle + (HAIR_REACH + STRAND_REACH) * face_width)).astype(int)
    box = slice(y0, y1), slice(x0, x1)
    part, inner = image[box], person[box]
    away = cv2.distanceTransform(1 - inner, cv2.DIST_L2, 5) / face_width
    rows, columns = np.ogrid[: part.shape[0], : part.shape[1]]
    around = np.hypot(columns + x0 - middle[0], rows + y0 - middle[1]) < HAIR_REACH * face_width
    band, beyond = (away > 0) & (away < STRAND_REACH) & around, (away >= STRAND_REACH) & (away < 2 * STRAND_REACH)
    if not band.any() or not beyond.any() or not inner.any():
        return out
    thin = thinness(part, inner, face_width)
    usual = float(np.quantile(thin[beyond], 0.98))
    found = ((thin > max(FAINTEST_STRAND, 2 * usual)) & band).astype(np.uint8)
    joined = cv2.morphologyEx(found | inner, cv2.MORPH_CLOSE, disc_kernel(0.02 * face_width))
    _, parts = cv2.connectedComponents(joined)
    found &= np.isin(parts, np.unique(parts[inner > 0])).astype(np.uint8)
    out[box] = cv2.dilate(found, np.ones((3, 3), np.uint8))
    return out


def thinness(image: Image, person: NDArray[np.uint8], face_width: float) -> NDArray[np.float32]:
    """How much of the person's colour is in thin lines (H, W), 0 … 1; the person is whatever colour is nearest, the wall a median."""
    inside = np.asarray(cv2.erode(person, disc_kernel(0.03 * face_width), borderType=cv2.BORDER_REPLICATE), np.uint8)
    hair = fill_background(image, np.asarray(inside == 0, np.uint8)).astype(np.float32)
    wall = cv2.medianBlur(image, 2 * max(1, round(STRAND_WIDTH * face_width)) + 1).astype(np.float32)
    towards = hair - wall
    share = ((image.astype(np.float32) - wall) * towards).sum(2) / np.maximum((towards**2).sum(2), LEAST_CONTRAST**2)
    levels = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
    return (
        cv2.subtract(levels, cv2.morphologyEx(levels, cv2.MORPH_OPEN, disc_kernel(STRAND_WIDTH / 2 * face_width))).astype(np.float32) / 255
    )


def disc_kernel(radius: float) -> NDArray[np.uint8]:
    """A round structuring element."""
    side = 2 * max(1, round(radius)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), dtype=np.uint8)


HEAD_RADIUS = 0.62
"""Face widths: how round a head is that the photo's upper edge cuts off."""
DOME = 0.22
"""Face widths: the highest arch that closes such a head; beyond it there is too little to tell."""


def head_dome(edge: NDArray[np.float32], face_width: float) -> NDArray[np.float32]:
    """Rows (N, w) to put on top of `edge` (w,), the first row of the person: the missing cap of the head over each stretch cut off."""
    rows = round(DOME * face_width) + 3
    out = np.zeros((rows, len(edge)), np.float32)
    cut = np.flatnonzero(np.diff(np.concatenate([[False], edge > 0.5, [False]]).astype(np.int8)))
    x, height = np.arange(len(edge)), np.arange(rows, 0, -1)[:, None]
    for start, end in zip(cut[::2], cut[1::2], strict=True):
        half = max(0.5, (end - start) / 2)
        radius = max(HEAD_RADIUS * face_width, half)
        rise = min(radius - np.sqrt(radius**2 - half**2), DOME * face_width)
        across = np.clip(1 - ((x - (start + end - 1) / 2) / half) ** 2, 0, 1)
        out = np.maximum(out, np.clip(rise * across - height + 0.5, 0, 1).astype(np.float32))
    return np.minimum(np.asarray(cv2.blur(out, (3, 3)), dtype=np.float32), 1.0)


DEPTH = 0.7
"""Face widths from its outline over which the continued background fades into a blur: no head turns that far."""


def continue_behind(image: Image, hole: NDArray[np.uint8], face_width: float) -> Image:
    """The image with the hole (1 = unknown) filled as if its surroundings went on: mirrored at the outline, blurred farther in."""
    blurred = fill_background(image, hole)
    if not hole.any() or hole.all():
        return blurred
    inside, labels = cv2.distanceTransformWithLabels(hole, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL)
    rows, columns = np.nonzero(hole == 0)
    nearest = np.zeros((int(labels.max()) + 1, 2), np.float32)
    nearest[labels[rows, columns]] = np.stack([columns, rows], 1)
    edge = nearest[labels]
    y, x = np.mgrid[0 : hole.shape[0], 0 : hole.shape[1]].astype(np.float32)
    soft = 2 * max(1, round(0.03 * face_width)) + 1
    across, down = (np.asarray(cv2.blur(2 * edge[..., i] - at, (soft, soft)), np.float32) for i, at in ((0, x), (1, y)))
    mirrored = cv2.remap(image, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    barred = hole.astype(np.float32)  # neither the person nor a picture frame may be mirrored
    margin = round(0.03 * min(hole.shape))
    barred[:margin], barred[-margin:], barred[:, :margin], barred[:, -margin:] = 1, 1, 1, 1
    unknown = cv2.remap(barred, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(1,))
    share = np.clip(1 - unknown * 4, 0, 1) * np.clip(1.5 * (1 - inside / (DEPTH * face_width)), 0, 1)
    weight = cv2.blur(share.astype(np.float32), (soft, soft)) * (hole > 0)
    mixed = blurred + weight[..., None] * (mirrored.astype(np.float32) - blurred)
    return np.asarray(np.where(hole[..., None] > 0, np.rint(mixed), image), dtype=np.uint8)
