"""What every visible point is made of: colour, normal, roughness and gloss, painted on the resting head so that it moves with the skin."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from livepuppet.synthetic.hair import scalp_share
from livepuppet.synthetic.head import EYE, LASH, LOWER_TEETH, SKIN, TONGUE, UPPER_TEETH, Head
from livepuppet.synthetic.noise import smooth_step
from livepuppet.synthetic.occlusion import vertex_normals
from livepuppet.synthetic.person import Person, linear
from livepuppet.synthetic.posing import PosedBody, cloth_share
from livepuppet.synthetic.raster import Fragments

SCLERA, TOOTH, TONGUE_COLOUR, MOUTH_INSIDE = linear(228, 222, 218), linear(236, 226, 208), linear(176, 84, 84), linear(96, 34, 34)
PUPIL, IRIS_EDGE = 0.18, 0.48
"""Radians from the eye's axis."""


@dataclass(frozen=True, eq=False)
class Surface:
    """N visible points. albedo, normal, smooth_normal (N, 3); roughness, gloss, openness, flesh (N,): openness is the share of sky seen,
    flesh 1 where light scatters under skin."""

    albedo: Tensor
    normal: Tensor
    smooth_normal: Tensor
    roughness: Tensor
    gloss: Tensor
    openness: Tensor
    flesh: Tensor


@dataclass(frozen=True, eq=False)
class Spot:
    """What the painting below needs to know of N points of the mesh."""

    rest: Tensor
    uv: Tensor
    material: Tensor
    openness: Tensor
    lips: Tensor
    lids: Tensor
    ears: Tensor
    coarse: Tensor
    middle: Tensor
    fine: Tensor
    folds: Tensor

    def near(self, x: float, y: float, z: float, size: float) -> Tensor:
        """1 at (±x, y, z) on the resting face, falling off over `size` dm."""
        dx, dy, dz = (self.rest[:, 0].abs() - x) / size, (self.rest[:, 1] - y) / size, (self.rest[:, 2] - z) / (1.6 * size)
        return torch.exp(-(dx**2 + dy**2 + dz**2))


def paint_surface(posed: PosedBody, fragments: Fragments) -> Surface:
    """The material of mesh fragments (triangles below `mesh_triangles`)."""
    head, person = posed.body.head, posed.body.person
    normal = torch.nn.functional.normalize(fragments.at(vertex_normals(posed.mesh, head.triangles), head.triangles), dim=-1)
    spot = survey_surface(head, person, fragments)
    is_body, is_eye = spot.material == SKIN, spot.material == EYE
    dressed = cloth_share(person.clothes, spot.rest) * is_body
    bare = is_body * (1 - dressed)

    body = torch.lerp(skin(head, person, spot), cloth(person, spot), dressed[:, None])
    albedo = looked(person, spot, body)
    for code, colour in (
        (EYE, eye(head, person, spot)),
        (UPPER_TEETH, tooth(spot)),
        (LOWER_TEETH, tooth(spot) * 0.8),
        (TONGUE, TONGUE_COLOUR.to(albedo) * (1 + 0.2 * spot.fine[:, :1]) * smooth_step(0.4, 1.3, spot.rest[:, 2:]).clamp(min=0.1)),
        (LASH, torch.full_like(albedo, 0.012)),
    ):
        albedo = torch.where((spot.material == code)[:, None], colour, albedo)
    if person.look == "statue":
        stone = person.paint[0].to(albedo)
        stone = 0.3 * stone + 0.6 * stone.mean()
        albedo = stone * (1 + 0.06 * spot.fine[:, :1] + 0.06 * spot.middle[:, :1]) * torch.where(is_eye, 0.85, 1.0)[:, None]

    age = person.skin.age
    pores = (0.05 + 0.2 * age) * spot.fine[:, :3]
    wrinkles = 0.12 * age * spot.middle[:, :3] * torch.tensor([0.4, 1.5, 0.4], device=albedo.device)
    creases = 0.5 * spot.coarse[:, :3] + 0.3 * spot.folds[:, :3]
    bump = bare[:, None] * 0.5 * (pores + wrinkles) + dressed[:, None] * 0.6 * creases
    inside = (spot.material >= UPPER_TEETH) & (spot.material <= TONGUE)
    roughness = torch.where(is_eye, 0.05, torch.where(inside, 0.25, person.skin.roughness - 0.18 * spot.lips)).clamp(min=0.04)
    gloss = torch.where(is_body, person.skin.gloss * (1 + 0.3 * spot.fine[:, 1]) * (1 - dressed), torch.where(is_eye, 1.2, 0.6))
    openness = torch.where(is_body, spot.openness.clamp(min=0.1), torch.where(is_eye, 0.8, 0.55))
    return Surface(
        albedo=albedo.clamp(0, 1),
        normal=torch.nn.functional.normalize(normal + bump, dim=-1),
        smooth_normal=normal,
        roughness=roughness,
        gloss=torch.where(spot.material == LASH, 0.0, gloss),
        openness=openness,
        flesh=bare,
    )


