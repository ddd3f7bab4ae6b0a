"""The picture of one frame: rasterize, paint, light, video."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from livepuppet.synthetic.acting import Acting
from livepuppet.synthetic.backdrop import draw_backdrop
from livepuppet.synthetic.hair import BROW, POINTS, SCALP
from livepuppet.synthetic.head import EYE, LASH, SKIN
from livepuppet.synthetic.materials import paint_surface
from livepuppet.synthetic.noise import smooth_step
from livepuppet.synthetic.occlusion import vertex_normals
from livepuppet.synthetic.posing import Body, PosedBody
from livepuppet.synthetic.raster import Fragments, Keep, rasterize
from livepuppet.synthetic.setting import FilmStock, Setting
from livepuppet.synthetic.shading import ambient, in_tones, lit_share, normalize, shade, shade_hair

STRANDS = (5.0, 2.0)
"""Strands across a ribbon: of the scalp, of brow and beard."""


@dataclass(frozen=True, eq=False)
class RenderedImage:
    """One frame.

    Attributes:
        image: uint8 (H, W, 3) sRGB.
        screen: (N, 3) pixel x, pixel y, depth of every vertex of `body`, at the picture's size.
        fragments: the visible surface on a grid `supersampling` times finer.
    """

    image: Tensor
    body: Body
    screen: Tensor
    fragments: Fragments
    grid: tuple[int, int]
    """Height and width of the fragments' grid."""


@dataclass(frozen=True, eq=False)
class Ribbons:
    """Where a fragment of hair lies on its ribbon: which one, how far across and along (0 … 1), and a number of its strand's own."""

    ribbon: Tensor
    segment: Tensor
    across: Tensor
    along: Tensor
    chance: Tensor

    @classmethod
    def of(cls, body: Body, triangle: Tensor, weights: Tensor) -> Ribbons:
        """triangle: (N,) index among all triangles of `body`; anything for those that are not hair."""
        half = body.hair_triangles // 2
        hair = (triangle - body.mesh_triangles).clamp(0, body.hair_triangles - 1)
        upper = hair >= half
        quad = hair % half
        ribbon, segment = quad // (POINTS - 1), quad % (POINTS - 1)
        across = torch.where(upper, weights[:, 0] + weights[:, 1], weights[:, 1])
        within = torch.where(upper, weights[:, 1] + weights[:, 2], weights[:, 2])
        kind = body.person.hair.kind[ribbon]
        cell = (across * torch.where(kind == SCALP, *STRANDS)).floor()
        chance = ((ribbon * 7.13 + cell * 3.77).sin() * 4375.85) % 1
        return cls(ribbon, segment, across, (segment + within) / (POINTS - 1), chance)

    def solid(self, body: Body) -> Tensor:
        """Where there is a strand, and not the air between two, or beyond its tip."""
        place = (self.across * torch.where(body.person.hair.kind[self.ribbon] == SCALP, *STRANDS)) % 1
        return (self.along < 0.62 + 0.4 * self.chance) & ((place - 0.5).abs() < 0.30 + 0.2 * (1 - self.along))


def cut_outs(body: Body) -> tuple[Tensor, Keep]:
    """(one_sided (T,), keep): skin and eyes are seen from outside only; hair and lashes have gaps."""
    material = body.head.material
    one_sided = torch.zeros(len(body.triangles), dtype=torch.bool, device=material.device)
    one_sided[: body.mesh_triangles] = (material == SKIN) | (material == EYE)

    def keep(triangle: Tensor, weights: Tensor) -> Tensor:
        is_hair = (triangle >= body.mesh_triangles) & (triangle < body.mesh_triangles + body.hair_triangles)
        is_lash = (triangle < body.mesh_triangles) & (material[triangle.clamp(max=body.mesh_triangles - 1)] == LASH)
        lashes = (3 * weights[:, 0] + 3 * weights[:, 1]) % 1 < 0.5
        strands = torch.where(is_lash, lashes, torch.ones_like(lashes))
        hair = is_hair.nonzero()[:, 0]
        strands[hair] = Ribbons.of(body, triangle[hair], weights[hair]).solid(body)
        return strands

    return one_sided, keep


