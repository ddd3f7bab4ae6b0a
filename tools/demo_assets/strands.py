"""Hair in a picture: thin lines drawn from far to near, each pixel then shaded as the strand it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from livepuppet.synthetic.noise import smooth_step
from livepuppet.synthetic.setting import Camera
from livepuppet.synthetic.shading import ambient, normalize
from tools.demo_assets.character import Character, linear
from tools.demo_assets.lighting import ShadowMap, StudioLight, lit_share
from tools.demo_assets.painting import STRANDS_PER_GROUP
from tools.demo_assets.strand_group import BROW, LASHES, SCALP, Strands

FRACTION_BITS = 4
"""Lines end at sixteenths of a pixel."""
THICKEST = 6
STILL_DRAWN = 0.08
"""dm by which the middle of a strand's piece may lie behind the skin and still be drawn."""
SUNK = torch.tensor([0.012, 0.03, 0.03, 0.02])
"""dm by which a pixel of each kind's strand may lie behind the skin and still be seen."""
HAIR_CENTRE = (0.0, 0.1, -0.1)
"""What hair turns its outside away from, from the point the camera aims at."""
GREY = linear("a5a09a")


@dataclass(frozen=True, eq=False)
class Pieces:
    """All S straight pieces of all strands. start, end (S, 3): pixel x, pixel y, depth. group, strand, step (S,): whose, and its how
    many-th. thickness (S,): pixels."""

    start: Tensor
    end: Tensor
    group: Tensor
    strand: Tensor
    step: Tensor
    thickness: Tensor

    @property
    def depth(self) -> Tensor:
        return (self.start[:, 2] + self.end[:, 2]) / 2


@dataclass(frozen=True, eq=False)
class Shown:
    """N pixels that show hair. pixel (N,): row * width + column; piece (N,): which of the pieces."""

    pixel: Tensor
    piece: Tensor


def cut(groups: Sequence[Strands], points: Sequence[Tensor], camera: Camera, width: int, height: int) -> Pieces:
    """points: (R, K, 3) per group, centred on what the camera aims at."""
    starts, ends, owners, strands, steps, thicknesses = [], [], [], [], [], []
    for number, (group, place) in enumerate(zip(groups, points, strict=True)):
        count, pieces = len(place), place.shape[1] - 1
        screen = camera.screen(place, width, height)
        starts.append(screen[:, :-1].reshape(-1, 3))
        ends.append(screen[:, 1:].reshape(-1, 3))
        owners.append(torch.full((count * pieces,), number))
        strands.append(torch.arange(count).repeat_interleave(pieces))
        steps.append(torch.arange(pieces).repeat(count))
        taper = 1.15 - 0.75 * (steps[-1] / pieces) ** 2
        own = 0.75 + 0.5 * group.chance[strands[-1]]
        thicknesses.append(group.width * height / camera.height_seen * taper * own)
    return Pieces(*(torch.cat(parts) for parts in (starts, ends, owners, strands, steps, thicknesses)))


def drawn(pieces: Pieces, kinds: Tensor, depth: Tensor, width: int, height: int) -> Shown:
    """Far to near; what lies behind the skin is left out. kinds: (G,) of the groups. depth: (height * width,) of the mesh."""
    order = in_order(pieces, depth, width, height)
    number = np.zeros((height, width), np.int32)
    starts = sixteenths(pieces.start[order])
    ends = sixteenths(pieces.end[order])
    thick = (pieces.thickness[order] + 0.5).floor().clamp(1, THICKEST).int().tolist()
    for start, end, thickness, piece in zip(starts, ends, thick, order.tolist(), strict=True):
        cv2.line(number, start, end, piece + 1, thickness, cv2.LINE_8, FRACTION_BITS)
    flat = torch.from_numpy(number).view(-1)
    pixel = (flat > 0).nonzero()[:, 0]
    piece = flat[pixel].long() - 1
    seen = pieces.depth[piece] < depth[pixel] + SUNK[kinds[pieces.group[piece]]]
    return Shown(pixel[seen], piece[seen])


def in_order(pieces: Pieces, depth: Tensor, width: int, height: int) -> Tensor:
    """Indices of the pieces in the picture and not behind the skin, farthest first."""
    low, high = torch.minimum(pieces.start, pieces.end), torch.maximum(pieces.start, pieces.end)
    middle = (pieces.start + pieces.end) / 2
    column = middle[:, 0].long().clamp(0, width - 1)
    row = middle[:, 1].long().clamp(0, height - 1)
    inside = (high[:, 0] > 0) & (low[:, 0] < width) & (high[:, 1] > 0) & (low[:, 1] < height)
    order = (inside & (pieces.depth < depth[row * width + column] + STILL_DRAWN)).nonzero()[:, 0]
    return order[pieces.depth[order].argsort(descending=True)]


def sixteenths(screen: Tensor) -> list[list[int]]:
    """Pixel coordinates as OpenCV takes them: (S, 3) -> S pairs."""
    pairs: list[list[int]] = (screen[:, :2] * 2**FRACTION_BITS).round().int().tolist()
    return pairs


