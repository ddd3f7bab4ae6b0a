"""A video as numbered PNG files, one per frame, with a list of their times: what compositing programs like to read."""

from __future__ import annotations

import os
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import PngImagePlugin

from livepuppet.errors import SinkError, UsageError
from livepuppet.files import NUMBER, UNFINISHED, existing_files
from livepuppet.types import Image
from livepuppet.video.output import VideoOutput

TIMES = "timecodes.txt"
"""Beside the pictures: the time of each frame in milliseconds, in the format that Matroska's tools call 'timecode format v2'."""

COMMENT = "Comment"
"""PNG's keyword for free text, in the first picture."""


def is_image_sequence(path: Path) -> bool:
    """Whether an output names numbered pictures: frame_%05d.png."""
    return path.suffix.lower() == ".png"


def check_sequence_name(path: Path) -> None:
    """Raises UsageError for a name without a number."""
    if len(NUMBER.findall(path.name)) != 1:
        raise UsageError(f"'{path}' names one picture: write a number's place into it, {path.stem}_%05d.png", parameter="output")


class ImageSequenceOutput(VideoOutput):
    """The place of numbered pictures: `x_%05d.png` is written into a folder `x_%05d.unfinished` and moved out of it when all are there."""

    @property
    def left(self) -> bool:
        return self.working.is_dir() and any(self.working.iterdir())

    @property
    def targets(self) -> list[Path]:
        return [self.path, self.path.with_name(TIMES)]

    def begin(self) -> Path:
        """The pattern to write to, in a new folder."""
        if self.working.is_dir():
            self._discard()
        self.working.mkdir()
        return self.working / self.path.name

    def _working_name(self) -> Path:
        return self.path.with_name(self.path.stem + UNFINISHED)

    def _place(self) -> None:
        names = sorted(os.listdir(self.working))
        for name in names:
            os.replace(self.working / name, self.path.with_name(name))
        self.working.rmdir()
        for old in existing_files(self.path):
            if old.name not in names:  # of a longer sequence that was to be overwritten
                old.unlink()

    def _flush(self) -> None:
        """Each picture can be had again for less than flushing thousands of them costs."""

    def _discard(self) -> None:
        shutil.rmtree(self.working)

    def _release(self, *, remove: bool) -> None:
        if remove and self.working.is_dir():
            self._discard()
        super()._release(remove=remove)


class ImageSequenceWriter:
    """Writes frame_00001.png, frame_00002.png, … for a name like frame_%05d.png, with a comment in the first.

    Raises:
        UsageError: for a name without a number.
    """

    def __init__(self, path: str | Path, *, time_base: Fraction, comment: str = "") -> None:
        self.path = Path(path)
        self.written = 0
        self._time_base = time_base
        self._comment = PngImagePlugin.PngInfo()
        if comment:
            self._comment.add_text(COMMENT, comment)
        check_sequence_name(self.path)
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
            comment = None if self.written else self._comment
            PILImage.fromarray(image).save(self._numbered(self.written + 1), compress_level=3, pnginfo=comment)
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
