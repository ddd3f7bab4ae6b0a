"""The margins of the lids: where lashes stand. Found on the strips of lash in the mesh."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from livepuppet.synthetic.head import LASH, Head

INNER_CORNER, OUTER_CORNER = 0.225, 0.45
"""|x| of the ends of a margin, at rest."""
STEPS = 16
MIDDLE_OF_EYE = 7.275
"""y between upper and lower lids, at rest."""


@dataclass(frozen=True, eq=False)
class LidMargin:
    """vertices: (N,) of the mesh, from nose to temple."""

    vertices: Tensor
    upper: bool
    left: bool


def components(triangles: Tensor, vertices: int) -> Tensor:
    """(T, 3) -> (vertices,): each vertex' connected part of the mesh, named after the part's first vertex.

    Every vertex takes the smallest name among its triangles' corners, until nothing changes (label propagation).
    """
    label = torch.arange(vertices)
    while True:
        smallest = label[triangles].amin(1)
        spread = label.clone()
        for i in range(3):
            spread.scatter_reduce_(0, triangles[:, i], smallest, "amin")
        if torch.equal(spread, label):
            return label
        label = spread


def lid_margins(head: Head) -> tuple[LidMargin, ...]:
    """The edge of each strip of lashes that lies nearest to the eyeball's middle."""
    triangles = head.triangles[head.material == LASH]
    label = components(triangles, len(head.rest))
    names = sorted(set(label[triangles[:, 0]].tolist()))
    return tuple(margin(head, (label == name).nonzero()[:, 0]) for name in names)


def margin(head: Head, strip: Tensor) -> LidMargin:
    """strip: (N,) vertices of one strip of lashes."""
    place = head.rest[strip]
    left = bool(place[0, 0] > 0)
    eye = head.rest[head.eyes[0 if left else 1]].mean(0)
    distance = (place - eye).norm(dim=-1)
    x = place[:, 0].abs()
    edges = torch.linspace(INNER_CORNER, OUTER_CORNER, STEPS + 1).tolist()
    nearest = []
    for low, high in pairwise(edges):
        column = ((x >= low) & (x < high)).nonzero()[:, 0]
        if len(column):
            nearest.append(strip[column[distance[column].argmin()]])
    return LidMargin(torch.stack(nearest), upper=bool(place[:, 1].mean() > MIDDLE_OF_EYE), left=left)
