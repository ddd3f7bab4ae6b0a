"""Portraits of the named people: a mesh with painted skin, strands of hair, soft shadows, and light that bleeds under the skin.

Slower and finer than `livepuppet.synthetic.renderer`, which makes the training clips.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from livepuppet.synthetic.head import EYE, LASH, SKIN, Head
from livepuppet.synthetic.raster import Fragments, depth_map, rasterize
from livepuppet.synthetic.setting import Camera
from livepuppet.synthetic.shading import normalize
from tools.demo_assets.character import Character
from tools.demo_assets.eyes import axes
from tools.demo_assets.grooming import Groomed, groom
from tools.demo_assets.lids import LidMargin, lid_margins
from tools.demo_assets.lighting import PORTRAIT, ShadowMap, StudioLight, shadow_maps
from tools.demo_assets.painting import Buffers
from tools.demo_assets.posing import Pose, Posed, posed
from tools.demo_assets.scattering import scattered
from tools.demo_assets.spot import survey
from tools.demo_assets.strand_group import BEARD, SCALP
from tools.demo_assets.strands import Shown, cut, drawn, numbered, on_strands, strand_colour
from tools.demo_assets.surface import shade

NOTHING = -1
"""The material of a pixel that shows none of the person."""
FAR = 1e9
POINTS_AT_ONCE = 400_000
"""Of the visible surface, shaded together; bounds the memory."""

Picture = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Layers:
    """The mesh in a picture of P pixels. albedo, light, highlight (P, 3), flesh (P,): of `surface.Shaded`, 0 where there is nothing.
    material (P,): int8, NOTHING where there is nothing. depth (P,): dm from the camera's plane, FAR where there is nothing."""

    albedo: Tensor
    light: Tensor
    highlight: Tensor
    flesh: Tensor
    material: Tensor
    depth: Tensor


