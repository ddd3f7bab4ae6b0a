"""What the painting of skin, eyes and mouth needs to know of visible points, and what it says of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from livepuppet.synthetic.head import Head
from livepuppet.synthetic.noise import smooth_step
from livepuppet.synthetic.raster import Fragments
from livepuppet.synthetic.shading import normalize
from tools.demo_assets.grooming import Groomed


@dataclass(frozen=True, eq=False)
class Spot:
    """N visible points of a person's mesh.

    fragments: where. rest (N, 3): on the average head. face (N, 3): on the moved face, before the head turns. normal (N, 3): unit,
    towards the outside, in the world. view (N, 3): unit, towards the camera.
    """

    head: Head
    groomed: Groomed
    fragments: Fragments
    rest: Tensor
    face: Tensor
    normal: Tensor
    view: Tensor

    def only(self, which: Tensor) -> Spot:
        """which: (M,) of the N points."""
        return Spot(
            self.head,
            self.groomed,
            self.fragments.chosen(which),
            self.rest[which],
            self.face[which],
            self.normal[which],
            self.view[which],
        )

    @cached_property
    def material(self) -> Tensor:
        return self.head.material[self.fragments.triangle]

    @cached_property
    def openness(self) -> Tensor:
        """(N,) share of the sky each point sees at rest."""
        return self.fragments.at(self.head.occlusion[:, None], self.head.triangles)[:, 0]

    @cached_property
    def uv(self) -> Tensor:
        return self.fragments.mix(self.head.uv)

    @cached_property
    def masks(self) -> Tensor:
        """(N, 3) lips, eyelids, ears."""
        return self.head.masked(self.uv)

    @cached_property
    def lips(self) -> Tensor:
        """(N,) in 0 … 1; the texture's other mouth, inside, left out."""
        return smooth_step(0.15, 0.85, (self.masks[:, 0] * (self.uv[:, 0] > 0.8)).clamp(0, 1))

    def noise(self, frequency: float) -> Tensor:
        """(N, 4), this person's own, fixed to the skin."""
        return self.head.noise.at(self.rest + self.groomed.offset, frequency)

    @cached_property
    def folds(self) -> Tensor:
        return self.noise(0.07)

    @cached_property
    def coarse(self) -> Tensor:
        return self.noise(0.17)

    @cached_property
    def middle(self) -> Tensor:
        return self.noise(0.6)

    @cached_property
    def fine(self) -> Tensor:
        return self.noise(2.3)

    @cached_property
    def grain(self) -> Tensor:
        return self.noise(8.0)

    def near(self, x: float, y: float, z: float, size: float) -> Tensor:
        """(N,) 1 at (±x, y, z) on the resting face, falling off over `size` dm."""
        across = (self.rest[:, 0].abs() - x) / size
        up = (self.rest[:, 1] - y) / size
        forward = (self.rest[:, 2] - z) / (1.6 * size)
        return torch.exp(-(across**2 + up**2 + forward**2))


@dataclass(frozen=True, eq=False)
class Material:
    """What N points are made of.

    albedo (N, 3): linear. normal (N, 3): with the skin's relief. roughness, gloss (N,): of the highlight; openness (N,): share of the light
    around that arrives; flesh (N,): 1 where light scatters under skin, cloth (N,): 1 where there is cloth.
    """

    albedo: Tensor
    normal: Tensor
    roughness: Tensor
    gloss: Tensor
    openness: Tensor
    flesh: Tensor
    cloth: Tensor

    @classmethod
    def plain(cls, normal: Tensor) -> Material:
        """Black and matt, to be filled in by `put`."""
        zero = torch.zeros(len(normal))
        return cls(torch.zeros(len(normal), 3), normal.clone(), zero + 0.9, zero.clone(), zero + 1.0, zero.clone(), zero.clone())

    def put(self, which: Tensor, part: Material) -> None:
        """part: of the M points `which` (M,)."""
        self.albedo[which] = part.albedo
        self.normal[which] = part.normal
        self.roughness[which] = part.roughness
        self.gloss[which] = part.gloss
        self.openness[which] = part.openness
        self.flesh[which] = part.flesh
        self.cloth[which] = part.cloth

    @classmethod
    def smooth(cls, spot: Spot, albedo: Tensor, roughness: float, gloss: float, openness: Tensor) -> Material:
        """Neither flesh nor cloth, and without relief."""
        zero = torch.zeros(len(albedo))
        return cls(albedo, spot.normal, zero + roughness, zero + gloss, openness, zero, zero)


def survey(head: Head, groomed: Groomed, fragments: Fragments, face: Tensor, normals: Tensor, view: Tensor) -> Spot:
    """face, normals: (V, 3) of the mesh. view: (N, 3)."""
    return Spot(
        head=head,
        groomed=groomed,
        fragments=fragments,
        rest=fragments.mix(head.rest_corners),
        face=fragments.at(face, head.triangles),
        normal=normalize(fragments.at(normals, head.triangles)),
        view=view,
    )
