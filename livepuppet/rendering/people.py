"""Who is in a video, and which of them drives: faces found a few times a second, followed within a shot, recognised across cuts by their
colours (hair, skin and clothes), and all but one painted over before anybody looks for a face."""

from __future__ import annotations

import bisect
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.errors import UsageError
from livepuppet.rendering.tracking import CutDetector
from livepuppet.types import Image
from livepuppet.video.reader import VideoReader
from livepuppet.vision.face_landmarks import Window, carries_models, distant_faces
from livepuppet.vision.mediapipe_solutions import SolutionGraph

log = logging.getLogger(__name__)

EVERY_S = 0.2
"""Faces are looked for this often."""
LIMIT_PX = 640
NEAR = 0.7
"""A face is the same as before when it has moved by less than this share of its side."""
GAP_S = 1.0
"""A face unseen for longer begins another appearance."""
LEAST_S = 1.0
"""Whoever is seen for less is not counted among the people."""
ALIKE = 0.72
"""Likeness of colours (Bhattacharyya coefficient, 1 = equal) from which two appearances in different shots are one person's."""
BINS = 6
"""Steps of each colour channel that are told apart."""
PAINT = 1.25
"""Others are painted over in squares this much larger than their faces' boxes."""
GREY = 128

Colours = NDArray[np.float64]


@dataclass(frozen=True)
class Detection:
    """Where a face is at one time: centre and side of its box, in shares of the picture's width."""

    pts: int
    x: float
    y: float
    side: float


@dataclass
class Track:
    """One person without interruption, within a shot."""

    shot: int
    places: list[Detection] = field(default_factory=list)
    colours: Colours = field(default_factory=lambda: np.zeros(0))

    def add(self, place: Detection, colours: Colours) -> None:
        self.places.append(place)
        self.colours = colours if not self.colours.size else self.colours + (colours - self.colours) / len(self.places)


