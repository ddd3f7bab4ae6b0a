"""The calm, out-of-focus places that the shipped people sit in."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.errors import UsageError
from livepuppet.synthetic.looks import Plane, blurred
from tools.demo_assets.strokes import Generator, Picture, linear_colour, pixel_grid, smooth_step, white_noise

STUDIO_WALL = ("8d99a3", "3c444d")
"""Where the light falls, and in the corners."""


@dataclass
class Canvas:
    """A picture in linear light that is painted on.

    picture: (H, W, 3). x, y: (H, W), right and down from the middle; the upper border is at y = -1, the left at x = -width / height.
    wall: the studio's colours.
    """

    width: int
    height: int
    wall: tuple[str, str] = STUDIO_WALL
    picture: Picture = field(init=False)
    x: Plane = field(init=False)
    y: Plane = field(init=False)

    def __post_init__(self) -> None:
        columns, rows = pixel_grid((self.height, self.width))
        self.x = np.asarray((columns / self.width * 2 - 1) * self.width / self.height, np.float32)
        self.y = np.asarray(rows / self.height * 2 - 1, np.float32)
        self.picture = np.zeros((self.height, self.width, 3), np.float32)

    def fill(self, colour: str) -> None:
        self.picture[:] = linear_colour(colour)

    def mix(self, colour: str, share: Plane) -> None:
        """Lay a colour over the picture, opaque where `share` (H, W) is 1."""
        opacity = share[..., None]
        self.picture = np.asarray(self.picture * (1 - opacity) + linear_colour(colour) * opacity, np.float32)

    def shade(self, brightness: Plane) -> None:
        """Multiply by `brightness`, (H, W)."""
        self.picture = self.picture * brightness[..., None]

    def box(self, x: float, y: float, half_width: float, half_height: float, colour: str, soft: float = 0.012) -> None:
        """An upright rectangle around (x, y) with edges `soft` wide."""
        inside_x = smooth_step(half_width + soft, half_width - soft, abs(self.x - x))
        inside_y = smooth_step(half_height + soft, half_height - soft, abs(self.y - y))
        self.mix(colour, inside_x * inside_y)

    def disc(self, x: float, y: float, radii: tuple[float, float], colour: str, opacity: float = 1.0, angle: float = 0.0) -> None:
        """An ellipse around (x, y), its first radius turned by `angle` radians."""
        away_x, away_y = self.x - x, self.y - y
        along = away_x * math.cos(angle) + away_y * math.sin(angle)
        across = -away_x * math.sin(angle) + away_y * math.cos(angle)
        distance = np.sqrt((along / radii[0]) ** 2 + (across / radii[1]) ** 2)
        self.mix(colour, smooth_step(1.06, 0.94, distance) * opacity)

    def ridge(self, height: float, swell: float, frequencies: tuple[float, float], phase: float, colour: str) -> None:
        """Hills: everything below a wavy line at `height` in one colour."""
        wave = swell * np.sin(self.x * frequencies[0] + phase) + 0.04 * np.sin(self.x * frequencies[1] + 2 * phase)
        self.picture = np.where((self.y > height + wave)[..., None], linear_colour(colour), self.picture)

    def blur(self, share: float) -> None:
        """Out of focus by a share of the picture's height."""
        self.picture = blurred(self.picture, share * self.height)


def paint_living(canvas: Canvas, rng: Generator) -> None:
    """A pale wall, a window's glow on the left, a shelf and a plant on the right."""
    canvas.fill("b9b1a4")
    canvas.shade(1.05 - 0.35 * smooth_step(-1.6, 1.8, canvas.x))
    canvas.box(-1.05, -0.35, 0.36, 0.75, "f4f1e6")
    canvas.box(-1.05, -0.35, 0.012, 0.75, "b8b0a2")
    canvas.box(-1.05, -0.25, 0.36, 0.012, "b8b0a2")
    canvas.box(-1.52, -0.2, 0.11, 1.1, "cfc6b8")
    canvas.box(-0.60, -0.2, 0.10, 1.1, "c9c0b2")
    canvas.box(0.98, -0.42, 0.45, 0.018, "6f5238")
    canvas.box(0.98, 0.10, 0.45, 0.018, "6f5238")
    paint_books(canvas, rng)
    canvas.box(0.76, 0.02, 0.05, 0.07, "d8cfc0")
    paint_plant(canvas, rng)