def numbered(shown: Shown, pieces: Pieces, width: int, height: int) -> NDArray[np.int32]:
    """Which strand is seen where, (height, width): group * STRANDS_PER_GROUP + strand + 1, 0 for none."""
    out = torch.zeros(height * width, dtype=torch.int32)
    out[shown.pixel] = (pieces.group[shown.piece] * STRANDS_PER_GROUP + pieces.strand[shown.piece] + 1).int()
    return np.asarray(out.view(height, width).numpy(), np.int32)


# ---------------------------------------------------------------- light on strands


@dataclass(frozen=True, eq=False)
class Hairs:
    """N pixels of one group. place, tangent (N, 3); along (N,): 0 at the root, 1 at the tip; chance, lock (N,) of their strands."""

    group: Strands
    place: Tensor
    tangent: Tensor
    along: Tensor
    chance: Tensor
    lock: Tensor


def on_strands(shown: Shown, pieces: Pieces, group: Strands, points: Tensor, width: int) -> Hairs:
    """shown: pixels of this group only. points: (R, K, 3)."""
    last = points.shape[1] - 1
    strand, step = pieces.strand[shown.piece], pieces.step[shown.piece]
    start, end = points[strand, step], points[strand, step + 1]
    u = along_line(pieces.start[shown.piece], pieces.end[shown.piece], shown.pixel, width)[:, None]
    next_piece = points[strand, (step + 2).clamp(max=last)] - points[strand, (step + 1).clamp(max=last - 1)]
    bend = 0.5 * normalize(next_piece + 1e-6) * u
    return Hairs(
        group=group,
        place=torch.lerp(start, end, u),
        tangent=normalize(normalize(end - start) * (1 - 0.5 * u) + bend),
        along=(step + u[:, 0]) / last,
        chance=group.chance[strand],
        lock=group.lock[strand],
    )


def along_line(start: Tensor, end: Tensor, pixel: Tensor, width: int) -> Tensor:
    """How far along its line the middle of each pixel lies, (N,) in 0 … 1."""
    line = (end - start)[:, :2]
    middle = torch.stack([pixel % width + 0.5, pixel // width + 0.5], -1)
    along = ((middle - start[:, :2]) * line).sum(-1)
    return (along / (line**2).sum(-1).clamp(min=1e-3)).clamp(0, 1)


def strand_colour(hairs: Hairs, character: Character, camera: Camera, light: StudioLight, maps: Sequence[ShadowMap]) -> Tensor:
    """Linear light (N, 3) that the strands send to the camera.

    Kajiya, Kay, "Rendering fur with three dimensional textures", SIGGRAPH 1989; the two highlights, one white and one of the hair's colour,
    moved to root and tip, after Scheuermann, "Practical real-time hair rendering and shading", SIGGRAPH Sketches 2004.
    """
    group = hairs.group
    if group.kind == LASHES:
        return group.colour * (0.6 + 0.8 * hairs.chance[:, None])
    outward = normalize(hairs.place - torch.tensor(HAIR_CENTRE))
    view = normalize(camera.eye(hairs.place.device) - hairs.place)
    albedo = pigment(hairs, character)
    depth = 0.50 + 0.50 * smooth_step(-0.05, 0.45, hairs.along) if group.kind == SCALP else 0.6 + 0.4 * hairs.along
    lit = lit_share(maps, hairs.place, in_hair=True)
    tint = 0.5 + 0.5 * albedo / albedo.amax(-1, keepdim=True).clamp(min=0.01)
    out = 0.8 * albedo * ambient(outward, light) * depth[:, None]
    for i, lamp in enumerate(light.lamps):
        reached = (lit if i == 0 else torch.full_like(lit, 0.8)) * depth
        side = (0.35 + 0.65 * (outward @ lamp.direction)).clamp(0, 1) * reached
        sine = (1 - (hairs.tangent @ lamp.direction) ** 2).clamp(min=0).sqrt()
        along = (hairs.tangent * normalize(view + lamp.direction)).sum(-1)
        white = streak(along + 0.06 + 0.06 * (hairs.chance - 0.5), 60)
        coloured = streak(along - 0.10 + 0.12 * (hairs.chance - 0.5), 14)
        diffuse = 0.72 * (0.25 + 0.6 * sine) + 0.65 * coloured
        out = out + lamp.colour * (albedo * (diffuse * side)[:, None] + character.shine * tint * (white * side)[:, None])
    return out


def streak(cosine: Tensor, sharpness: int) -> Tensor:
    """Sine to a power: bright where the half vector is square to the strand. (N,) -> (N,)"""
    return (1 - cosine.clamp(-1, 1) ** 2).clamp(min=0) ** sharpness


def pigment(hairs: Hairs, character: Character) -> Tensor:
    """Each strand's own colour, (N, 3): lighter at the tips, some grey."""
    shade = 0.62 + 0.36 * hairs.chance + 0.38 * hairs.lock
    colour = hairs.group.colour * (shade * (1 + character.sunned * (hairs.along - 0.3)))[:, None]
    if hairs.group.kind == BROW:
        return colour
    is_grey = (7.13 * hairs.chance) % 1 < character.grey
    return torch.where(is_grey[:, None], GREY * (0.6 + 0.5 * hairs.lock[:, None]), colour)
