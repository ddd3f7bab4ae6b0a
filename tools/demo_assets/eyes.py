"""Eyes, teeth and tongue: their colours, the shadow of the lids, and the windows that eyes mirror."""

from __future__ import annotations

import torch
from torch import Tensor

from livepuppet.synthetic.head import LOWER_TEETH, TONGUE, UPPER_TEETH, Head
from livepuppet.synthetic.noise import smooth_step
from livepuppet.synthetic.shading import normalize
from tools.demo_assets.character import linear
from tools.demo_assets.lighting import StudioLight, Window
from tools.demo_assets.spot import Material, Spot

SCLERA, TOOTH, GUM, TONGUE_COLOUR = linear("e6e0da"), linear("e9e2d4"), linear("b06a66"), linear("b86a68")
PUPIL = 0.185
"""Radians from the eye's axis."""
TIP = 12
"""How many of an eye's foremost vertices tell where it looks."""


def of_own_eye(spot: Spot, left: Tensor, right: Tensor) -> Tensor:
    """left or right (3,), by which eye each point belongs to: (N, 3)."""
    return torch.where(spot.rest[:, :1] > 0, left, right)


def from_middle(spot: Spot, place: Tensor, surface: Tensor) -> Tensor:
    """Unit directions (N, 3) from the eyeballs' middles on `surface` (V, 3) to `place` (N, 3)."""
    left, right = (surface[eye].mean(0) for eye in spot.head.eyes)
    return normalize(place - of_own_eye(spot, left, right))


def off_axis(spot: Spot) -> Tensor:
    """(N,) radians from the eye's axis."""
    away = from_middle(spot, spot.rest, spot.head.rest)
    return torch.atan2(away[:, :2].norm(dim=-1), away[:, 2])


def paint_eyes(spot: Spot) -> Material:
    return Material.smooth(spot, eye_colour(spot), roughness=0.35, gloss=0.25, openness=0.95 * under_lids(spot))


def eye_colour(spot: Spot) -> Tensor:
    """White, reddish towards the corners; iris with fibres in two sizes and a dark edge; pupil. (N, 3)"""
    angle = off_axis(spot)
    corner = smooth_step(0.75, 1.4, angle)[:, None] * torch.tensor([0.2, 0.9, 0.85])
    white = SCLERA * (1 - 0.30 * corner) * (1 + 0.02 * spot.fine[:, :1])
    edge = smooth_step(0.37, 0.475, angle)[:, None]
    colour = torch.lerp(white, iris_colour(spot, angle) * (1 - 0.8 * edge), smooth_step(0.49, 0.455, angle)[:, None])
    return colour * (1 - 0.985 * smooth_step(PUPIL + 0.02, PUPIL - 0.01, angle))[:, None]


def iris_colour(spot: Spot, angle: Tensor) -> Tensor:
    away = from_middle(spot, spot.rest, spot.head.rest)
    around = torch.atan2(away[:, 1], away[:, 0])
    left = 7.0 * (spot.rest[:, 0] > 0)
    # cos and sin, so that the fibres have no seam where the angle wraps
    broad = torch.stack([1.7 * around.cos(), 1.7 * around.sin(), 0.35 * angle + left], -1)
    narrow = torch.stack([4 * around.cos(), 4 * around.sin(), 0.3 * angle], -1)
    fibres = 0.30 * spot.head.noise.at(broad, 1.5)[:, 0] + 0.22 * spot.head.noise.at(narrow, 1.5)[:, 1]
    brightness = (1 + fibres).clamp(0.3, 2) * (0.75 + 0.55 * smooth_step(0.22, 0.38, angle))
    around_pupil = smooth_step(0.24, 0.18, angle)[:, None] * torch.tensor([-0.4, 0.2, 0.6])
    return spot.groomed.colours.iris * brightness[:, None] * (1 - 0.35 * around_pupil)


def under_lids(spot: Spot) -> Tensor:
    """(N,) how much light passes the lids; of the neutral face, whatever the eyes do."""
    away = from_middle(spot, spot.face, spot.groomed.surface)
    upper = smooth_step(0.50, 0.02, away[:, 1] - 0.1 * away[:, 0] ** 2)
    return (0.28 + 0.72 * upper) * smooth_step(1.25, 0.45, 1.5 * away[:, 0].abs())


