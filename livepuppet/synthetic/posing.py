"""From a person and what it does to the vertices of one frame."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from livepuppet.synthetic.acting import Acting, rotation
from livepuppet.synthetic.hair import POINTS
from livepuppet.synthetic.head import Head
from livepuppet.synthetic.noise import smooth_step
from livepuppet.synthetic.occlusion import vertex_normals
from livepuppet.synthetic.person import Clothes, Glasses, Person
from livepuppet.synthetic.setting import Camera

PIVOT = (0.0, 6.35, 0.1)
"""About which head and shoulders turn."""
CLOTH_THICKNESS = 0.07
RIM = 40
"""Points around each lens."""


def cloth_share(clothes: Clothes, rest: Tensor) -> Tensor:
    """Where the resting body is dressed, (N,) in 0 … 1."""
    x, y, z = rest.unbind(-1)
    cut = clothes.v_neck * (1 - x.abs() / 0.5).clamp(min=0) * (z > 0)
    edge = clothes.neckline + 0.25 * smooth_step(0.2, 0.9, x.abs()) - cut
    return smooth_step(0.03, -0.03, y - edge)


def turn_head(points: Tensor, follows: Tensor, acting: Acting) -> Tensor:
    """Head and shoulders rotated about PIVOT, blended by `follows` (N,), then shifted: (N, 3) -> (N, 3)."""
    head, shoulders, shift = rotation(*acting.head), rotation(*acting.shoulders), torch.tensor(acting.shift, dtype=points.dtype)
    return turn_points(points, follows, *(x.to(points.device) for x in (head, shoulders, shift)))


def turn_points(points: Tensor, follows: Tensor, head: Tensor, shoulders: Tensor, shift: Tensor) -> Tensor:
    """The same by rotations (3, 3) and a shift (3,)."""
    pivot = torch.tensor(PIVOT, device=points.device)
    away = points - pivot
    return torch.lerp(away @ shoulders.T, away @ head.T, follows[:, None]) + pivot + shift


def turn_eyes(mesh: Tensor, neutral: Tensor, head: Head, gaze: tuple[float, float]) -> None:
    """Turns the eyeballs of `mesh` (V, 3), in place, about their middles in the `neutral` face (V, 3).

    Args:
        gaze: right and up, radians.
    """
    turn = rotation(gaze[0], -gaze[1], 0.0).to(mesh.device)
    for eye in head.eyes:
        socket = neutral[eye].mean(0)
        mesh[eye] = (mesh[eye] - socket) @ turn.T + socket


@dataclass(frozen=True, eq=False)
class Body:
    """One person's topology and neutral surface; `frame` gives its vertices for an acting and a camera.

    triangles (T, 3) over the mesh's V vertices, then 2 * R * POINTS of the hair, then the glasses'; the first `mesh_triangles` are skin,
    eyes and teeth, the next `hair_triangles` hair.
    """

    head: Head
    person: Person
    neutral: Tensor
    dressed: Tensor
    frame_points: Tensor
    triangles: Tensor
    mesh_triangles: int
    hair_triangles: int

    @classmethod
    def of(cls, head: Head, person: Person) -> Body:
        neutral = head.subdivide(person.cage)
        normals = vertex_normals(neutral, head.triangles)
        dressed = normals * (cloth_share(person.clothes, head.rest) * CLOTH_THICKNESS)[:, None]
        count = len(neutral)
        hair = ribbon_triangles(len(person.hair.width), neutral.device) + count
        parts = [head.triangles, hair]
        frame_points = torch.zeros(0, 3, device=neutral.device)
        if person.glasses is not None:
            frame_points, rims = glasses_mesh(head, person.glasses, neutral)
            parts.append(rims + count + 2 * POINTS * len(person.hair.width))
        return cls(head, person, neutral, dressed, frame_points, torch.cat(parts), len(head.triangles), len(hair))

    def frame(self, acting: Acting, camera: Camera) -> PosedBody:
        head, hair = self.head, self.person.hair
        weights = acting.weights(head.units).to(head.device)
        cage = self.person.cage + torch.einsum("n,ncd->cd", weights, head.expressions)
        mesh = head.subdivide(cage) + self.dressed
        turn_eyes(mesh, self.neutral, head, acting.gaze)
        roots = (mesh[head.triangles[hair.triangle]] * hair.weights[..., None]).sum(1)
        strands = (roots[:, None] + hair.offsets).reshape(-1, 3)
        everything = torch.cat([mesh, strands, self.frame_points])
        follows = torch.cat([head.follows, smooth_step(5.6, 6.5, strands[:, 1]), torch.ones(len(self.frame_points), device=mesh.device)])
        centred = camera.centred(turn_head(everything, follows, acting))
        mesh, frame = centred[: len(mesh)], centred[len(mesh) + len(strands) :]
        strands = centred[len(mesh) : len(mesh) + len(strands)].view(-1, POINTS, 3)
        ribbons, tangents = facing_ribbons(strands, hair.width, camera.eye(mesh.device))
        return PosedBody(self, torch.cat([mesh, ribbons, frame]), tangents, acting)


@dataclass(frozen=True, eq=False)
class PosedBody:
    """One frame's vertices, centred on what the camera aims at.

    Attributes:
        tangents: (R, POINTS, 3) along the hair.
    """

    body: Body
    points: Tensor
    tangents: Tensor
    acting: Acting

    @property
    def mesh(self) -> Tensor:
        return self.points[: len(self.body.neutral)]

    def skull_centre(self, camera: Camera) -> Tensor:
        """Where hair turns its outside away from, (3,)."""
        middle = torch.tensor([[0.0, 7.45, 0.15]], device=self.points.device)
        return camera.centred(turn_head(middle, torch.ones(1, device=middle.device), self.acting))[0]


def ribbon_triangles(ribbons: int, device: torch.device) -> Tensor:
    """Two triangles per segment; all lower ones first: (2 * ribbons * (POINTS - 1), 3)."""
    start = (torch.arange(ribbons, device=device)[:, None] * POINTS + torch.arange(POINTS - 1, device=device)).reshape(-1) * 2
    lower = torch.stack([start, start + 1, start + 2], -1)
    upper = torch.stack([start + 1, start + 3, start + 2], -1)
    return torch.cat([lower, upper])


def facing_ribbons(strands: Tensor, width: Tensor, eye: Tensor) -> tuple[Tensor, Tensor]:
    """Strips that face the camera: (R, POINTS, 3) -> vertices (R * POINTS * 2, 3) and tangents (R, POINTS, 3)."""
    along = strands[:, 1:] - strands[:, :-1]
    tangents = torch.nn.functional.normalize(torch.cat([along, along[:, -1:]], 1), dim=-1)
    t = torch.linspace(0, 1, POINTS, device=strands.device)
    taper = (1.1 - t**3) * (0.6 + 0.4 * smooth_step(0.0, 0.2, t))
    side = torch.nn.functional.normalize(torch.linalg.cross(tangents, eye - strands), dim=-1)
    half = side * (width[:, None] * taper / 2)[..., None]
    return torch.stack([strands - half, strands + half], 2).reshape(-1, 3), tangents


def glasses_mesh(head: Head, glasses: Glasses, neutral: Tensor) -> tuple[Tensor, Tensor]:
    """Rims, bridge and temples fitted to a neutral face: vertices (G, 3), triangles from 0."""
    device = neutral.device
    angle = torch.linspace(0, 2 * math.pi, RIM + 1, device=device)[:-1]
    power = 2 / glasses.squareness
    outline = torch.stack(
        [
            angle.cos().sign() * angle.cos().abs() ** power * glasses.radius_x,
            angle.sin().sign() * angle.sin().abs() ** power * glasses.radius_y,
            torch.full_like(angle, -0.12),
        ],
        -1,
    )
    vertices: list[Tensor] = []
    triangles: list[Tensor] = []

    def strip(one: Tensor, other: Tensor, closed: bool) -> None:
        offset, n = sum(map(len, vertices)), len(one)
        i = torch.arange(n if closed else n - 1, device=device)
        j = (i + 1) % n
        vertices.extend([one, other])
        triangles.extend([torch.stack([i, j, i + n], -1) + offset, torch.stack([j, j + n, i + n], -1) + offset])

    wider = 1 + glasses.thickness / glasses.radius_x
    inner_ends = []
    for eye, side in zip(head.eyes, (1.0, -1.0), strict=True):
        ball = neutral[eye]
        middle = ball.mean(0)
        centre = torch.stack([middle[0] * 1.02, middle[1] - 0.02, ball[:, 2].max() + 0.32])

        def bent(points: Tensor, side: float = side, centre: Tensor = centre) -> Tensor:
            back = 0.25 * (points[:, 0] * side).clamp(min=0) ** 1.5
            return torch.stack([points[:, 0], points[:, 1], points[:, 2] - back], -1) + centre

        strip(bent(outline), bent(outline * torch.tensor([wider, wider, 1.0], device=device)), True)
        strip(bent(outline), bent(outline - torch.tensor([0, 0, 0.04], device=device)), True)
        hinge = centre + torch.tensor([side * glasses.radius_x * 1.03, 0.06, -0.17], device=device)
        ear = torch.stack([torch.tensor(side * 0.8, device=device), hinge[1] + 0.02, torch.tensor(0.15, device=device)])
        t = torch.linspace(0, 1, 6, device=device)[:, None]
        temple = hinge * (1 - t) + ear * t + torch.tensor([side * 0.2, 0, 0], device=device) * t * (1 - t)
        strip(temple, temple + torch.tensor([0, glasses.thickness * 1.2, 0], device=device), False)
        inner_ends.append(centre - torch.tensor([side * glasses.radius_x, -0.05, 0.1], device=device))
    t = torch.linspace(0, 1, 8, device=device)[:, None]
    bridge = inner_ends[0] * (1 - t) + inner_ends[1] * t + torch.tensor([0, 0.2, 0.2], device=device) * t * (1 - t)
    strip(bridge, bridge - torch.tensor([0, glasses.thickness, 0], device=device), False)
    return torch.cat(vertices), torch.cat(triangles)