def paint_books(canvas: Canvas, rng: Generator) -> None:
    """One row of books with gaps, on the upper board."""
    spines = ["7d4a3c", "4d5f6b", "a08a5c", "55664e", "c3b59a", "35404c", "8b6b54"]
    left = 0.56
    while left < 1.38:
        half_width = rng.uniform(0.02, 0.045)
        half_height = rng.uniform(0.13, 0.20)
        canvas.box(left + half_width, -0.438 - half_height, half_width * 0.92, half_height, str(rng.choice(spines)))
        gap = 0.08 if rng.uniform() < 0.15 else 0.0
        left += 2 * half_width + 0.004 + gap


def paint_plant(canvas: Canvas, rng: Generator) -> None:
    """A pot and leaves that point away from it."""
    canvas.disc(1.15, 0.0, (0.09, 0.09), "9a5b3d")
    greens = ["3f5a38", "55744a", "2f4a30", "6c8a58"]
    for _ in range(26):
        angle = rng.uniform(-2.4, -0.7)
        reach = rng.uniform(0.1, 0.3)
        x = 1.15 + reach * math.cos(angle) * 0.9
        y = -0.08 + reach * math.sin(angle) * 0.75
        canvas.disc(x, y, (0.075, 0.026), str(rng.choice(greens)), 0.9, angle)


def paint_studio(canvas: Canvas, rng: Generator) -> None:
    """A cloudy backdrop with a pool of light behind the head."""
    lit, dark = canvas.wall
    canvas.fill(lit)
    canvas.mix(dark, smooth_step(0, 1.55, np.sqrt((canvas.x + 0.15) ** 2 + (canvas.y + 0.1) ** 2)))
    clouds = np.zeros((canvas.height, canvas.width), np.float32)
    for cells in (4, 9, 20):
        noise = white_noise(rng, (cells, cells))
        clouds += cv2.resize(noise, (canvas.width, canvas.height), interpolation=cv2.INTER_CUBIC) / cells**0.35
    canvas.shade(1 + 0.07 * clouds)


def paint_office(canvas: Canvas, rng: Generator) -> None:
    """Cool glass and daylight; nothing in it is drawn at random."""
    canvas.fill("8fa0aa")
    canvas.shade(1.15 - 0.3 * smooth_step(-1, 1, canvas.y))
    for k, pane in enumerate(["c9d8de", "b4c6cf", "dbe6e8", "a9bcc6", "c2d2d8"]):
        canvas.box(-1.2 + 0.62 * k, -0.2, 0.28, 0.95, pane)
    canvas.box(0, 0.62, 2, 0.02, "6b7880")
    canvas.box(0, 0.9, 2, 0.28, "77807f")
    canvas.disc(-0.85, 0.45, (0.10, 0.10), "e8c98a", 0.9)
    canvas.disc(1.05, -0.55, (0.07, 0.07), "f6e2b4", 0.9)


def paint_garden(canvas: Canvas, rng: Generator) -> None:
    """Leaves and light."""
    greens = ["8aa36a", "6d8a54", "3f5638", "a9bd84", "2f4430", "c9d3a0", "7f9a70"]
    canvas.fill("5d7350")
    canvas.shade(1.3 - 0.6 * smooth_step(-1, 1, canvas.y))
    for _ in range(110):
        colour = str(rng.choice(greens))
        radius = rng.uniform(0.05, 0.2)
        x, y, opacity = rng.uniform(-1.1, 1.1), rng.uniform(-1.1, 1.1), rng.uniform(0.25, 0.6)
        canvas.disc(x, y, (radius, radius), colour, opacity)


