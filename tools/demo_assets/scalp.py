"""Hair of the head: strands that set out from the scalp, bend, stay outside of head and shoulders, and gather in locks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from livepuppet.synthetic.hair import SKULL_CENTRE, scalp_share
from livepuppet.synthetic.head import SKIN, Head
from livepuppet.synthetic.noise import smooth_step
from livepuppet.synthetic.shading import normalize
from tools.demo_assets.character import Character, Direction, Haircut
from tools.demo_assets.strand_group import SCALP, Rooted, Roots, Soil

WIDTH = 0.0042
STEPS_OF_WEIGHT = 14
"""Points of the strand for which gravity was weighed."""
ROWS, COLUMNS = 32, 64
"""Of the table of the skull's radius: by height, by angle."""
LONG = 0.9
"""Strands longer than this lie on the shoulders."""
APART = 0.6
"""How far the two sides of a parting are from each other when locks are gathered."""


def grow_scalp(soil: Soil, character: Character, colour: Tensor) -> Rooted:
    cut = character.haircut
    down = torch.stack([torch.zeros_like(soil.ragged), -soil.ragged, torch.zeros_like(soil.ragged)], -1)
    share = scalp_share(soil.head.centres + down, character.recede, character.side)
    roots = soil.roots(share, character.strands)
    field = Field.of(soil, roots, cut)
    length = lengths(soil, roots, cut, field, share[roots.triangle])
    points = grown(soil, roots, cut, field, length)
    for _ in range(cut.smoothing):
        points[:, 1:-1] = 0.5 * points[:, 1:-1] + 0.25 * (points[:, :-2] + points[:, 2:])
    points, lock = gathered(soil, roots, cut, field, points)
    return Rooted(
        kind=SCALP,
        colour=colour,
        width=WIDTH,
        chance=soil.uniform(character.strands),
        lock=lock,
        triangle=roots.triangle,
        weights=roots.weights,
        offsets=points - roots.place[:, None],
    )


@dataclass(frozen=True, eq=False)
class Field:
    """What guides R strands. top (R,): 1 on top of the head, 0 at its sides. side (R,): -1 or 1, away from the parting. coarse, middle,
    fine (R, 3): smooth noise, the first two along the skin."""

    top: Tensor
    side: Tensor
    coarse: Tensor
    middle: Tensor
    fine: Tensor

    @classmethod
    def of(cls, soil: Soil, roots: Roots, cut: Haircut) -> Field:
        place = roots.rest + soil.offset
        noise = soil.head.noise
        coarse = roots.flattened(noise.at(place, 0.16)[:, :3], 0.85)
        middle = roots.flattened(noise.at(place, 0.5)[:, :3], 0.85)
        beyond = roots.rest[:, 0] - cut.parting - 0.03 * middle[:, 0]
        return cls(
            top=smooth_step(7.55, 8.25, roots.rest[:, 1]),
            side=torch.where(beyond > 0, 1.0, -1.0),
            coarse=coarse,
            middle=middle,
            fine=noise.at(place, 1.6)[:, :3],
        )


def lengths(soil: Soil, roots: Roots, cut: Haircut, field: Field, share: Tensor) -> Tensor:
    """(R,) dm. share (R,): how much hair grows at each root."""
    length = cut.length * field.top + cut.side_length * (1 - field.top)
    uneven = 0.6 * soil.normal(len(share)) + field.middle[:, 1]
    length = length * (1 + 0.1 * uneven).clamp(0.4, 1.6)
    above_ears = smooth_step(8.0, 7.6, roots.rest[:, 1]) * smooth_step(0.4, 0.65, roots.rest[:, 0].abs())
    length = length * (1 - cut.tuck * above_ears)
    if cut.fade:
        length = length * (0.45 + 0.55 * smooth_step(0.0, 0.5, share - 0.2))
    return length


