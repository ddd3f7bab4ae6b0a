"""What the tests look at: one stretch of a video in which one face is seen, reduced to what they need while it is decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from livepuppet.engines.landmark.face_model import LOWER_LID, UPPER_LID
from livepuppet.evidence.background import BackgroundSampler
from livepuppet.evidence.texture import FaceLayout, Texture, grey_of
from livepuppet.types import Image
from livepuppet.video.reader import VideoReader
from livepuppet.vision.cuts import CutDetector
from livepuppet.vision.face_landmarks import FaceTracker, Landmarks, find_faces
from livepuppet.vision.windows import bounding_box

LIMIT_PX = 1280
"""Longest side at which a video is looked at."""
LONGEST_S = 60.0
"""Seconds of a video that are looked at, from its beginning."""
LEAST_S = 2.0
"""A shorter stretch with a face tells too little."""
LEAST_FACE_PX = 80
"""A smaller face tells too little."""
STEP_S = 0.2
"""Between the moments at which the skin is laid flat; each gives two frames in succession."""
OTHERS_STEP_S = 3.0
"""Between looks for other people."""


@dataclass(eq=False)
class Stretch:
    """Frames in succession, without a cut, with one face.

    Attributes:
        seconds: of every frame, since the video's first one.
        landmarks: of every frame.
        lids: opening of the picture's left and right eye in every frame, shares of the eye's width.
        pairs: the skin laid flat, now and in the frame after, with the number of the first.
        background: how the picture around the person changes.
        people: the most faces seen at once.
        still: the first frame, for people to look at.
    """

    seconds: list[float] = field(default_factory=list)
    landmarks: list[Landmarks] = field(default_factory=list)
    lids: list[tuple[float, float]] = field(default_factory=list)
    pairs: list[tuple[int, Texture, Texture]] = field(default_factory=list)
    background: BackgroundSampler = field(default_factory=BackgroundSampler)
    people: int = 1
    still: Image | None = None

    @property
    def length_s(self) -> float:
        return self.seconds[-1] - self.seconds[0] if self.seconds else 0.0

    @property
    def face_px(self) -> float:
        return float(np.median([bounding_box(points)[2] for points in self.landmarks])) if self.landmarks else 0.0


class StretchReader:
    """Collects a stretch frame by frame, and keeps the longest.

    Attributes:
        longest: of those that have ended.
    """

    def __init__(self, layout: FaceLayout) -> None:
        self._layout = layout
        self._open: Texture | None = None
        self._due = 0.0
        self._others_due = 0.0
        self._current = Stretch()
        self.longest = Stretch()

    def cut(self) -> None:
        """What follows belongs to another stretch."""
        self._open = None
        self._due = 0.0
        if self._current.length_s > self.longest.length_s or not self.longest.seconds:
            self.longest = self._current
        self._current = Stretch()

    def add(self, image: Image, grey: NDArray[np.uint8], seconds: float, landmarks: Landmarks) -> None:
        stretch = self._current
        if stretch.still is None:
            stretch.still = image
        if seconds >= self._others_due:
            stretch.people = max(stretch.people, len(find_faces(image, most=3)))
            self._others_due = seconds + OTHERS_STEP_S
        number = len(stretch.seconds)
        stretch.seconds.append(seconds)
        stretch.landmarks.append(landmarks)
        stretch.lids.append(lid_openings(landmarks))
        if self._open is not None:
            stretch.pairs.append((number - 1, self._open, self._layout.flatten(grey, landmarks)))
            self._open = None
        elif seconds >= self._due:
            self._open = self._layout.flatten(grey, landmarks)
            self._due = seconds + STEP_S
        stretch.background.add(grey, landmarks)


def lid_openings(landmarks: Landmarks) -> tuple[float, float]:
    """How far both eyes are open, shares of their widths: the mean over the lids' edges."""
    points = landmarks[:, :2]
    opened = [
        float(
            np.linalg.norm(points[up[1:-1]] - points[low[1:-1]], axis=1).mean() / max(np.linalg.norm(points[up[0]] - points[up[-1]]), 1e-6)
        )
        for up, low in zip(UPPER_LID, LOWER_LID, strict=True)
    ]
    return opened[0], opened[1]


Watcher: TypeAlias = Callable[[NDArray[np.uint8], Landmarks], None]
"""Told of every grey frame with a face, and its landmarks."""


def read_footage(path: str | Path, watch: Watcher | None = None) -> Stretch | None:
    """The longest stretch with a face in the video's first LONGEST_S seconds; None: nobody is seen.

    Args:
        watch: for tests that are tried beside those that ship.

    Raises:
        UsageError: not a readable video.
    """
    video = VideoReader(path, limit=LIMIT_PX)
    tracker = FaceTracker()
    reader = StretchReader(FaceLayout())
    cuts = CutDetector()
    try:
        for frame in video:
            seconds = video.seconds(frame.pts)
            if seconds > LONGEST_S:
                break
            if cuts(frame.image):
                reader.cut()
            landmarks = tracker.track(frame.image)
            if landmarks is None:
                reader.cut()
            else:
                grey = grey_of(frame.image)
                reader.add(frame.image, grey, seconds, landmarks)
                if watch is not None:
                    watch(grey, landmarks)
    finally:
        tracker.close()
        video.close()
    reader.cut()
    return reader.longest if reader.longest.seconds else None