def photograph(
    body: Body, acting: Acting, setting: Setting, width: int, height: int, *, supersampling: float = 1.5, backdrop: Tensor | None = None
) -> RenderedImage:
    """One frame of a person.

    Args:
        backdrop: linear light (h, w, 3) of `grid_size`; None draws the setting's own.
    """
    grid_height, grid_width = grid_size(width, height, supersampling)
    posed = body.frame(acting, setting.camera)
    screen = setting.camera.screen(posed.points, grid_width, grid_height)
    one_sided, keep = cut_outs(body)
    seen = rasterize(screen, body.triangles, grid_height, grid_width, one_sided=one_sided, keep=keep)
    place = seen.at(posed.points, body.triangles)
    view = normalize(setting.camera.eye(place.device) - place)
    lit = lit_share(posed.points, body.triangles, place, setting.light, keep)
    colour = torch.zeros_like(place)

    end_of_hair = body.mesh_triangles + body.hair_triangles
    chosen = (seen.triangle < body.mesh_triangles).nonzero()[:, 0]
    surface = paint_surface(posed, seen.chosen(chosen))
    shaded = shade(surface, view[chosen], setting.light, lit[chosen])
    colour[chosen] = in_tones(shaded, surface.albedo) if body.person.look == "toon" else shaded
    chosen = ((seen.triangle >= body.mesh_triangles) & (seen.triangle < end_of_hair)).nonzero()[:, 0]
    colour[chosen] = hair_colour(posed, seen.chosen(chosen), place[chosen], view[chosen], setting, lit[chosen])
    chosen = (seen.triangle >= end_of_hair).nonzero()[:, 0]
    if body.person.glasses is not None and len(chosen):
        frontal = torch.tensor([[0.0, 0.0, 1.0]], device=place.device)
        light = ambient(frontal, setting.light) + sum(
            0.6 * lamp.colour * max(float(lamp.direction[2]), 0.0) for lamp in setting.light.lamps
        )
        colour[chosen] = body.person.glasses.colour.to(place.device) * light + 0.03

    if backdrop is None:
        backdrop = draw_backdrop(setting.backdrop_seed, grid_height, grid_width, place.device)
    linear = backdrop.reshape(-1, 3).clone()
    linear[seen.pixel] = colour
    image = develop(linear.view(grid_height, grid_width, 3), setting.film, width, height, grain_seed=setting.backdrop_seed)
    scale = torch.tensor([width / grid_width, height / grid_height, 1.0], device=screen.device)
    return RenderedImage(image, body, screen * scale, seen, (grid_height, grid_width))


def grid_size(width: int, height: int, supersampling: float) -> tuple[int, int]:
    """Height and width of the grid that is rasterized."""
    return round(height * supersampling), round(width * supersampling)


def hair_colour(posed: PosedBody, seen: Fragments, place: Tensor, view: Tensor, setting: Setting, lit: Tensor) -> Tensor:
    """Shaded strands, (N, 3)."""
    body, hair = posed.body, posed.body.person.hair
    on = Ribbons.of(body, seen.triangle, seen.weights)
    kind = hair.kind[on.ribbon]
    tangent = posed.tangents[on.ribbon, on.segment]
    normals = vertex_normals(posed.mesh, body.head.triangles)
    roots = (normals[body.head.triangles[hair.triangle]] * hair.weights[..., None]).sum(1)
    outward = normalize(normalize(place - posed.skull_centre(setting.camera)) + 0.3 * normalize(roots)[on.ribbon])
    albedo = hair.colour.to(place) * ((0.6 + 0.5 * hair.shade[on.ribbon] + 0.35 * on.chance) * (1 + 0.25 * on.along))[:, None]
    albedo = torch.where((kind == BROW)[:, None], 0.5 * albedo + 0.2 * body.person.skin.colour.to(place), albedo)
    if body.person.look == "statue":
        stone = body.person.paint[0].to(place)
        albedo = (0.3 * stone + 0.6 * stone.mean()) * (0.6 + 0.5 * on.chance)[:, None]
    depth = 0.35 + 0.65 * smooth_step(-0.1, 0.5, on.along + 0.3 * on.chance)
    depth = torch.where(kind == SCALP, depth, 0.5 + 0.5 * depth)
    return shade_hair(albedo.clamp(0, 1), tangent, outward, view, setting.light, lit, depth)


def develop(linear: Tensor, film: FilmStock, width: int, height: int, grain_seed: int) -> Tensor:
    """Linear light (h, w, 3) -> uint8 (H, W, 3): exposure, saturation, a soft shoulder, gamma, grain."""
    light = linear * film.exposure
    grey = light.mean(-1, keepdim=True)
    light = (grey + film.saturation * (light - grey)).clamp(min=0)
    light = (light / (1 + 0.18 * light)).clamp(0, 1)
    planes = light.permute(2, 0, 1)[None]
    if planes.shape[2:] != (height, width):
        planes = torch.nn.functional.interpolate(planes, (height, width), mode="bilinear", antialias=True, align_corners=False)
    out = planes[0].permute(1, 2, 0).clamp(0, 1) ** (film.gamma / 2.2)
    if film.noise:
        generator = torch.Generator().manual_seed(grain_seed)
        out = out + film.noise * torch.randn(out.shape, generator=generator).to(out.device)
    return (out.clamp(0, 1) * 255).round().to(torch.uint8)