@dataclass(frozen=True)
class PersonTracks:
    """Somebody, wherever they are seen; places in order of time."""

    places: list[Detection]

    @property
    def weight(self) -> float:
        """Large and long in the picture."""
        return sum(place.side for place in self.places)

    def at(self, pts: int, within: int) -> Detection | None:
        """Where they are then, between the two places nearest in time; None where those are farther away than `within`."""
        i = bisect.bisect_left(self.places, pts, key=lambda place: place.pts)
        before = self.places[i - 1] if i and pts - self.places[i - 1].pts <= within else None
        after = self.places[i] if i < len(self.places) and self.places[i].pts - pts <= within else None
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
    """

    people: list[PersonTracks]
    driver: int
    within: int

    def alone(self, image: Image, pts: int) -> Image:
        """The frame with everybody but the driver painted over; the frame itself where nobody else is near."""
        others = [place for i, p in enumerate(self.people) if i != self.driver and (place := p.at(pts, self.within)) is not None]
        if not others:
            return image
        height, width = image.shape[:2]
        painted = image.copy()
        for place in others:
            reach = place.side * PAINT / 2 * width
            x0, x1 = (int(np.clip(place.x * width + d, 0, width)) for d in (-reach, reach))
            y0, y1 = (int(np.clip(place.y * width + d, 0, height)) for d in (-reach, reach))
            painted[y0:y1, x0:x1] = GREY
        own = self.people[self.driver].at(pts, self.within)
        if own is not None:  # where heads are close together, the driver's stays whole
            reach = own.side / 2 * width
            x0, x1 = (int(np.clip(own.x * width + d, 0, width)) for d in (-reach, reach))
            y0, y1 = (int(np.clip(own.y * width + d, 0, height)) for d in (-reach, reach))
            painted[y0:y1, x0:x1] = image[y0:y1, x0:x1]
        return painted


def find_people(path: str, face: int | None, advance: Callable[[], None] | None = None) -> PeopleTracks | None:
    """Who is in the video; None where there is at most one person, so that nobody need be chosen.

    Args:
        face: 1, 2, … who drives.
        advance: called for every frame looked at.

    Raises:
        UsageError: where there are fewer people.
    """
    video = VideoReader(path, limit=LIMIT_PX)
    try:
        people = group_tracks(list(detect_tracks(video, advance)), round(LEAST_S / video.time_base))
        within = round(2.5 * EVERY_S / video.time_base)
    finally:
        video.close()
    if face is not None and face > max(1, len(people)):
        raise UsageError(f"there is no face {face}: only {len(people)} people are seen in {path} for a second or more", parameter="face")
    if len(people) < 2:
        return None
    driver = (face or 1) - 1
    which = "the largest and steadiest" if driver == 0 else f"number {driver + 1} by size"
    log.info("%d people in %s: %s drives", len(people), path, which, extra={"parameter": "face"})
    return PeopleTracks(people, driver, within)


def detect_tracks(video: VideoReader, advance: Callable[[], None] | None = None) -> Iterator[Track]:
    """All appearances in the video."""
    cuts, shot = CutDetector(), 0
    current: list[Track] = []
    looked: float | None = None
    with FaceFinder() as finder:
        for image in video:
            if advance is not None:
                advance()
            seconds = video.seconds(image.pts)
            if cuts(image.image):
                shot += 1
                looked = None
                yield from current
                current = []
            if looked is not None and seconds - looked < EVERY_S - 1e-6:
                continue
            looked = seconds
            gap = round(GAP_S / video.time_base)
            yield from (a for a in current if image.pts - a.places[-1].pts > gap)
            current = [a for a in current if image.pts - a.places[-1].pts <= gap]
            free = list(current)
            for place in finder(image.image, image.pts):
                colours = colour_histograms(image.image, place)
                near = min(free, key=lambda a: detection_distance(a.places[-1], place), default=None)
                if near is None or detection_distance(near.places[-1], place) > NEAR:
                    near = Track(shot)
                    current.append(near)
                else:
                    free.remove(near)
                near.add(place, colours)
    yield from current


class FaceFinder:
    """Finds all faces of a picture, large and small."""

    def __enter__(self) -> FaceFinder:
        self._model: SolutionGraph | None = None
        if carries_models():
            self._model = SolutionGraph("face_detection", "FaceDetection", model_selection=1, min_detection_confidence=0.5)
        return self

    def __exit__(self, *error: object) -> None:
        if self._model is not None:
            self._model.close()

    def __call__(self, image: Image, pts: int) -> list[Detection]:
        height, width = image.shape[:2]
        if self._model is None:
            return [detection_from_window(window, width, pts) for window in distant_faces(image, 8)]
        found = self._model.process(image).detections or []
        boxes = [face.location_data.relative_bounding_box for face in found]
        return [
            Detection(pts, b.xmin + b.width / 2, (b.ymin + b.height / 2) * height / width, max(b.width, b.height * height / width))
            for b in boxes
        ]


def detection_from_window(window: Window, width: int, pts: int) -> Detection:
    left, top, reach = window
    return Detection(pts, (left + reach / 2) / width, (top + reach / 2) / width, reach / 2.2 / width)


def detection_distance(one: Detection, other: Detection) -> float:
    """Distance of two places, in sides of the larger face; a change of size counts too."""
    side = max(one.side, other.side)
    return float(np.hypot(one.x - other.x, one.y - other.y) / side + abs(np.log(one.side / other.side)))


def colour_histograms(image: Image, place: Detection) -> Colours:
    """How often each of BINS ** 3 colours is met in hair, face and clothes, one after the other, each third summing to 1."""
    height, width = image.shape[:2]
    parts = []
    for top, bottom, reach in ((-0.9, -0.35, 0.6), (-0.35, 0.5, 0.4), (0.75, 1.6, 0.8)):
        y0, y1 = (int(np.clip((place.y + d * place.side) * width, 0, height)) for d in (top, bottom))
        x0, x1 = (int(np.clip((place.x + d * place.side) * width, 0, width)) for d in (-reach, reach))
        patch = image[y0:y1, x0:x1]
        if patch.size == 0:
            parts.append(np.full(BINS**3, BINS**-3.0))
            continue
        counted = cv2.calcHist([np.ascontiguousarray(patch)], [0, 1, 2], None, [BINS] * 3, [0, 256, 0, 256, 0, 256]).ravel()
        parts.append(counted / counted.sum())
    return np.asarray(np.concatenate(parts), np.float64)


def histogram_similarity(one: Colours, other: Colours) -> float:
    """Mean Bhattacharyya coefficient of the three parts, 0 … 1."""
    return float(np.sqrt(one * other).sum() / 3)


def group_tracks(found: list[Track], least: int) -> list[PersonTracks]:
    """Appearances put together to people: no two of one person at one time, colours alike. The largest and steadiest first.

    Args:
        least: timestamps that somebody must be seen for in all.
    """
    groups: list[list[Track]] = []
    for one in sorted(found, key=lambda a: -sum(p.side for p in a.places)):
        fitting = [g for g in groups if not any(overlap_in_time(one, other) for other in g)]
        best = max(fitting, key=lambda g: group_similarity(one, g), default=None)
        if best is not None and group_similarity(one, best) >= ALIKE:
            best.append(one)
        else:
            groups.append([one])
    people = [PersonTracks(sorted((p for a in g for p in a.places), key=lambda p: p.pts)) for g in groups if visible_duration(g) >= least]
    return sorted(people, key=lambda person: -person.weight)


def overlap_in_time(one: Track, other: Track) -> bool:
    return one.places[0].pts <= other.places[-1].pts and other.places[0].pts <= one.places[-1].pts


def group_similarity(one: Track, group: list[Track]) -> float:
    """To the most alike of the group."""
    return max(histogram_similarity(one.colours, other.colours) for other in group)


def visible_duration(group: list[Track]) -> int:
    return sum(a.places[-1].pts - a.places[0].pts for a in group)
