"""Who is in a video, and which of them drives: faces found several times a second, followed within a shot by place and by looks, and
recognised across cuts by their colours (hair, skin and clothes)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.errors import UsageError
from livepuppet.rendering.person_tracks import Detection, PeopleTracks, PersonTracks
from livepuppet.types import Image
from livepuppet.video.reader import VideoReader
from livepuppet.vision.cuts import CutDetector
from livepuppet.vision.face_detection import FaceDetector
from livepuppet.vision.orientation import quarters_to_upright, turned, turning_words

log = logging.getLogger(__name__)

EVERY_S = 0.2
"""Faces are looked for this often ..."""
CLOSELY_S = 0.07
"""... and this often while several are seen: people who cross are hidden for a few tenths of a second."""
LIMIT_PX = 640
NEAR = 0.7
"""A face is the same as before when it has moved by less than this share of its side."""
LIKELY = 0.66
"""Likeness of colours from which a face in the same place is the same person's, or one that comes back to it in the same shot ..."""
ALIKE = 0.72
"""... and from which two tracks anywhere are (Bhattacharyya coefficient, 1 = equal)."""
GAP_S = 1.0
"""A face unseen for longer begins another track."""
BACK_S, BACK_SIDES = 2.0, 1.5
"""Somebody who was out of sight for so long at most, and comes back so near, counts as the same more readily."""
LEAST_S = 1.0
"""Whoever is seen for less is not counted among the people; in a short range, for less than LEAST_SHARE of it."""
LEAST_SHARE = 0.25
BINS = 6
"""Steps of each colour channel that are told apart."""
TURN_LOOKS = 8
"""Frames that are looked at to see which way up the people are."""

Colours = NDArray[np.float64]
"""(3, BINS ** 3): how often each colour is met in hair, face and clothes; a row of zeros where that is outside the picture."""

Span = tuple[float, float | None]
"""Seconds of the video: from, until before (None: to its end)."""


@dataclass
class Track:
    """One person without interruption, within a shot."""

    shot: int
    places: list[Detection] = field(default_factory=list)
    colours: Colours = field(default_factory=lambda: np.zeros((3, BINS**3)))
    counted: NDArray[np.float64] = field(default_factory=lambda: np.zeros((3, 1)))
    """How often each part was seen."""
    last: Colours = field(default_factory=lambda: np.zeros((3, BINS**3)))
    """As `colours`, in the last place only."""

    def add(self, place: Detection, colours: Colours) -> None:
        self.places.append(place)
        self.last = colours
        shown = colours.any(axis=1, keepdims=True)
        self.counted += shown
        self.colours = self.colours + shown * (colours - self.colours) / np.maximum(self.counted, 1)


@dataclass
class PeopleSearch:
    """What was seen of a video.

    Attributes:
        looks, cuts: timestamps of the frames in which faces were looked for, and of those at which another shot begins.
        finished: not stopped on the way.
    """

    tracks: list[Track] = field(default_factory=list)
    looks: list[int] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    finished: bool = True


