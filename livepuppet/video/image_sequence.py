"""A video as numbered PNG files, one per frame, with a list of their times: what compositing programs like to read."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from livepuppet.errors import SinkError, UsageError
from livepuppet.types import Image

TIMES = "timecodes.txt"
"""Beside the pictures: the time of each frame in milliseconds, in the format that Matroska's tools call 'timecode format v2'."""

NUMBER = re.compile(r"%0?\d*d")
"""The number's place in a name; any other % stands for itself."""


def is_image_sequence(path: Path) -> bool:
    """Whether an output names numbered pictures: frame_%05d.png."""
    return path.suffix.lower() == ".png"


class ImageSequenceWriter:
    """Writes frame_00001.png, frame_00002.png, … for a name like frame_%05d.png.

    Raises:
        UsageError: for a name without a number.
    """

    def __init__(self, path: str | Path, *, time_base: Fraction) -> None:
        self.path = Path(path)
        self.written = 0
        self._time_base = time_base
        if len(NUMBER.findall(self.path.name)) != 1:
            raise UsageError(f"'{self.path}' names one picture: write a number's place into it, {self.path.stem}_%05d.png")
        if not self.path.parent.is_dir():
            raise SinkError(f"cannot write {self.path}: there is not a folder {self.path.parent}")
        try:
            self._times = (self.path.parent / TIMES).open("w")
            self._times.write("# timecode format v2\n")
        except OSError as error:
            raise self._failure(error) from error

    def write(self, image: Image | NDArray[np.uint8], pts: int) -> None:
        """Add one picture, RGB or RGBA, at `pts` in units of the time base.

        Raises:
            SinkError: its message says what is wrong.
        """
        try:
            PILImage.fromarray(image).save(self._numbered(self.written + 1), compress_level=3)
            self._times.write(f"{float(pts * self._time_base * 1000):.3f}\n")
        except OSError as error:
            raise self._failure(error) from error
        self.written += 1

    def close(self, *, whole: bool = True) -> None:
        """Finish. May be called twice."""
        try:
            self._times.close()
        except OSError as error:
            raise self._failure(error) from error

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(NUMBER.sub(lambda place: place.group() % number, self.path.name))

    def abandon(self) -> None:
        self.close()

    def _failure(self, error: OSError) -> SinkError:
        return SinkError(f"cannot write {self.path}: {error.strerror or error}; {self.written} pictures are there")
