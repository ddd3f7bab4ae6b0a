"""How the frames of a driving video are looked at: upright, mirrored where asked, without other people; and nobody else is taken for the
driver."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from livepuppet.rendering.person_tracks import PeopleTracks
from livepuppet.types import AnyEngine, Image, Motion, Size
from livepuppet.vision.orientation import turned


@dataclass(frozen=True)
class FrameView:
    """See `tracking.DriverView`.

    Attributes:
        mirror: whether the driver is flipped first, as in a mirror.
        cast: who is there, and who drives; None where nobody need be chosen.
    """

    mirror: bool = False
    cast: PeopleTracks | None = None

    def upright(self, image: Image) -> Image:
        return image if self.cast is None else turned(image, self.cast.quarters)

    def size(self, size: Size) -> Size:
        """Of the upright frames, where the video's are of this size."""
        return size if self.cast is None or self.cast.quarters % 2 == 0 else (size[1], size[0])

    def observe(self, engine: AnyEngine, image: Image, pts: int) -> Motion | None:
        width = image.shape[1]
        if self.cast is not None:
            image = self.cast.alone(image, pts)
        motion = engine.observe(np.ascontiguousarray(image[:, ::-1]) if self.mirror else image)
        if motion is None or self.cast is None:
            return motion
        points = motion.points * [-1, 1] + [width - 1, 0] if self.mirror else motion.points
        return motion if self.cast.is_driver(points, width, pts) else None