def find_people(
    path: str,
    face: int | None,
    advance: Callable[[], None] | None = None,
    *,
    spans: Sequence[Span] = ((0.0, None),),
    stop: threading.Event | None = None,
) -> PeopleTracks | None:
    """Who is in the video, and which way up; None where at most one upright person is, so that nothing need be chosen or turned.

    Args:
        face: 1, 2, … who drives.
        advance: called for every frame looked at.
        spans: the parts of the video that count, which do not overlap; the first decides which way up the people are.
        stop: set it, from another thread, to end early; the result is then None.

    Raises:
        UsageError: where there are fewer people.
    """
    video = VideoReader(path, limit=LIMIT_PX)
    try:
        quarters = find_quarters(video, spans[0])
        search = PeopleSearch()
        for begin, end in sorted(spans):
            search_span(video, search, begin, end, quarters, advance, stop)
        if not search.finished:
            return None
        length = (search.looks[-1] - search.looks[0]) * float(video.time_base) if search.looks else 0.0
        least = round(min(LEAST_S, LEAST_SHARE * length) / video.time_base)
        within = round(2.5 * EVERY_S / video.time_base)
        groups = group_tracks(search.tracks, back=round(BACK_S / video.time_base))
    finally:
        video.close()
    groups = [group for group in groups if sum(len(track.places) for track in group) > 1]  # a single look is easily wrong
    people = [person_of(group) for group in groups if visible_duration(group) >= least]
    others = [person_of(group) for group in groups if visible_duration(group) < least]
    if face is not None and face > max(1, len(people)):
        seen = f"{len(people)} people are" if len(people) != 1 else "1 person is"
        raise UsageError(f"there is no face {face}: only {seen} seen in {path} for a second or more", parameter="face")
    if quarters:
        log.info("the driver in %s %s", path, turning_words(quarters))
    if len(people) + len(others) < 2 and not quarters:
        return None
    driver = (face or 1) - 1
    if len(people) > 1:
        which = "the largest and steadiest" if driver == 0 else f"number {driver + 1} by size"
        log.info("%d people in %s: %s drives", len(people), path, which, extra={"parameter": "face"})
    return PeopleTracks(people, driver, within, search.looks, others, tuple(search.cuts), quarters)


def find_quarters(video: VideoReader, span: Span) -> int:
    """Counter-clockwise quarter turns after which the people of the span are upright, from a few of its frames."""
    begin, end = span
    last = end if end is not None else video.duration
    times = [begin] if last is None else np.linspace(begin, max(begin, min(last, video.duration or last)), TURN_LOOKS, endpoint=False)
    images = []
    for seconds in times:
        video.seek(float(seconds))
        frame = video.read()
        if frame is not None:
            images.append(frame.image)
    return quarters_to_upright(images)


