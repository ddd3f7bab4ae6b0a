"""Hair, brows and beard: ribbons rooted on the skin, grown once on the neutral head, each drawn later as a few strands."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from livepuppet.synthetic.head import SKIN, Head
from livepuppet.synthetic.noise import smooth_step
from livepuppet.synthetic.occlusion import vertex_normals

SCALP, BROW, BEARD = range(3)
POINTS = 12
"""Along each ribbon."""
SKULL_CENTRE = (0.0, 7.45, 0.15)
HAIRLINE_ANGLES = (0.0, 0.35, 0.7, 0.95, 1.2, 1.5, 1.75, 2.1, 2.5, 3.2)
"""Radians around the head, from the middle of the forehead to the nape."""
HAIRLINE_HEIGHTS = (8.02, 8.02, 7.95, 7.7, 7.32, 7.62, 7.35, 6.85, 6.62, 6.55)
RECEDING = (1.0, 1.1, 1.0, 0.6, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
SIDES_RECEDING = (0.0, 0.0, 0.0, 0.3, 1.0, 1.0, 1.0, 0.8, 0.6, 0.5)
"""How far the hairline rises at HAIRLINE_ANGLES when it lies back in front, and at the sides."""
BROW_HEIGHT = 7.44
FACE_FREE = 0.76
"""Hair that hangs beside the face stays further out than this."""

Generator = np.random.Generator


@dataclass(frozen=True)
class Haircut:
    """Lengths in dm at the sides and, added, on top;

    Attributes:
        lift: how far it stands off.
        weight: how much it hangs.
        curl: of the locks.
    """

    sides: float
    top: float
    lift: float
    weight: float
    curl: float = 0.12
    comb: tuple[float, float, float] = (0.7, -0.25, -0.35)
    """Direction before gravity: away from the parting, up, forward."""
    width: float = 0.058


HAIRCUTS = {
    "short": Haircut(0.16, 0.35, 0.55, 0.25, comb=(0.3, 0.1, 0.1)),
    "medium": Haircut(0.7, 0.5, 0.3, 0.7),
    "long": Haircut(2.5, 0.0, 0.25, 0.9),
    "buzz": Haircut(0.05, 0.05, 2.0, 0.0, width=0.034),
    "curly": Haircut(0.85, 0.0, 0.9, 0.35, curl=0.8),
    "up": Haircut(0.7, 0.0, 0.2, -0.1, comb=(-0.4, 0.7, -1.0)),
}
MEN, WOMEN = (0.3, 0.17, 0.22, 0.1, 0.13, 0.08), (0.12, 0.2, 0.4, 0.03, 0.15, 0.1)
"""Shares of the haircuts, in their order."""


@dataclass(frozen=True, eq=False)
class Hair:
    """R ribbons. triangle (R,) and weights (R, 3): the roots; offsets (R, POINTS, 3) from the root, in the head's frame; kind, width, shade
    (R,); colour (3,).

    Attributes:
        recede: how far the hairline lies back.
        scalp: how much the skin under it is darkened.
    """

    triangle: Tensor
    weights: Tensor
    offsets: Tensor
    kind: Tensor
    width: Tensor
    shade: Tensor
    colour: Tensor
    recede: float
    scalp: float


def scalp_share(points: Tensor, recede: float, side: float = 0.0) -> Tensor:
    """Where hair grows on the resting head: (N, 3) -> (N,) in 0 … 1.

    Args:
        recede, side: dm by which the hairline lies higher in front and at the sides.
    """
    angle = torch.atan2(points[:, 0].abs(), points[:, 2] - 0.15)
    angles = torch.tensor(HAIRLINE_ANGLES, device=points.device)
    heights, front, sides = (torch.tensor(x, device=points.device) for x in (HAIRLINE_HEIGHTS, RECEDING, SIDES_RECEDING))
    heights = heights + recede * front + side * sides
    after = torch.searchsorted(angles, angle.contiguous()).clamp(1, len(angles) - 1)
    t = ((angle - angles[after - 1]) / (angles[after] - angles[after - 1])).clamp(0, 1)
    return smooth_step(-0.05, 0.06, points[:, 1] - torch.lerp(heights[after - 1], heights[after], t))


def grow_hair(head: Head, cage: Tensor, rng: Generator, *, colour: Tensor, male: float, old: float, bearded: bool, ribbons: int) -> Hair:
    """Hair, brows and perhaps a beard for one neutral cage (C, 3)."""
    device, uniform = head.device, rng.uniform
    bald = uniform() < 0.10 + 0.25 * male * old
    recede = float(np.clip(rng.normal(0, 0.06) + 0.15 * male * old * uniform(), -0.1, 0.3))
    cut = HAIRCUTS[str(rng.choice(list(HAIRCUTS), p=MEN if male > 0.5 else WOMEN))]
    n_brow = int(ribbons * uniform(0.12, 0.25))
    n_beard = int(ribbons * 0.4) if bearded else 0
    n_scalp = ribbons - n_brow - n_beard
    kinds = torch.from_numpy(np.repeat([SCALP, BROW, BEARD], [n_scalp, n_brow, n_beard])).to(device)
    places = [(scalp_share(head.centres, recede), n_scalp), (brow_share(head, rng), n_brow)]
    if bearded:
        places.append((beard_share(head, rng), n_beard))
    triangle = torch.cat([pick_hair(share * head.areas, count, rng) for share, count in places])
    weights = torch.from_numpy(rng.dirichlet([1, 1, 1], ribbons)).float().to(device)

    surface = head.subdivide(cage)
    corners = head.triangles[triangle]
    normals = vertex_normals(surface, head.triangles)
    root = (surface[corners] * weights[..., None]).sum(1)
    normal = torch.nn.functional.normalize((normals[corners] * weights[..., None]).sum(1), dim=-1)
    rest = (head.rest_corners[triangle] * weights[..., None]).sum(1)

    length, direction, lift, weight = styled(head, rng, cut, rest, kinds, bald)
    path = Path(
        skull=skull_radius(head, surface),
        shell=torch.minimum(0.02 + 0.16 * draw_hair(rng, ribbons, device), 0.3 * length),  # short hair stays at the skin
        curl=cut.curl * uniform(0.6, 1.4),
        turns=uniform(2, 5),
        free=kinds == SCALP,
    )
    start = torch.nn.functional.normalize(normal * lift[:, None] + direction + 0.12 * normals_of(rng, ribbons, device), dim=-1)
    offsets = path.follow(root, start, length, weight, rest, rng)
    base = torch.tensor([0.006 if bald else cut.width, 0.008, 0.014], device=device)[kinds] * (2000 / ribbons) ** 0.5
    return Hair(
        triangle=triangle,
        weights=weights,
        offsets=offsets - root[:, None],
        kind=kinds,
        width=base * (0.7 + 0.6 * draw_hair(rng, ribbons, device)),
        shade=draw_hair(rng, ribbons, device),
        colour=colour,
        recede=recede,
        scalp=1.0 if not bald else 0.4 * float(uniform() < 0.4),
    )


def draw_hair(rng: Generator, count: int, device: torch.device) -> Tensor:
    return torch.from_numpy(rng.uniform(0, 1, count)).float().to(device)


def normals_of(rng: Generator, count: int, device: torch.device) -> Tensor:
    return torch.from_numpy(rng.normal(0, 1, (count, 3))).float().to(device)


def pick_hair(share: Tensor, count: int, rng: Generator) -> Tensor:
    """`count` triangles drawn with these weights (T,)."""
    table = np.cumsum(share.clamp(min=0).double().cpu().numpy() + 1e-12)
    return torch.from_numpy(np.searchsorted(table, rng.uniform(0, table[-1], count))).to(share.device)


def brow_share(head: Head, rng: Generator) -> Tensor:
    x, y = head.centres[:, 0].abs(), head.centres[:, 1]
    arch = BROW_HEIGHT + rng.uniform(-0.01, 0.03) + 0.10 * torch.sin(((x - 0.08) / 0.55).clamp(0, 1) * rng.uniform(2.0, 2.8))
    band = torch.exp(-(((y - arch) / rng.uniform(0.014, 0.034)) ** 2) * (1 + 2 * (x > 0.4)))
    return band * smooth_step(0.06, 0.13, x) * smooth_step(0.66, 0.5, x) * (head.centres[:, 2] > 0.9)


def beard_share(head: Head, rng: Generator) -> Tensor:
    """Moustache, cheeks and chin, each or not."""
    x, y, z = head.centres[:, 0].abs(), head.centres[:, 1], head.centres[:, 2]
    lips = head.masked(head.uv.mean(1))[:, 0]
    mouth = head.lip_height
    moustache = ((x / 0.34) ** 2 + ((y - mouth - 0.17) / 0.085) ** 2 < 1).float()
    jaw = smooth_step(6.95, 6.7, y) * smooth_step(6.02, 6.15, y) * (z > 0.25) * (lips < 0.2)
    below = jaw * (y < mouth + 0.05 + 0.35 * smooth_step(0.35, 0.7, x))
    cheeks = below * smooth_step(0.3, 0.45, x)
    chin = below * smooth_step(0.42, 0.28, x) * (y < mouth - 0.06)
    wanted = [part * float(rng.uniform() < odds) for part, odds in ((moustache, 0.8), (cheeks, 0.6), (chin, 0.8))]
    share = torch.stack(wanted).sum(0).clamp(0, 1) * (lips < 0.3) * (z > 0.3)
    return share if float(share.sum()) > 0 else below


def styled(head: Head, rng: Generator, cut: Haircut, rest: Tensor, kinds: Tensor, bald: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Per ribbon: length, direction (R, 3), lift and weight."""
    uniform, n, device = rng.uniform, len(rest), rest.device
    side = torch.sign(rest[:, 0])
    top = smooth_step(7.6, 8.3, rest[:, 1])
    front = smooth_step(0.6, 1.2, rest[:, 2]) * top
    parting = uniform(-0.35, 0.35) if uniform() < 0.7 else 0.0
    away = torch.sign(rest[:, 0] - parting + 0.02 * normals_of(rng, n, device)[:, 0])
    comb = torch.tensor(cut.comb, device=device) + torch.from_numpy(rng.normal(0, 0.2, 3)).float().to(device)
    scalp = torch.stack([away * comb[0], comb[1].expand(n), comb[2].expand(n)], -1)
    scalp_length = (cut.sides + cut.top * top) * uniform(0.75, 1.25)
    if cut.width > 0.04 and uniform() < 0.35:  # a fringe
        forward = torch.tensor([uniform(-0.5, 0.5), -0.5, 1.0], device=device)
        scalp = torch.lerp(scalp, forward.expand(n, 3), front[:, None])
        scalp_length = torch.lerp(scalp_length, torch.full_like(front, uniform(0.42, 0.62)), front)
    scalp_length = scalp_length * (1 + 0.12 * normals_of(rng, n, device)[:, 0]).clamp(0.5, 1.4)
    if bald:
        scalp_length = torch.full_like(scalp_length, 0.012)
    brow = torch.stack([side * 0.9, 0.35 - 0.9 * smooth_step(0.3, 0.6, rest[:, 0].abs()), torch.full_like(top, -0.2)], -1)
    beard = torch.stack([0.3 * side, torch.full_like(top, -1.0), torch.full_like(top, 0.2)], -1)
    brow_length = (0.07 + 0.05 * draw_hair(rng, n, device)) * uniform(0.8, 1.2)
    moustache, chin = uniform(0.05, 0.12), uniform(0.04, 0.3)
    beard_length = torch.where(rest[:, 1] > head.lip_height, moustache, chin) * (0.6 + 0.8 * draw_hair(rng, n, device))
    length = torch.stack([scalp_length, brow_length, beard_length])[kinds, torch.arange(n, device=device)]
    direction = torch.stack([scalp, brow, beard])[kinds, torch.arange(n, device=device)]
    lift = torch.tensor([cut.lift * uniform(0.6, 1.3), 0.12, 0.35], device=device)[kinds]
    weight = torch.tensor([cut.weight * uniform(0.7, 1.3), 0.0, 0.5], device=device)[kinds]
    return length, direction, lift, weight


