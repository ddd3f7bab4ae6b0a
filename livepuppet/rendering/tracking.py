"""What a driver does in a video: their motion in every frame, shots kept apart, steadied with what comes before and after."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np

from livepuppet.types import AnyEngine, Avatar, Image, Motion, Restartable, Size
from livepuppet.video.reader import VideoReader
from livepuppet.vision.cuts import CutDetector
from livepuppet.vision.smoothing import WINDOW_SECONDS, smooth_window

LIMIT_PX = 1920
"""Longest side at which a driving video is looked at: a face in it is as well measured as in 4K."""

SEARCH_LIMIT_PX = 640
"""The same while only the reference is searched."""

LEAD_S = 1.0
"""Video watched before a moment whose motion counts, so that the tracker has settled on the face."""

OWN_REFERENCE_S = 1.0
"""A shot at least this long gets a reference of its own: where the head is in the picture means nothing across a cut."""


@dataclass(frozen=True, eq=False)
class DriverFrame:
    """One frame of the driving video.

    Attributes:
        seconds: since the video's first frame.
        shot: grows by 1 at each cut.
        motion: None where nobody is seen.
        image: the frame, only where it was asked for.
    """

    pts: int
    seconds: float
    shot: int
    motion: Motion | None
    image: Image | None = None


class DriverView(Protocol):
    """How the frames of a video are looked at."""

    def upright(self, image: Image) -> Image:
        """The frame as people may see it."""

    def observe(self, engine: AnyEngine, image: Image, pts: int) -> Motion | None:
        """The driver's motion in an upright frame; None where it is not the driver who is seen."""


def track_driver(
    engine: AnyEngine,
    video: VideoReader,
    *,
    view: DriverView,
    start: float = 0.0,
    end: float | None = None,
    images: Size | None = None,
) -> Iterator[DriverFrame]:
    """The moments from `start` until before `end` (seconds); the video is watched from LEAD_S before.

    Args:
        images: keep each frame's image, reduced to this size where it is larger; None keeps none.
    """
    if isinstance(engine, Restartable):
        engine.restart()
    video.seek(max(0.0, start - LEAD_S))
    cuts, shot = CutDetector(), 0
    for image in video:
        seconds = video.seconds(image.pts)
        if end is not None and seconds >= end:
            return
        upright = view.upright(image.image)
        shot += cuts(upright)
        motion = view.observe(engine, upright, image.pts)
        if seconds >= start - 1e-9:
            yield DriverFrame(image.pts, seconds, shot, motion, None if images is None else shrink_image(upright, images))


def shrink_image(image: Image, size: Size) -> Image:
    """The image at that size (width, height); itself where it is no larger: many of them wait while their motions are smoothed."""
    return image if image.shape[0] <= size[1] else np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def smooth_driver_frames(driver_frames: Iterable[DriverFrame], strength: float) -> Iterator[DriverFrame]:
    """The same moments with their motions smoothed by those around them, within a shot. Reads WINDOW_SECONDS ahead."""
    window: deque[DriverFrame] = deque()
    position = 0
    coming = iter(driver_frames)
    ended = False
    while True:
        while not ended and (len(window) <= position or window[-1].seconds - window[position].seconds <= WINDOW_SECONDS):
            following = next(coming, None)
            if following is None:
                ended = True
            else:
                window.append(following)
        if position >= len(window):
            return
        centre = window[position]
        if centre.motion is None or strength <= 0:
            yield centre
        else:
            near = [m for m in window if m.motion is not None and m.shot == centre.shot]
            motions = [m.motion for m in near if m.motion is not None]
            yield replace(centre, motion=smooth_window(motions, [m.seconds for m in near], near.index(centre), strength))
        window[position] = replace(centre, image=None)  # what follows needs its motion, and no longer the image that it may carry
        position += 1
        while window and position and window[position - 1].seconds - window[0].seconds > WINDOW_SECONDS:
            window.popleft()
            position -= 1


@dataclass(frozen=True)
class Reference:
    """Which frame counts as the driver's rest, from `since` on.

    Attributes:
        pts: the frame.
        seconds: its place in the video.
    """

    since: int
    pts: int
    seconds: float
    distance: float = 0.0


@dataclass
class ShotReference:
    """The best reference found so far in one shot."""

    first: DriverFrame
    last: DriverFrame
    best: DriverFrame | None = None
    distance: float = float("inf")


def search_references(engine: AnyEngine, avatar: Avatar, driver_frames: Iterable[DriverFrame]) -> list[Reference]:
    """For each shot the frame whose pose and expression are nearest the portrait's (FOMM's best-frame search over the whole video); short
    shots take the video's best. Empty where nobody is seen at all."""
    return references_from_shots(best_of_each_shot(engine, avatar, driver_frames))


def best_of_each_shot(engine: AnyEngine, avatar: Avatar, driver_frames: Iterable[DriverFrame]) -> list[ShotReference]:
    """The video's shots, each with the frame nearest to the portrait."""
    shots: list[ShotReference] = []
    for driver_frame in driver_frames:
        if not shots or shots[-1].first.shot != driver_frame.shot:
            shots.append(ShotReference(replace(driver_frame, motion=None), driver_frame))
        shot = shots[-1]
        shot.last = replace(driver_frame, motion=None)
        if driver_frame.motion is not None:
            distance = engine.distance(avatar, driver_frame.motion)
            if distance < shot.distance:
                shot.best, shot.distance = shot.last, distance
    return shots


def references_from_shots(shots: list[ShotReference]) -> list[Reference]:
    """One reference per shot; see `search_references`."""
    found = [shot for shot in shots if shot.best is not None]
    if not found:
        return []
    overall = min(found, key=lambda shot: shot.distance)
    references = []
    for shot in shots:
        long_enough = shot.last.seconds - shot.first.seconds >= OWN_REFERENCE_S
        chosen = shot if shot.best is not None and long_enough else overall
        assert chosen.best is not None
        references.append(Reference(shot.first.pts, chosen.best.pts, chosen.best.seconds, chosen.distance))
    return references


def measure_references(
    engine: AnyEngine, video: VideoReader, references: list[Reference], *, view: DriverView, strength: float
) -> list[tuple[int, Motion]]:
    """The driver's motion at each reference, steadied as all others are: (since, motion) in order."""
    motions: dict[int, Motion] = {}
    for reference in references:
        if reference.pts in motions:
            continue
        begin, end = max(0.0, reference.seconds - WINDOW_SECONDS), reference.seconds + WINDOW_SECONDS + 0.1
        for driver_frame in smooth_driver_frames(track_driver(engine, video, view=view, start=begin, end=end), strength):
            if driver_frame.motion is not None and driver_frame.pts >= reference.pts:
                motions[reference.pts] = driver_frame.motion
                break
    return [(r.since, motions[r.pts]) for r in references if r.pts in motions]
