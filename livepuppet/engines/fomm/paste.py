"""The model's small square back into the full-resolution portrait, with the portrait's own sharpness.

The model says not only what the moved face looks like, but also where each place came from (deformation) and whether it was visible there
(occlusion). So where the portrait shows a place, its own pixels are moved, at full resolution, and the model adds only what changed beyond
moving; where it does not, the model's picture is shown. With P the portrait's square, G0 the model's picture of it at rest, G its picture
now, w the warp and o the visibility:

    out = o w(P) + (1 - o) G + o (G - w(G0))

At rest w is the identity, o = 1 and G = G0, so out = P: the paste begins where the portrait was, and nothing jumps. Towards the square's
edge, where the frame around it stays as it is, w fades to the identity, o to 1 and the last term to 0: that is the feathered mask, for
colours as well as for motion. G and G0 are corrected by what G0 got wrong of P's colours on a large scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.engines.fomm.crop import Crop
from livepuppet.interfaces import Image
from livepuppet.runtimes.graphs import Array, Rendered

FEATHER = 0.12
"""Width of the fading edge, in sides of the square."""
COLOUR_SCALE = 1 / 12
"""Standard deviation of the blur that separates colours from shapes, in sides of the square."""
GRID_STEP_PX = 4
"""The warp is laid out on every fourth pixel: it comes from a grid that is coarser still."""


@dataclass(frozen=True, eq=False)
class Square:
    """Where the model's picture belongs in the portrait, and all of it that does not change from frame to frame.

    box: the part of the square inside the portrait, as left, top, right, bottom in pixels. identity: (h, w, 2), each pixel's own place.
    fade: (h, w) of the deformation, 1 inside, 0 at the edge. rest: G0, and visible: the occlusion map at rest. colours: what is added to G.
    """

    crop: Crop
    box: tuple[int, int, int, int]
    identity: tuple[Array, Array]
    fade: Array
    rest: Image
    visible: Array
    colours: NDArray[np.int16]


def square(portrait: Image, crop: Crop, shown: Image, rest: Rendered) -> Square:
    """shown: the crop of the portrait at the model's size, rest: what the model made of it at rest."""
    height, width = portrait.shape[:2]
    left, top = crop.x - crop.side / 2, crop.y - crop.side / 2
    right, bottom = min(width, int(np.ceil(left + crop.side))), min(height, int(np.ceil(top + crop.side)))
    box = (max(0, int(np.floor(left))), max(0, int(np.floor(top))), right, bottom)
    x, y = np.meshgrid(np.arange(box[0], box[2], dtype=np.float32), np.arange(box[1], box[3], dtype=np.float32))
    sigma = shown.shape[0] * COLOUR_SCALE
    wrong = cv2.GaussianBlur(shown.astype(np.float32) - rest.image, (0, 0), sigma)
    return Square(crop, box, (x, y), fading(rest.deformation.shape[0]), rest.image, rest.occlusion, np.rint(wrong).astype(np.int16))


def fading(side: int) -> Array:
    """(side, side): 0 at the edge, 1 from FEATHER inwards, smooth between."""
    ramp = np.clip(np.minimum(np.arange(side), np.arange(side)[::-1]) / (FEATHER * (side - 1)), 0, 1)
    smooth = ramp * ramp * (3 - 2 * ramp)
    return np.minimum.outer(smooth, smooth).astype(np.float32)


def paste(portrait: Image, place: Square, now: Rendered) -> Image:
    """The portrait with the square moved. portrait: RGB uint8 (H, W, 3); a new array of the same shape is returned."""
    size, cells = now.image.shape[0], place.fade.shape[0]
    ticks = np.linspace(-1, 1, cells, dtype=np.float32)
    step = now.deformation - np.stack(np.meshgrid(ticks, ticks), -1)
    step *= place.fade[..., None]
    visible = 1 - place.fade * (1 - np.clip(now.occlusion / np.maximum(place.visible, 0.05), 0, 1))

    # What changed beyond moving, at the model's own size: o (G - w(G0)).
    small = cv2.resize(step, (size, size), interpolation=cv2.INTER_LINEAR) * np.float32(size / 2)
    rows = np.arange(size, dtype=np.float32)
    x, y = small[..., 0] + rows[None, :], small[..., 1] + rows[:, None]
    moved = cv2.remap(place.rest, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    weight = cv2.resize(place.fade * np.clip(visible, 0, 1), (size, size))[..., None]
    change = np.rint((now.image.astype(np.float32) - moved) * weight).astype(np.int16)
    drawn = np.clip(now.image + place.colours, 0, 255).astype(np.uint8)

    # At the portrait's resolution: one warp, one blend, one sum.
    left, top, right, bottom = place.box
    extent = (right - left, bottom - top)
    matrix = to_box(place, size)
    flow = enlarged(step, place, cells, extent) * np.float32(place.crop.side / 2)
    pixels = cv2.remap(
        portrait, place.identity[0] + flow[..., 0], place.identity[1] + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    share = enlarged(visible, place, cells, extent)
    fine = cv2.INTER_LINEAR
    redrawn = cv2.warpAffine(drawn, matrix, extent, flags=fine, borderMode=cv2.BORDER_REPLICATE)
    added = cv2.warpAffine(change, matrix, extent, flags=fine, borderMode=cv2.BORDER_REPLICATE)
    out = portrait.copy()
    blended = cv2.blendLinear(np.ascontiguousarray(pixels), redrawn, share, 1 - share)
    out[top:bottom, left:right] = cv2.add(blended, added, dtype=cv2.CV_8U)
    return out


def to_box(place: Square, size: int) -> NDArray[np.float64]:
    """The affine map from a picture of the whole square at size by size pixels to pixels of its box."""
    scale = place.crop.side / size
    left, top = place.crop.x - place.crop.side / 2, place.crop.y - place.crop.side / 2
    shift = 0.5 * scale - 0.5
    return np.array([[scale, 0, left - place.box[0] + shift], [0, scale, top - place.box[1] + shift]])


def enlarged(field: Array, place: Square, cells: int, extent: tuple[int, int]) -> Array:
    """A coarse field of the whole square at the box's resolution."""
    return np.asarray(
        cv2.warpAffine(field, to_box(place, cells), extent, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32
    )