@dataclass(frozen=True, eq=False)
class Scene:
    """One posed person before a camera. mesh (V, 3) and strands (R, K, 3): centred on what the camera aims at."""

    groomed: Groomed
    posed: Posed
    turn: Tensor
    camera: Camera
    light: StudioLight
    maps: list[ShadowMap]
    mesh: Tensor
    strands: tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class Studio:
    """Where the named people are portrayed. The head must be on the processor: light and hair are worked out there."""

    head: Head

    @cached_property
    def margins(self) -> tuple[LidMargin, ...]:
        return lid_margins(self.head)

    @cached_property
    def solid(self) -> Tensor:
        """Indices of the triangles that are drawn: all but the lashes', which are strands here."""
        return (self.head.material != LASH).nonzero()[:, 0]

    def person(self, character: Character) -> Groomed:
        with torch.no_grad():
            return groom(self.head, self.margins, character)

    def shot(
        self,
        groomed: Groomed,
        pose: Pose,
        light: StudioLight,
        width: int,
        height: int,
        supersampling: int,
        background: Picture,
        camera: Camera = PORTRAIT,
    ) -> tuple[Picture, Buffers]:
        """Linear light (height, width, 3), and what is known of each pixel in the size that is rendered, `supersampling` times larger.

        background: linear light (height, width, 3).
        """
        with torch.no_grad():
            scene = self.scene(groomed, pose, light, camera)
            large = (width * supersampling, height * supersampling)
            layers = self.layers(scene, *large)
            spread = scattered(layers.light, layers.flesh, large, (width, height), camera)
            behind = torch.from_numpy(resized(background, large, cv2.INTER_LINEAR)).view(-1, 3)
            linear = torch.where((layers.material == NOTHING)[:, None], behind, spread * layers.albedo + layers.highlight)
            strand = draw_hair(scene, layers.depth, linear, *large)
        planes = (layers.albedo, layers.light, linear)
        albedo, received, picture = (np.asarray(plane.view(*large[::-1], 3).numpy(), np.float32) for plane in planes)
        buffers = Buffers(
            material=np.asarray(layers.material.view(*large[::-1]).numpy(), np.int8),
            strand=strand,
            albedo=albedo,
            light=received,
            linear=picture,
            depth=np.asarray(layers.depth.view(*large[::-1]).numpy(), np.float32),
        )
        return resized(picture, (width, height), cv2.INTER_AREA), buffers

    def scene(self, groomed: Groomed, pose: Pose, light: StudioLight, camera: Camera) -> Scene:
        moved = posed(self.head, groomed, pose)
        mesh = camera.centred(moved.mesh)
        strands = tuple(camera.centred(points) for points in moved.strands)
        owned = zip(groomed.groups, strands, strict=True)
        casting = [points.reshape(-1, 3) for group, points in owned if group.kind in (SCALP, BEARD)]
        maps = shadow_maps(mesh, self.head.triangles[self.solid], torch.cat(casting), light)
        return Scene(groomed, moved, pose.head, camera, light, maps, mesh, strands)

    def layers(self, scene: Scene, width: int, height: int) -> Layers:
        """The mesh without hair."""
        head, count = self.head, width * height
        one_sided = (head.material == SKIN) | (head.material == EYE)
        screen = scene.camera.screen(scene.mesh, width, height)
        seen = rasterize(screen, head.triangles[self.solid], height, width, one_sided=one_sided[self.solid])
        seen = Fragments(seen.pixel, self.solid[seen.triangle], seen.weights, seen.depth)
        layers = Layers(
            albedo=torch.zeros(count, 3),
            light=torch.zeros(count, 3),
            highlight=torch.zeros(count, 3),
            flesh=torch.zeros(count),
            material=torch.full((count,), NOTHING, dtype=torch.int8),
            depth=depth_map(seen, height, width, far=FAR).view(-1),
        )
        layers.material[seen.pixel] = head.material[seen.triangle].to(torch.int8)
        axis = axes(head, scene.posed.face, scene.turn)
        for part in parts(seen):
            place = part.at(scene.mesh, head.triangles)
            view = normalize(scene.camera.eye(place.device) - place)
            spot = survey(head, scene.groomed, part, scene.posed.face, scene.posed.normals, view)
            shaded = shade(spot, place, axis, scene.light, scene.maps)
            layers.albedo[part.pixel] = shaded.albedo
            layers.light[part.pixel] = shaded.light
            layers.highlight[part.pixel] = shaded.highlight
            layers.flesh[part.pixel] = shaded.flesh
        return layers


def parts(seen: Fragments) -> Iterator[Fragments]:
    """At most POINTS_AT_ONCE at a time."""
    for first in range(0, len(seen.pixel), POINTS_AT_ONCE):
        yield seen.chosen(torch.arange(first, min(first + POINTS_AT_ONCE, len(seen.pixel))))


def draw_hair(scene: Scene, depth: Tensor, linear: Tensor, width: int, height: int) -> NDArray[np.int32]:
    """Paints the strands into `linear` (height * width, 3). Returns which strand is seen where, (height, width), of `strands.numbered`."""
    groups = scene.groomed.groups
    pieces = cut(groups, scene.strands, scene.camera, width, height)
    shown = drawn(pieces, scene.groomed.kinds, depth, width, height)
    owner = pieces.group[shown.piece]
    for number, (group, points) in enumerate(zip(groups, scene.strands, strict=True)):
        own = (owner == number).nonzero()[:, 0]
        some = Shown(shown.pixel[own], shown.piece[own])
        hairs = on_strands(some, pieces, group, points, width)
        linear[some.pixel] = strand_colour(hairs, scene.groomed.character, scene.camera, scene.light, scene.maps)
    return numbered(shown, pieces, width, height)


def resized(picture: Picture, size: tuple[int, int], how: int) -> Picture:
    """size: width, height."""
    return np.asarray(cv2.resize(np.ascontiguousarray(picture, np.float32), size, interpolation=how), np.float32)
