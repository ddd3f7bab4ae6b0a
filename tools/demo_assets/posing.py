"""From a groomed person and a pose to the vertices and strands of one picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from livepuppet.synthetic.acting import Acting, rotation
from livepuppet.synthetic.head import LOWER_TEETH, UPPER_TEETH, Head
from livepuppet.synthetic.noise import smooth_step
from livepuppet.synthetic.occlusion import vertex_normals
from livepuppet.synthetic.posing import turn_eyes, turn_points
from tools.demo_assets.complexion import cloth_share
from tools.demo_assets.grooming import Groomed
from tools.demo_assets.strand_group import SCALP

CLOTH_THICKNESS = 0.06
FRIENDLY = {"mouthSmile": 0.20, "cheekSquint": 0.10, "browInnerUp": 0.14, "mouthDimple": 0.06}
"""The expression of every still."""
SHOWS_TEETH = {"jawOpen": 3.0, "mouthUpperUpLeft": 1.2, "mouthUpperUpRight": 1.2}
TEETH_MOVE = {UPPER_TEETH: (0.0, -0.05, 0.012), LOWER_TEETH: (0.0, -0.03, 0.0)}
"""How far teeth come forward and down in an open mouth."""


@dataclass(frozen=True, eq=False)
class Pose:
    """What a face does in one picture.

    weights: (52,) of the head's expression units. gaze: (2,) right and up, radians. head, shoulders: (3, 3) rotations. shift: (3,) dm.
    """

    weights: Tensor
    gaze: Tensor
    head: Tensor
    shoulders: Tensor
    shift: Tensor

    @classmethod
    def of(cls, head: Head, acting: Acting) -> Pose:
        return cls(
            weights=acting.weights(head.units),
            gaze=torch.tensor(acting.gaze),
            head=rotation(*acting.head),
            shoulders=rotation(*acting.shoulders),
            shift=torch.tensor(acting.shift),
        )


def still(head: Head, extra_expression: Mapping[str, float] | None = None) -> Pose:
    """Upright, looking into the camera, with a hint of a smile. extra_expression: weights by unit name; without a side it means both."""
    return Pose.of(head, Acting({**FRIENDLY, **(extra_expression or {})}))


@dataclass(frozen=True, eq=False)
class Posed:
    """face: (V, 3) moved, before head and shoulders turn. mesh: (V, 3) in the world. normals: (V, 3) of `mesh`. strands: (R, K, 3) per
    group, in the world."""

    face: Tensor
    mesh: Tensor
    normals: Tensor
    strands: tuple[Tensor, ...]


def posed(head: Head, groomed: Groomed, pose: Pose) -> Posed:
    face = moved(head, groomed, pose)
    strands = [group.placed(head, face) for group in groomed.groups]
    mesh = turn_points(face, head.follows, pose.head, pose.shoulders, pose.shift)
    hair = []
    for group, points in zip(groomed.groups, strands, strict=True):
        flat = points.reshape(-1, 3)
        # long hair lies on the shoulders
        follows = smooth_step(5.2, 6.5, flat[:, 1]) if group.kind == SCALP else torch.ones(len(flat))
        hair.append(turn_points(flat, follows, pose.head, pose.shoulders, pose.shift).view(points.shape))
    return Posed(face, mesh, vertex_normals(mesh, head.triangles), tuple(hair))


def moved(head: Head, groomed: Groomed, pose: Pose) -> Tensor:
    """Expression, teeth, gaze and clothes, (V, 3); the head stays where it is."""
    face = head.subdivide(groomed.cage + torch.einsum("n,ncd->cd", pose.weights, head.expressions))
    shows = torch.tensor([SHOWS_TEETH.get(unit, 0.0) for unit in head.units])
    share = float((pose.weights @ shows).clamp(0, 1))
    for material, move in TEETH_MOVE.items():
        face[head.vertex_material == material] += share * torch.tensor(move)
    turn_eyes(face, groomed.surface, head, (float(pose.gaze[0]), float(pose.gaze[1])))
    dressed = CLOTH_THICKNESS * cloth_share(groomed.character, head.rest)
    return face + vertex_normals(head.rest, head.triangles) * dressed[:, None]