def paint_cafe(canvas: Canvas, rng: Generator) -> None:
    """A warm evening: lamps far out of focus before dark furniture."""
    lamps = ["f2c27a", "e8a65a", "ffdca0", "c98a52", "d9c2a0"]
    canvas.fill("5a4436")
    canvas.shade(1.25 - 0.5 * smooth_step(-0.6, 1, canvas.y))
    canvas.box(0.7, -0.2, 0.5, 0.6, "7a5a42")
    canvas.box(-0.8, 0.1, 0.45, 0.8, "463830")
    canvas.blur(0.06)
    for _ in range(26):
        radius = rng.uniform(0.035, 0.085)
        x, y = rng.uniform(-1.1, 1.1), rng.uniform(-1.0, 0.35)
        colour = str(rng.choice(lamps))
        canvas.disc(x, y, (radius, radius), colour, rng.uniform(0.25, 0.65))


def paint_library(canvas: Canvas, rng: Generator) -> None:
    """Five full shelves, darker to the right."""
    spines = ["6d3b2c", "3d4a3c", "8a7048", "33404c", "5a2e2e", "a3906c"]
    canvas.fill("4c3a2c")
    for k in range(6):
        canvas.box(0, -1 + 0.42 * k, 2, 0.02, "2e2119")
    for k in range(5):
        for x in np.arange(-1.2, 1.25, 0.066):
            half_height = rng.uniform(0.13, 0.18)
            canvas.box(float(x), -0.80 + 0.42 * k, 0.03, half_height, str(rng.choice(spines)))
    canvas.shade(1.2 - 0.5 * smooth_step(-0.8, 1.2, canvas.x))


def paint_landscape(canvas: Canvas, rng: Generator) -> None:
    """Hills, haze and a path, as behind an old master's sitter; nothing in it is drawn at random."""
    x, y = canvas.x, canvas.y
    canvas.fill("8c9a86")
    canvas.mix("cdbd8a", smooth_step(-1, 0.3, y))
    canvas.ridge(-0.02, 0.10, (1.7, 7), 0.3, "7f9088")
    canvas.ridge(0.14, 0.08, (2.6, 9), 1.7, "667558")
    canvas.ridge(0.30, 0.06, (3.1, 8), 4.0, "4e5736")
    winding = abs(x - 0.75 - 0.25 * np.sin(y * 6))
    path = (winding < 0.03 + 0.10 * (y - 0.2).clip(0)) & (y > 0.2)
    canvas.mix("a89a72", path.astype(np.float32))
    canvas.ridge(0.62, 0.05, (2.2, 5), 2.2, "3a3a24")
    canvas.shade(1.1 - 0.4 * smooth_step(0.6, 1.5, np.sqrt(x * x + y * y)))


@dataclass(frozen=True)
class Room:
    """How a room is painted, and how far out of focus it is: a share of the picture's height."""

    paint: Callable[[Canvas, Generator], None]
    blur: float


ROOMS: dict[str, Room] = {
    "living": Room(paint_living, 0.030),
    "studio": Room(paint_studio, 0.012),
    "office": Room(paint_office, 0.045),
    "garden": Room(paint_garden, 0.022),
    "cafe": Room(paint_cafe, 0.006),
    "library": Room(paint_library, 0.028),
    "landscape": Room(paint_landscape, 0.018),
}


def draw_room(kind: str, seed: int, width: int, height: int, wall: tuple[str, str] | None = None) -> NDArray[np.float32]:
    """One of ROOMS in linear light, RGB (height, width, 3) in 0 … 2; the same seed gives the same room.

    wall: the studio's two colours as 'rrggbb', lit and in the corners; other rooms have no use for it. Raises UsageError for an unknown
    kind, naming the known ones.
    """
    if kind not in ROOMS:
        raise UsageError(f"no room named '{kind}': choose one of {', '.join(ROOMS)}")
    room = ROOMS[kind]
    canvas = Canvas(width, height, wall or STUDIO_WALL)
    room.paint(canvas, np.random.default_rng(seed))
    canvas.picture = np.clip(canvas.picture, 0, 2).astype(np.float32)
    canvas.blur(room.blur)
    return canvas.picture