def survey_surface(head: Head, person: Person, fragments: Fragments) -> Spot:
    rest = fragments.mix(head.rest_corners)
    uv = fragments.mix(head.uv)
    lips, lids, ears = head.masked(uv).unbind(-1)
    place = rest + person.offset
    return Spot(
        rest=rest,
        uv=uv,
        material=head.material[fragments.triangle],
        openness=fragments.at(head.occlusion[:, None], head.triangles)[:, 0],
        lips=lips * (uv[:, 0] > 0.8),
        lids=lids,
        ears=ears,
        coarse=head.noise.at(place, 0.17),
        middle=head.noise.at(place, 0.6),
        fine=head.noise.at(place, 2.3),
        folds=head.noise.at(place, 0.045),
    )


def skin(head: Head, person: Person, spot: Spot) -> Tensor:
    """Base tone, blood under cheeks, nose and ears, freckles, tired eyes, lips, painted lids, stubble, scalp, inner mouth."""
    own, device = person.skin, spot.rest.device
    hair = person.hair.colour.to(device)
    grain = 0.6 * spot.coarse[:, :1] + 0.35 * spot.middle[:, :1] + 0.35 * spot.fine[:, :1]
    colour = own.colour.to(device) * (1 + own.mottle * grain).clamp(0.3, 2)
    blood = 0.6 * spot.near(0.5, 6.98, 1.1, 0.25) + 0.7 * spot.near(0, 6.98, 1.6, 0.16)
    blood = (blood + 0.6 * spot.ears + 0.35 * spot.near(0.31, 7.28, 1.3, 0.2)) * (1 - 0.6 * own.darkness)
    colour = colour * (1 - blood[:, None] * torch.tensor([0.02, 0.28, 0.24], device=device))
    freckles = smooth_step(1.1, 1.8, spot.fine[:, 1]) * own.freckles * spot.near(0.3, 7.05, 1.3, 0.5)
    tired = 0.35 * spot.near(0.3, 7.12, 1.3, 0.12) * (0.3 + own.age)
    moles = 0.7 * smooth_step(2.5, 2.9, spot.middle[:, 2])
    colour = colour * ((1 - 0.55 * freckles) * (1 - tired) * (1 - moles))[:, None]
    lips = 0.85 * spot.lips[:, None]
    colour = torch.lerp(colour, own.lips.to(device) * (1 + 0.25 * spot.fine[:, 3:4]), lips)
    colour = torch.lerp(colour, own.eyelids.to(device).expand_as(colour), own.eyelid_paint * spot.lids[:, None])

    x, y, z = spot.rest.unbind(-1)
    jaw = smooth_step(7.0, 6.75, y) * smooth_step(6.05, 6.25, y) * (z > 0.3) * (1 - spot.lips)
    jaw = jaw * (y < head.lip_height + 0.3 + 0.3 * smooth_step(0.4, 0.8, x.abs())) * own.stubble
    colour = colour * (1 - 0.6 * jaw * (0.7 + 0.3 * spot.fine[:, 0]))[:, None] + 0.2 * jaw[:, None] * hair
    scalp = (scalp_share(spot.rest, person.hair.recede) * person.hair.scalp)[:, None]
    colour = colour * (1 - 0.75 * scalp) + 0.5 * scalp * hair
    inner = smooth_step(0.12, 0.03, spot.openness) * (z > 0.2) * (y > 6.3) * (y < 7.1) * (x.abs() < 0.5) * (1 - spot.lips)
    return torch.lerp(colour, MOUTH_INSIDE.to(device).expand_as(colour), inner[:, None])


