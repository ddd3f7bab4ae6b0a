"""Where each person of a video is at each time, and what of a frame may be looked at when one of them drives."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field

import numpy as np

from livepuppet.types import Floats, Image

PAINT = 1.25
"""Others are painted over in squares this much larger than their faces' boxes."""
GREY = 128
ON_TOP = 0.8
"""Two faces nearer to each other than this, in sides of the larger one, cannot both be seen."""
SAME_PLACE, SAME_SIZE = 0.7, 2.0
"""What is found within this many sides of the driver's place, and at most so many times larger or smaller, is the driver."""


@dataclass(frozen=True)
class Detection:
    """Where a face is at one time: centre and side of its box, in shares of the picture's width."""

    pts: int
    x: float
    y: float
    side: float


@dataclass(frozen=True)
class PersonTracks:
    """Somebody, wherever they are seen; places in order of time."""

    places: list[Detection]

    def around(self, pts: int, within: int, shot: tuple[float, float] = (-np.inf, np.inf)) -> tuple[Detection | None, Detection | None]:
        """The places nearest in time, before (or at) and after `pts`: those of this shot, and not farther away than `within`."""
        i = bisect.bisect_right(self.places, pts, key=lambda place: place.pts)
        before = self.places[i - 1] if i and pts - self.places[i - 1].pts <= within and self.places[i - 1].pts >= shot[0] else None
        following = self.places[i] if i < len(self.places) else None
        near = following is not None and following.pts - pts <= within and following.pts < shot[1]
        return before, following if near else None

    def at(self, pts: int, within: int, shot: tuple[float, float] = (-np.inf, np.inf)) -> Detection | None:
        """Where they are then, between the two places nearest in time; None where there is none near in time.

        Args:
            within: how far places hold, in timestamps.
            shot: from which timestamp until before which the shot lasts; what is beyond a cut says nothing.
        """
        before, after = self.around(pts, within, shot)
        if before is None or after is None:
            return before or after
        share = (pts - before.pts) / (after.pts - before.pts)
        return Detection(
            pts,
            before.x + share * (after.x - before.x),
            before.y + share * (after.y - before.y),
            before.side + share * (after.side - before.side),
        )


@dataclass(frozen=True)
class PeopleTracks:
    """The people of a video, the largest and steadiest first, and who of them drives.

    Attributes:
        within: how far places hold, in timestamps.
        looks: timestamps of the frames in which faces were looked for: who was missed in one may have been hidden.
        passers_by: seen too briefly to be counted, and not the driver.
        cuts: timestamps at which another shot begins.
        quarters: counter-clockwise quarter turns after which the faces are upright; places are those in the turned frames.
    """

    people: list[PersonTracks]
    driver: int
    within: int
    looks: list[int] = field(default_factory=list)
    passers_by: list[PersonTracks] = field(default_factory=list)
    cuts: tuple[int, ...] = ()
    quarters: int = 0

    def alone(self, image: Image, pts: int) -> Image:
        """The frame with everybody but the driver painted over; the frame itself where nobody else is near."""
        others = self._others(pts)
        if not others:
            return image
        height, width = image.shape[:2]
        painted = image.copy()
        for place in others:
            columns, rows = box(place, PAINT, width, height)
            painted[rows, columns] = GREY
        own = self.place(pts)
        if own is not None:  # where heads are close together, the driver's half stays
            columns, rows = box(own, 1.0, width, height)
            down, across = np.mgrid[rows, columns] / width
            nearer = np.ones(down.shape, dtype=bool)
            for place in others:
                nearer &= np.hypot(across - own.x, down - own.y) / own.side < np.hypot(across - place.x, down - place.y) / place.side
            painted[rows, columns][nearer] = image[rows, columns][nearer]
        return painted

    def place(self, pts: int) -> Detection | None:
        """Where the driver is; None where they are out of sight, or behind somebody else."""
        if not self.people:
            return None
        shot = self._shot(pts)
        own = self.people[self.driver].at(pts, self.within, shot)
        if own is None or self._detected(self.people[self.driver], pts, shot):
            return own
        hidden = any(np.hypot(own.x - other.x, own.y - other.y) < ON_TOP * max(own.side, other.side) for other in self._others(pts))
        return None if hidden else own

    def _detected(self, person: PersonTracks, pts: int, shot: tuple[float, float]) -> bool:
        """Whether the look nearest in time saw them, and no look beside it missed them."""
        before, after = person.around(pts, self.within, shot)
        i = bisect.bisect_right(self.looks, pts)
        last, following = self.looks[i - 1] if i else None, self.looks[i] if i < len(self.looks) else None
        seen_last = before is not None and before.pts == last
        seen_following = after is not None and after.pts == following
        if last is None or following is None or (seen_last and seen_following):
            return seen_last or seen_following
        return (seen_last and pts - last <= following - pts) or (seen_following and following - pts < pts - last)

    def is_driver(self, points: Floats, width: int, pts: int) -> bool:
        """Whether the face found at these points (N, 2), in pixels of a frame of this width, is the driver's."""
        if not self.people or len(points) == 0:
            return True
        low, high = points.min(0) / width, points.max(0) / width
        (x, y), side = (low + high) / 2, float((high - low).max())
        own = self.place(pts)
        if own is not None:
            size = side / own.side
            return bool(np.hypot(x - own.x, y - own.y) < SAME_PLACE * max(side, own.side) and 1 / SAME_SIZE < size < SAME_SIZE)
        shot = self._shot(pts)
        known = any(shot[0] <= place.pts < shot[1] for place in self.people[self.driver].places)
        others = [place for person in self._everybody_else() for place in person.places if shot[0] <= place.pts < shot[1]]
        # A detector misses a turned head that the landmarks still follow; but where others are, only a known place is the driver's.
        return known and not others

    def _shot(self, pts: int) -> tuple[float, float]:
        i = bisect.bisect_right(self.cuts, pts)
        return (self.cuts[i - 1] if i else -np.inf), (self.cuts[i] if i < len(self.cuts) else np.inf)

    def _everybody_else(self) -> list[PersonTracks]:
        return [person for i, person in enumerate(self.people) if i != self.driver] + self.passers_by

    def _others(self, pts: int) -> list[Detection]:
        """Where others are: those that are detected then, and, while the driver is not, those that were or will be soon."""
        shot = self._shot(pts)
        sure = bool(self.people) and self._detected(self.people[self.driver], pts, shot)
        shown = (person for person in self._everybody_else() if not sure or self._detected(person, pts, shot))
        return [place for person in shown if (place := person.at(pts, self.within, shot)) is not None]


def box(place: Detection, factor: float, width: int, height: int) -> tuple[slice, slice]:
    """Columns and rows of the square round a place, `factor` times its side."""
    reach = place.side * factor / 2 * width
    x0, x1 = (int(np.clip(place.x * width + d, 0, width)) for d in (-reach, reach))
    y0, y1 = (int(np.clip(place.y * width + d, 0, height)) for d in (-reach, reach))
    return slice(x0, x1), slice(y0, y1)