def start(soil: Soil, roots: Roots, cut: Haircut, field: Field) -> Tensor:
    """Unit directions (R, 3) in which the strands leave the skin."""
    flow = heading(cut.top, field.side if cut.split else torch.ones_like(field.side)) * field.top[:, None]
    flow = flow + heading(cut.sides, torch.sign(roots.rest[:, 0])) * (1 - field.top)[:, None]
    side_lift = cut.lift / 2 if cut.side_lift is None else cut.side_lift
    lift = cut.lift * field.top + side_lift * (1 - field.top)
    wild = cut.wild * field.coarse + 0.5 * cut.wild * field.middle
    return normalize(roots.normal * lift[:, None] + flow + wild + cut.frizz * soil.normal(len(lift), 3))


def heading(direction: Direction, side: Tensor) -> Tensor:
    """(away, up, forward) on the sides (R,) -> (R, 3)."""
    away, up, forward = direction
    return torch.stack([side * away, torch.full_like(side, up), torch.full_like(side, forward)], -1)


def grown(soil: Soil, roots: Roots, cut: Haircut, field: Field, length: Tensor) -> Tensor:
    """Strand by strand in steps: (R, points, 3)."""
    count = len(length)
    direction = start(soil, roots, cut, field)
    cell = (roots.rest * cut.lock_grain + 0.6 * field.fine).floor()
    mixed = (cell.double() @ torch.tensor([12.9, 78.2, 37.7], dtype=torch.float64)).sin() * 43758.5 % 6.28  # alike on every processor
    phase = mixed.float() + 0.5 * soil.normal(count) * cut.loose
    shell = cut.shell * (0.15 + soil.uniform(count)) + 0.015
    body = Body(skull_radius(soil.head, soil.surface), torch.minimum(shell, 0.3 * length + 0.01), length, field.side, cut)
    down = torch.tensor([0.0, -0.55, 0.0]) * cut.weight * (STEPS_OF_WEIGHT / cut.points)
    step = (length / (cut.points - 1))[:, None]
    point = roots.place
    points = [point]
    for k in range(1, cut.points):
        t = k / (cut.points - 1)
        bend = down + cut.curl * wave(cut.turns * t, phase) + 0.5 * cut.frizz * soil.normal(count, 3)
        direction = normalize(direction + bend)
        moved = body.pushed(point + direction * step, t)
        direction = normalize(normalize(moved - point) + 0.35 * direction)
        point = moved
        points.append(point)
    return torch.stack(points, 1)


def wave(turns: float, phase: Tensor) -> Tensor:
    """(R,) -> (R, 3)."""
    return torch.stack([torch.sin(6 * turns + phase), 0.4 * torch.cos(5 * turns + 2 * phase), torch.cos(6 * turns + phase)], -1)


def gathered(soil: Soil, roots: Roots, cut: Haircut, field: Field, points: Tensor) -> tuple[Tensor, Tensor]:
    """Strands bend towards the leader of their lock, the more the nearer to the tip: points (R, K, 3) and the locks' chance (R,)."""
    leader = torch.randperm(len(points), generator=soil.generator)[: cut.locks]
    apart = field.side[:, None] * (APART if cut.split else 0.0)
    place = torch.cat([roots.rest, apart], 1)
    own = torch.cdist(place, place[leader]).argmin(1)
    pull = cut.clumping * torch.linspace(0, 1, cut.points)[None, :, None] ** 1.3
    return torch.lerp(points, points[leader][own], pull), soil.uniform(cut.locks)[own]


# ---------------------------------------------------------------- what hair must stay outside of