def search_span(
    video: VideoReader,
    search: PeopleSearch,
    begin: float,
    end: float | None,
    quarters: int = 0,
    advance: Callable[[], None] | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Find and follow everybody in a part of the video; what is seen is added to the search."""
    cuts = CutDetector()
    current: list[Track] = []
    looked: float | None = None
    pause = EVERY_S
    shot = search.tracks[-1].shot + 1 if search.tracks else 0
    video.seek(begin)
    with FaceDetector(distant=True) as detector:
        for image in video:
            seconds = video.seconds(image.pts)
            if stop is not None and stop.is_set():
                search.finished = False
                return
            if end is not None and seconds >= end:
                return
            if advance is not None:
                advance()
            if cuts(image.image) or looked is None:  # the beginning of a span is a cut, too
                shot += 1
                looked = None
                current = []
                search.cuts.append(image.pts)
            if looked is not None and seconds - looked < pause - 1e-6:
                continue
            looked = seconds
            search.looks.append(image.pts)
            gap = round(GAP_S / video.time_base)
            current = [a for a in current if image.pts - a.places[-1].pts <= gap]
            places = find_places(detector, turned(image.image, quarters), image.pts)
            looks = [colour_histograms(turned(image.image, quarters), place) for place in places]
            for place, colours, track in zip(places, looks, match(current, places, looks), strict=True):
                if track is None:
                    track = Track(shot)
                    search.tracks.append(track)
                    current.append(track)
                track.add(place, colours)
            pause = CLOSELY_S if len(places) > 1 or len(current) > 1 else EVERY_S


def find_places(detector: FaceDetector, image: Image, pts: int) -> list[Detection]:
    """All faces of a frame."""
    width = image.shape[1]
    return [Detection(pts, face.x / width, face.y / width, face.side / width) for face in detector(image)]


def match(current: list[Track], places: list[Detection], looks: list[Colours]) -> list[Track | None]:
    """Whose track each place goes on: near enough, and not of clearly other colours; the best pairs first. None begins another."""
    pairs = []
    for j, (place, colours) in enumerate(zip(places, looks, strict=True)):
        for i, track in enumerate(current):
            distance = detection_distance(track.places[-1], place)
            likeness = max(similarity(track.colours, colours), similarity(track.last, colours))
            if distance <= NEAR and likeness >= LIKELY:
                pairs.append((distance + (1 - likeness), i, j))
    found: list[Track | None] = [None] * len(places)
    taken: set[int] = set()
    for _, i, j in sorted(pairs):
        if i not in taken and found[j] is None:
            found[j] = current[i]
            taken.add(i)
    return found


def detection_distance(one: Detection, other: Detection) -> float:
    """Distance of two places, in sides of the larger face; a change of size counts too."""
    side = max(one.side, other.side)
    return float(np.hypot(one.x - other.x, one.y - other.y) / side + abs(np.log(one.side / other.side)))


def colour_histograms(image: Image, place: Detection) -> Colours:
    """How often each of BINS ** 3 colours is met in hair, face and clothes: each row sums to 1, or to 0 where little of it is shown."""
    height, width = image.shape[:2]
    rows = []
    for top, bottom, reach in ((-0.9, -0.35, 0.6), (-0.35, 0.5, 0.4), (0.75, 1.6, 0.8)):
        y0, y1 = (int(np.clip((place.y + d * place.side) * width, 0, height)) for d in (top, bottom))
        x0, x1 = (int(np.clip((place.x + d * place.side) * width, 0, width)) for d in (-reach, reach))
        patch = image[y0:y1, x0:x1]
        whole = (bottom - top) * 2 * reach * (place.side * width) ** 2
        if patch.shape[0] * patch.shape[1] < 0.25 * whole:
            rows.append(np.zeros(BINS**3))
            continue
        counted = cv2.calcHist([np.ascontiguousarray(patch)], [0, 1, 2], None, [BINS] * 3, [0, 256, 0, 256, 0, 256]).ravel()
        rows.append(counted / counted.sum())
    return np.asarray(rows, np.float64)


def similarity(one: Colours, other: Colours) -> float:
    """Mean Bhattacharyya coefficient of the parts that both show, 0 … 1."""
    shown = one.any(axis=1) & other.any(axis=1)
    return float(np.sqrt(one * other).sum(axis=1)[shown].mean()) if shown.any() else 0.0


def group_tracks(found: list[Track], back: int = 0) -> list[list[Track]]:
    """Tracks put together to people, the largest first: no two of one person at one time, colours alike.

    Args:
        back: timestamps within which somebody who comes back to the same place of the same shot counts as the same more readily.
    """
    groups: list[list[Track]] = []
    for one in sorted(found, key=lambda track: -presence([track])):
        fitting = [g for g in groups if not any(overlap_in_time(one, other) for other in g)]
        best = max(fitting, key=lambda g: group_similarity(one, g, back), default=None)
        if best is not None and group_similarity(one, best, back) >= ALIKE:
            best.append(one)
        else:
            groups.append([one])
    return sorted(groups, key=lambda group: -presence(group))


def overlap_in_time(one: Track, other: Track) -> bool:
    return one.places[0].pts <= other.places[-1].pts and other.places[0].pts <= one.places[-1].pts


def group_similarity(one: Track, group: list[Track], back: int) -> float:
    """To the most alike of the group."""
    bonus = ALIKE - LIKELY
    return max(similarity(one.colours, other.colours) + (bonus if comes_back(one, other, back) else 0.0) for other in group)


def comes_back(one: Track, other: Track, back: int) -> bool:
    """Whether one of two tracks begins where the other ended, soon afterwards, in the same shot."""
    first, second = sorted((one, other), key=lambda track: track.places[0].pts)
    soon = second.places[0].pts - first.places[-1].pts <= back
    return one.shot == other.shot and soon and detection_distance(first.places[-1], second.places[0]) <= BACK_SIDES


def person_of(group: list[Track]) -> PersonTracks:
    return PersonTracks(sorted((place for track in group for place in track.places), key=lambda place: place.pts))


def presence(group: list[Track]) -> float:
    """How large and how long in the picture: sides times timestamps."""
    sides = [(a.side + b.side) / 2 * (b.pts - a.pts) for track in group for a, b in pairwise(track.places)]
    return sum(sides) + max(track.places[0].side for track in group)


def visible_duration(group: list[Track]) -> int:
    return sum(a.places[-1].pts - a.places[0].pts for a in group)