def axes(head: Head, face: Tensor, turn: Tensor) -> tuple[Tensor, Tensor]:
    """Where the left and the right eye look, unit (3,). face: (V, 3) moved, before the head turns by `turn` (3, 3)."""
    out = []
    for eye in head.eyes:
        ball = eye.nonzero()[:, 0]
        front = ball[head.rest[ball, 2].argsort(descending=True)[:TIP]]
        out.append(turn @ normalize(face[front].mean(0) - face[ball].mean(0)))
    return out[0], out[1]


def mirrored(spot: Spot, light: StudioLight, axis: tuple[Tensor, Tensor], openness: Tensor) -> Tensor:
    """The room's windows in the wet eye, (N, 3) linear light; the cornea bulges, so it bends what it mirrors more.

    axis: of `axes`. Schlick, "An inexpensive BRDF model for physically-based rendering", Eurographics 1994 (Fresnel).
    """
    bulge = smooth_step(0.56, 0.40, off_axis(spot))[:, None]
    along = of_own_eye(spot, *axis)
    sideways = spot.normal - (spot.normal * along).sum(-1, keepdim=True) * along
    normal = normalize(spot.normal + 0.55 * bulge * sideways)
    cosine = (normal * spot.view).sum(-1, keepdim=True)
    ray = 2 * cosine * normal - spot.view
    room = 0.10 * light.sky * (0.5 + 0.5 * ray[:, 1:2]).clamp(0, 1)
    for window in light.windows:
        room = room + in_window(window, ray)[:, None] * window.colour
    fresnel = 0.03 + 0.97 * (1 - cosine.clamp(0, 1)) ** 5
    return room * fresnel * openness[:, None].sqrt() * (0.45 + 0.55 * bulge)


def in_window(window: Window, ray: Tensor) -> Tensor:
    """Which of the rays (N, 3) go out through the window: (N,) in 0 … 1."""
    across = normalize(torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0]), window.direction))
    up = torch.linalg.cross(window.direction, across)
    x, y = (ray @ across).abs(), (ray @ up).abs()
    wide = smooth_step(1.15 * window.half_width, 0.85 * window.half_width, x)
    high = smooth_step(1.15 * window.half_height, 0.85 * window.half_height, y)
    return wide * high * (ray @ window.direction > 0)


# ---------------------------------------------------------------- mouth


def paint_mouth(spot: Spot) -> Material:
    """Teeth and tongue, darker further back."""
    colour = teeth_colour(spot)
    colour = torch.where((spot.material == LOWER_TEETH)[:, None], 0.85 * colour, colour)
    colour = torch.where((spot.material == TONGUE)[:, None], tongue_colour(spot), colour)
    openness = 0.8 * (0.15 + 0.85 * smooth_step(0.9, 1.38, spot.rest[:, 2]))
    return Material.smooth(spot, colour, roughness=0.28, gloss=0.6, openness=openness)


def teeth_colour(spot: Spot) -> Tensor:
    """Teeth with dark lines between them, and gums. (N, 3)"""
    x, y, z = spot.rest.unbind(-1)
    upper = spot.material == UPPER_TEETH
    around = torch.atan2(x, z - 0.95)
    gaps = smooth_step(0.975, 1.0, torch.cos(around * torch.where(upper, 13.0, 17.0)).abs())
    near_gum = 0.25 * smooth_step(0.02, 0.12, y - 6.74) * upper
    tooth = (1 - 0.34 * gaps) * smooth_step(0.5, 1.3, z).clamp(min=0.05) * (1 - near_gum)
    gum = torch.where(upper, smooth_step(6.765, 6.80, y), smooth_step(6.50, 6.465, y))
    return TOOTH * (tooth * (1 - gum))[:, None] + GUM * (gum * smooth_step(0.7, 1.3, z))[:, None]


def tongue_colour(spot: Spot) -> Tensor:
    back = smooth_step(0.5, 1.35, spot.rest[:, 2]).clamp(min=0.08)
    return TONGUE_COLOUR * ((1 + 0.1 * spot.grain[:, 0]) * back)[:, None]