RADIUS_ROWS, RADIUS_COLUMNS = 32, 64


def skull_radius(head: Head, surface: Tensor) -> Tensor:
    """Distance of the skin from SKULL_CENTRE by direction, (1, 1, rows by height, columns by angle): what hair must stay outside of."""
    away = surface - torch.tensor(SKULL_CENTRE, device=surface.device)
    radius = away.norm(dim=-1)
    chosen = (head.vertex_material == SKIN) & (surface[:, 1] > 6.3)
    column = ((torch.atan2(away[:, 0], away[:, 2]) / math.pi + 1) * RADIUS_COLUMNS / 2).long().clamp(0, RADIUS_COLUMNS - 1)
    row = ((away[:, 1] / radius + 1) * RADIUS_ROWS / 2).long().clamp(0, RADIUS_ROWS - 1)
    table = torch.zeros(RADIUS_ROWS * RADIUS_COLUMNS, device=surface.device)
    table = table.scatter_reduce(0, (row * RADIUS_COLUMNS + column)[chosen], radius[chosen], "amax").view(1, 1, RADIUS_ROWS, RADIUS_COLUMNS)
    around = torch.nn.functional.max_pool2d(torch.nn.functional.pad(table, (2, 2, 2, 2), mode="replicate"), 5, 1)
    table = torch.where(table < 0.1, around, table)
    return torch.nn.functional.avg_pool2d(torch.nn.functional.pad(table, (1, 1, 1, 1), mode="replicate"), 3, 1)


