"""The part of the camera's image that drives the puppet.

Boxes are (x0, y0, x1, y1) in pixels, x1 and y1 exclusive; sizes are (width, height).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from livepuppet.types import Image, Size

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class CameraCrop:
    """The part of the camera's image that drives the puppet: `zoom` times enlarged, and moved within the margin that this leaves.

    Attributes:
        zoom: 1 … MAX_ZOOM.
        x, y: -1 (left, top) … 1 (right, bottom); 0 is centred.
    """

    zoom: float = 1.0
    x: float = 0.0
    y: float = 0.0

    MAX_ZOOM = 4.0

    def box(self, size: Size) -> Box:
        """The box inside an image of `size`; it keeps the image's shape and lies wholly inside."""
        width, height = size
        w, h = max(1, round(width / self.zoom)), max(1, round(height / self.zoom))
        x0 = round((width - w) * (1 + self.x) / 2)
        y0 = round((height - h) * (1 + self.y) / 2)
        return x0, y0, x0 + w, y0 + h

    def cut(self, image: Image) -> Image:
        """The part itself; the very same array where nothing is cut away."""
        if self.zoom <= 1.0:
            return image
        x0, y0, x1, y1 = self.box((image.shape[1], image.shape[0]))
        return np.ascontiguousarray(image[y0:y1, x0:x1])
