"""A sink that shows nothing and keeps nothing: for measuring, and for running without an output."""

from __future__ import annotations

from livepuppet.types import Frame, Size


class NullSink:
    """Takes frames and counts them."""

    name = "none"
    live = False

    def __init__(self) -> None:
        self.frames = 0

    def open(self, size: Size, fps: float, *, lossless: bool) -> None:
        """Nothing to get ready."""

    def write(self, frame: Frame) -> None:
        self.frames += 1

    def close(self) -> None:
        """Nothing to finish."""