@dataclass(frozen=True, eq=False)
class Path:
    """How ribbons find their way: outside the skull (by `shell`), out of the face, around neck and shoulders."""

    skull: Tensor
    shell: Tensor
    curl: float
    turns: float
    free: Tensor
    """Which ribbons fall freely (those of the scalp)."""

    def follow(self, root: Tensor, direction: Tensor, length: Tensor, weight: Tensor, rest: Tensor, rng: Generator) -> Tensor:
        """(R, POINTS, 3), the first point at the root."""
        step = (length / (POINTS - 1))[:, None]
        lock = ((rest * 4).floor() @ torch.tensor([12.9, 78.2, 37.7], device=rest.device)) % (2 * math.pi)
        down = torch.tensor([0.0, -0.55, 0.0], device=rest.device) * weight[:, None]
        fringe = (rest[:, 2] > 0.9) & (rest[:, 1] > 7.9) & (length < 0.7)
        point, points = root, [root]
        for k in range(1, POINTS):
            t = k / (POINTS - 1) * 6 * self.turns
            wave = torch.stack([torch.sin(t + lock), 0.4 * torch.cos(t + 2 * lock), torch.cos(t + lock)], -1)
            bend = down + self.curl * wave * self.free[:, None] + 0.05 * normals_of(rng, len(root), root.device)
            direction = torch.nn.functional.normalize(direction + bend, dim=-1)
            moved = self.pushed(point + direction * step, length, fringe)
            turned = torch.nn.functional.normalize(torch.nn.functional.normalize(moved - point, dim=-1) + 0.3 * direction, dim=-1)
            direction = torch.where(self.free[:, None], turned, direction)
            point = moved
            points.append(point)
        return torch.stack(points, 1)

    def pushed(self, point: Tensor, length: Tensor, fringe: Tensor) -> Tensor:
        """Out of the head, the neck and the face."""
        away = point - torch.tensor(SKULL_CENTRE, device=point.device)
        radius = away.norm(dim=-1).clamp(min=1e-3)
        place = torch.stack([torch.atan2(away[:, 0], away[:, 2]) / math.pi, away[:, 1] / radius], -1)[None, None]
        limit = torch.nn.functional.grid_sample(self.skull, place, align_corners=False, padding_mode="border")[0, 0, 0] + self.shell
        at_neck = smooth_step(6.5, 6.1, point[:, 1])
        out = ((limit - radius) * self.free).clamp(min=0) * (1 - at_neck)
        point = point + away / radius[:, None] * out[:, None]

        from_axis = torch.stack([point[:, 0], torch.zeros_like(radius), point[:, 2]], -1)
        distance = from_axis.norm(dim=-1).clamp(min=0.05)
        shoulders = 0.62 + 0.9 * smooth_step(6.3, 5.2, point[:, 1]) * (point[:, 0].abs() > 0.3)
        out = ((shoulders - distance) * (self.free & (length > 0.9))).clamp(min=0) * at_neck
        point = point + from_axis / distance[:, None] * out[:, None]

        beside = FACE_FREE * smooth_step(8.05, 7.55, point[:, 1]) * smooth_step(0.25, 0.5, point[:, 2]) * self.free
        beside = torch.where(fringe & (point[:, 1] > 7.42), torch.zeros_like(beside), beside)
        side = torch.where(point[:, 0] >= 0, 1.0, -1.0)
        return torch.cat([(side * torch.maximum(point[:, 0].abs(), beside))[:, None], point[:, 1:]], -1)