def cloth(person: Person, spot: Spot) -> Tensor:
    x, y = spot.rest[:, 0], spot.rest[:, 1]
    clothes = person.clothes
    one, other = clothes.colours.to(x.device)
    match clothes.pattern:
        case "stripes":
            second = torch.sin(3 * clothes.scale * y) > 0.3
        case "checks":
            second = (torch.sin(2 * clothes.scale * x) > 0) ^ (torch.sin(2 * clothes.scale * y) > 0)
        case "patches":
            second = spot.folds[:, 1] > 0.3
        case _:
            second = torch.zeros_like(x, dtype=torch.bool)
    return torch.where(second[:, None], other, one) * (1 + 0.12 * spot.fine[:, :1])


def looked(person: Person, spot: Spot, colour: Tensor) -> Tensor:
    """Grain, and the pattern of painted faces, over skin and clothes."""
    if person.skin.grain:
        colour = colour * (1 + person.skin.grain * (0.5 * spot.fine[:, :1] + 0.5 * spot.fine[:, 1:2].abs() - 0.3)).clamp(0.3, 1.8)
    if person.look == "pattern":
        share = smooth_step(-0.2, 0.2, spot.middle[:, :1] + 0.7 * spot.coarse[:, 1:2])
        one, other = person.paint.to(colour)
        colour = 0.45 * colour + 0.55 * (one * share + other * (1 - share))
    return colour


def eye(head: Head, person: Person, spot: Spot) -> Tensor:
    """Iris with fibres and a dark edge, pupil, white that darkens towards the lids and corners."""
    device = spot.rest.device
    left, right = (head.rest[which].mean(0) for which in head.eyes)
    away = torch.nn.functional.normalize(spot.rest - torch.where(spot.rest[:, :1] > 0, left, right), dim=-1)
    angle = torch.atan2(away[:, :2].norm(dim=-1), away[:, 2])
    around = torch.atan2(away[:, 1], away[:, 0])
    # cos and sin, so that the fibres have no seam where the angle wraps
    fibres = head.noise.at(torch.stack([1.5 * around.cos(), 1.5 * around.sin(), 0.4 * angle + person.seed % 7], -1), 1.5)[:, :1]
    edge = smooth_step(0.40, 0.49, angle)[:, None]
    iris = person.iris.to(device) * (1 + 0.4 * fibres).clamp(0.3, 2) * (0.55 + 0.9 * smooth_step(0.2, 0.4, angle))[:, None]
    corner = smooth_step(0.8, 1.4, angle)[:, None] * torch.tensor([0.0, 1.0, 1.0], device=device)
    white = SCLERA.to(device) * (1 - 0.25 * corner)
    colour = torch.lerp(white, iris * (1 - 0.75 * edge), smooth_step(IRIS_EDGE + 0.02, IRIS_EDGE - 0.02, angle)[:, None])
    colour = colour * smooth_step(PUPIL - 0.01, PUPIL + 0.02, angle)[:, None]
    under_lid = smooth_step(0.55, -0.1, away[:, 1]).clamp(min=0.25) * (0.55 + 0.45 * smooth_step(0.9, 0.3, angle))
    return colour * under_lid[:, None]


def tooth(spot: Spot) -> Tensor:
    gaps = smooth_step(0.80, 1.0, torch.cos(18 * spot.rest[:, 0]).abs())
    back = smooth_step(0.55, 1.25, spot.rest[:, 2]).clamp(min=0.06)
    return TOOTH.to(gaps.device) * ((1 - 0.45 * gaps) * back)[:, None]