def skull_radius(head: Head, surface: Tensor) -> Tensor:
    """Distance of the skin from SKULL_CENTRE by direction, without ears, (1, 1, ROWS, COLUMNS); the crown is evened out."""
    away = surface - torch.tensor(SKULL_CENTRE)
    radius = away.norm(dim=-1)
    x, y = head.rest[:, 0].abs(), head.rest[:, 1]
    without_ears = (x < 0.79) | (y > 7.5) | (y < 6.8)
    chosen = (head.vertex_material == SKIN) & (surface[:, 1] > 6.3) & without_ears
    column = ((torch.atan2(away[:, 0], away[:, 2]) / math.pi + 1) * COLUMNS / 2).long().clamp(0, COLUMNS - 1)
    row = ((away[:, 1] / radius + 1) * ROWS / 2).long().clamp(0, ROWS - 1)
    table = torch.zeros(ROWS * COLUMNS).scatter_reduce(0, (row * COLUMNS + column)[chosen], radius[chosen], "amax")
    table = evened(table.view(1, 1, ROWS, COLUMNS))
    around = torch.nn.functional.max_pool2d(padded(table, 2), 5, 1)
    table = table + (table < 0.1) * around
    return torch.nn.functional.avg_pool2d(padded(table, 1), 3, 1)


def evened(table: Tensor) -> Tensor:
    """Near the crown few vertices lie in each cell: empty ones take their row's mean, and the last rows come near to it."""
    full = (table > 0.1).float()
    mean = (table * full).sum(3, keepdim=True) / full.sum(3, keepdim=True).clamp(min=1)
    row = torch.arange(ROWS)[None, None, :, None]
    table = torch.where((full == 0) & (row >= ROWS - 5), mean, table)
    return torch.where(row >= ROWS - 2, 0.3 * table + 0.7 * mean, table)


def padded(table: Tensor, by: int) -> Tensor:
    return torch.nn.functional.pad(table, (by, by, by, by), mode="replicate")


@dataclass(frozen=True, eq=False)
class Body:
    """Head, neck, shoulders and the face, that R strands keep out of. skull: of `skull_radius`; shell, length, side: (R,)."""

    skull: Tensor
    shell: Tensor
    length: Tensor
    side: Tensor
    cut: Haircut

    def pushed(self, point: Tensor, t: float) -> Tensor:
        """(R, 3) -> (R, 3). t: 0 at the root, 1 at the tip."""
        below = smooth_step(6.5, 6.1, point[:, 1])
        return self.out_of_face(self.out_of_neck(self.out_of_skull(point, t, 1 - below), below))

    def out_of_skull(self, point: Tensor, t: float, share: Tensor) -> Tensor:
        away = point - torch.tensor(SKULL_CENTRE)
        radius: Tensor = away.norm(dim=-1)
        where = torch.stack([torch.atan2(away[:, 0], away[:, 2]) / math.pi, away[:, 1] / radius], -1)[None, None]
        skin = torch.nn.functional.grid_sample(self.skull, where, align_corners=False, padding_mode="border")[0, 0, 0]
        least = skin + self.shell * min(1.0, 3 * t)
        push = (least - radius).clamp(min=0) * share
        return point + away / radius[:, None] * push[:, None]

    def out_of_neck(self, point: Tensor, share: Tensor) -> Tensor:
        """And shoulders; only long hair reaches there."""
        away = point * torch.tensor([1.0, 0.0, 1.0])
        distance: Tensor = away.norm(dim=-1)
        least = 0.64 + 0.95 * smooth_step(6.2, 5.1, point[:, 1]) * (point[:, 0].abs() > 0.3)
        push = ((least - distance) * (self.length > LONG)).clamp(min=0) * share
        return point + away / distance[:, None].clamp(min=0.05) * push[:, None]

    def out_of_face(self, point: Tensor) -> Tensor:
        x, y, z = point.unbind(-1)
        before = smooth_step(8.05, 7.55, y) * smooth_step(0.25, 0.5, z) * smooth_step(0.5, 0.8, self.length)
        least = self.cut.open * before
        side = self.side if self.cut.split else torch.where(x >= 0, 1.0, -1.0)
        beside = side * torch.maximum(x * side, least)
        return torch.stack([torch.where(least > 1e-3, beside, x), y, z], -1)
