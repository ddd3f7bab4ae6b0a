"""The pictures that livepuppet ships, made anew: ten portraits and one driving performance."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.errors import UsageError
from livepuppet.synthetic.acting import Acting
from livepuppet.synthetic.head import Head
from livepuppet.synthetic.looks import blurred
from livepuppet.types import Image
from tools.demo_assets.casting import PAINTED, PEOPLE
from tools.demo_assets.character import Place, linear
from tools.demo_assets.lighting import PERFORMANCE, performance_light, portrait_light
from tools.demo_assets.painting import Buffers, developed, oil, pencil, toon, watercolour
from tools.demo_assets.posing import Pose, still
from tools.demo_assets.rooms import draw_room
from tools.demo_assets.script import FPS, SECONDS, acting_at
from tools.demo_assets.studio import Studio, resized

ACTOR = "sam"
PERFORMANCE_NAME = "performance"
NAMES = (*(name for name in PEOPLE if name != ACTOR), *PAINTED, PERFORMANCE_NAME)
"""Everything that is shipped, in the order in which it is made."""
SUPERSAMPLING = 2
PERFORMANCE_SIZE = (640, 480)
FRAMES = round(FPS * SECONDS)
PAINT_SEEDS = {"oil": 3, "watercolour": 5, "pencil": 5}
SKIN_IN_OIL = 0.25
"""Sum of a surface's red, green and blue from which it counts as skin for the finest strokes: clothes are darker there."""


def chosen(only: str | None) -> tuple[str, ...]:
    """Names separated by commas -> those, in order; None means all. Raises UsageError naming the known ones."""
    if only is None:
        return NAMES
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    for name in wanted:
        if name not in NAMES:
            raise UsageError(f"nothing named '{name}' is shipped: choose from {', '.join(NAMES)}")
    if not wanted:
        raise UsageError(f"--only names nothing: choose from {', '.join(NAMES)}")
    return tuple(name for name in NAMES if name in wanted)


def room_of(place: Place, width: int, height: int) -> NDArray[np.float32]:
    return draw_room(place.kind, place.seed, width, height, place.wall)


def render_portrait(head: Head, name: str, size: int = 1024) -> Image:
    """One of NAMES but the performance, as a photograph or painted: RGB uint8 (size, size, 3)."""
    painted = PAINTED.get(name)
    character = PEOPLE[name] if painted is None else painted.character
    studio, room = Studio(head), room_of(character.place, size, size)
    light = portrait_light(character.light, flipped=character.flipped)
    pose = still(head, character.expression)
    picture, buffers = studio.shot(studio.person(character), pose, light, size, size, SUPERSAMPLING, room)
    match painted and painted.how:
        case "oil":
            return oil(developed(picture, 0.74), brush_detail(buffers, size), PAINT_SEEDS["oil"])
        case "watercolour":
            return watercolour(developed(picture, 0.9), person_mask(buffers, size), PAINT_SEEDS["watercolour"])
        case "pencil":
            return pencil(developed(picture, 0.9), person_mask(buffers, size), PAINT_SEEDS["pencil"])
        case "toon":
            return developed(toon(buffers, linear(character.hair).numpy(), room), 0.95, 1.15)
        case _:
            return developed(picture)


def person_mask(buffers: Buffers, size: int) -> NDArray[np.float32]:
    """1 where the person is, (size, size)."""
    return resized((buffers.body | (buffers.strand > 0)).astype(np.float32), (size, size), cv2.INTER_AREA)


def brush_detail(buffers: Buffers, size: int) -> NDArray[np.float32]:
    """How fine the strokes are, 0 … 1, (size, size): finest in the middle of the face, finer on skin and eyes than elsewhere."""
    bright = buffers.albedo.sum(-1) > SKIN_IN_OIL
    bare = (buffers.material < 2) & buffers.body & (buffers.hair_group != 0) & bright
    skin = resized(blurred(bare.astype(np.float32), 6), (size, size), cv2.INTER_AREA)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    face = np.exp(-(((x / 0.36) ** 2 + ((y + 0.05) / 0.46) ** 2) ** 2))
    return np.maximum(face, 0.5 * skin).astype(np.float32)


class Stage:
    """The performance's actor, light and room, made once for many frames."""

    def __init__(self, head: Head) -> None:
        character = PEOPLE[ACTOR]
        self.head, self.studio = head, Studio(head)
        self.actor, self.light = self.studio.person(character), performance_light(character.light)
        self.room = room_of(character.place, *PERFORMANCE_SIZE)

    def frame(self, acting: Acting) -> Image:
        """RGB uint8 (480, 640, 3)."""
        pose = Pose.of(self.head, acting)
        picture, _ = self.studio.shot(self.actor, pose, self.light, *PERFORMANCE_SIZE, SUPERSAMPLING, self.room, PERFORMANCE)
        return developed(picture)


def actings() -> list[Acting]:
    """The performance's FRAMES moments."""
    return [acting_at(number / FPS) for number in range(FRAMES)]


def distinct(script: list[Acting]) -> Iterator[tuple[Acting, int]]:
    """Each run of equal moments and its length: a still face is drawn once."""
    for _, run in groupby(script, key=lambda one: (sorted(one.expression.items()), one.gaze, one.head, one.shoulders, one.shift)):
        moments = list(run)
        yield moments[0], len(moments)
