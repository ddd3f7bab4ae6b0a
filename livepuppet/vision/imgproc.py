"""What a caller hands in as an image, checked once at the border: MediaPipe ends the whole process over an empty one."""

from __future__ import annotations

import numpy as np

from livepuppet.errors import UsageError
from livepuppet.types import Image


def checked_image(image: object, name: str = "image") -> Image:
    """The image itself, or a C-contiguous copy of it.

    Args:
        image: what should be RGB uint8 (H, W, 3).
        name: what it is called in the error.

    Raises:
        UsageError: it is something else, saying how to make one of it.
    """
    if not isinstance(image, np.ndarray):
        raise UsageError(f"{name} is a {type(image).__name__}: give a NumPy array, RGB uint8 of shape (height, width, 3)", parameter=name)
    if image.dtype != np.uint8:
        scale = ": scale it to 0 … 255 and convert it with .astype(numpy.uint8)"
        raise UsageError(f"{name} is {image.dtype}, not uint8{scale}", parameter=name)
    if image.ndim != 3 or image.shape[2] != 3:
        advice = {2: "repeat grey three times with numpy.dstack([image] * 3)"}.get(image.ndim, "leave out its alpha with image[..., :3]")
        raise UsageError(f"{name} has the shape {image.shape}, not (height, width, 3): {advice}", parameter=name)
    if image.size == 0:
        raise UsageError(f"{name} is empty: its shape is {image.shape}", parameter=name)
    return np.ascontiguousarray(image)
