"""Groups of strands - a scalp's, brows, a beard, lashes -, where their roots lie, and where they are on a moving face."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from livepuppet.synthetic.head import Head
from livepuppet.synthetic.occlusion import vertex_normals
from livepuppet.synthetic.shading import normalize

SCALP, BROW, BEARD, LASHES = range(4)
"""Kinds of groups."""
HALF_TRILLIONTH = 5e-13
"""The weight of a place where nothing should grow: not quite 0, so that any mask can be drawn from."""
LASH_POINTS = 7
UPPER_LASH, LOWER_LASH = 0.062, 0.020


@dataclass(frozen=True, eq=False)
class Strands(ABC):
    """R strands of one kind. colour: linear light (3,). width: dm. chance, lock: (R,) in 0 … 1, each strand's own and its lock's."""

    kind: int
    colour: Tensor
    width: float
    chance: Tensor
    lock: Tensor

    @abstractmethod
    def placed(self, head: Head, surface: Tensor) -> Tensor:
        """Points (R, K, 3) of the strands on a face whose skin is at `surface` (V, 3), from root to tip."""


@dataclass(frozen=True, eq=False)
class Rooted(Strands):
    """Strands that keep their form. triangle (R,), weights (R, 3): their roots; offsets (R, K, 3): from the root."""

    triangle: Tensor
    weights: Tensor
    offsets: Tensor

    def placed(self, head: Head, surface: Tensor) -> Tensor:
        corners = surface[head.triangles[self.triangle]]
        roots = (corners * self.weights[..., None]).sum(1)
        return roots[:, None] + self.offsets


@dataclass(frozen=True, eq=False)
class Lashes(Strands):
    """Lashes stand on the lids' margins and turn with them.

    inner, outer (R,): the margin's vertices beside each root; share (R,): how far from inner to outer. upper, left (R,) bool. length
    (R,): of the usual. spread (R,): disorder sideways.
    """

    inner: Tensor
    outer: Tensor
    share: Tensor
    upper: Tensor
    left: Tensor
    length: Tensor
    spread: Tensor

    def placed(self, head: Head, surface: Tensor) -> Tensor:
        """Away from the eyeball's middle, then curved up (or down), fanned out to the sides."""
        root = torch.lerp(surface[self.inner], surface[self.outer], self.share[:, None])
        left, right = (surface[eye].mean(0) for eye in head.eyes)
        middle = torch.where(self.left[:, None], left, right)
        away = normalize(root - middle)
        up = normalize(torch.tensor([0.0, 1.0, 0.0]) - away[:, 1:2] * away)
        side = torch.sign(middle[:, :1]) * torch.tensor([1.0, 0.0, 0.0])
        outward = normalize(side - away[:, :1] * away)
        fan = 4 * (root[:, 0] - middle[:, 0]) * torch.sign(middle[:, 0]) + self.spread

        t = torch.linspace(0, 1, LASH_POINTS)[None, :, None]
        rise = torch.where(self.upper[:, None, None], 0.9 * t**2 - 0.15 * t, -0.8 * t)
        bent = away[:, None] * t * (1 - 0.25 * t) + up[:, None] * rise + 0.5 * (outward * fan[:, None])[:, None] * t
        length = self.length * torch.where(self.upper, UPPER_LASH, LOWER_LASH)
        return root[:, None] - 0.004 * away[:, None] + length[:, None, None] * bent


@dataclass(frozen=True, eq=False)
class Roots:
    """R places on the skin. triangle (R,), weights (R, 3): where. place, normal (R, 3): on this person; rest (R, 3): on the average
    head."""

    triangle: Tensor
    weights: Tensor
    place: Tensor
    normal: Tensor
    rest: Tensor

    def flattened(self, direction: Tensor, share: float) -> Tensor:
        """Without `share` of what stands off the skin: (R, 3) -> (R, 3)."""
        return direction - share * (direction * self.normal).sum(-1, keepdim=True) * self.normal


@dataclass(frozen=True, eq=False)
class Soil:
    """The skin that strands grow on, and the chance that decides where. offset (3,): of the noise. ragged (T,): disorder of hairlines."""

    head: Head
    surface: Tensor
    normals: Tensor
    offset: Tensor
    ragged: Tensor
    generator: torch.Generator

    @classmethod
    def of(cls, head: Head, surface: Tensor, offset: Tensor, generator: torch.Generator) -> Soil:
        coarse = head.noise.at(head.centres, 1.1)[:, 0]
        fine = head.noise.at(head.centres, 3.0)[:, 1]
        normals = vertex_normals(surface, head.triangles)
        return cls(head, surface, normals, offset, 0.05 * coarse + 0.03 * fine, generator)

    def normal(self, *size: int) -> Tensor:
        return torch.randn(*size, generator=self.generator)

    def uniform(self, *size: int) -> Tensor:
        return torch.rand(*size, generator=self.generator)

    def roots(self, share: Tensor, count: int) -> Roots:
        """`count` places, the more often where `share` (T,) of the triangles is large."""
        odds = (share * self.head.areas).clamp(min=0) + HALF_TRILLIONTH
        triangle = torch.multinomial(odds, count, replacement=True, generator=self.generator)
        exponential = -torch.log(self.uniform(count, 3).clamp(min=1e-6))
        weights = exponential / exponential.sum(-1, keepdim=True)
        corners = self.head.triangles[triangle]

        def at(values: Tensor) -> Tensor:
            return (values[corners] * weights[..., None]).sum(1)

        return Roots(triangle, weights, at(self.surface), normalize(at(self.normals)), at(self.head.rest))
