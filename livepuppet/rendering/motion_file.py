"""A driver's motion in a file: played back later, shared, or attached to a bug report, without a picture of the person.

A motion file is an .npz (a zip of .npy arrays; nothing in it is executed, and it is read with allow_pickle=False):

    format      'livepuppet motion'          version     1
    engine      the engine's name: motions mean something to that engine only
    start_pts, time_base (numerator, denominator), fps, frames, pose_size, expression_size
    reference_since, reference_pose, reference_expression, reference_view     the driver at rest, from the timestamp `since` on
    pts_00000, shot_00000, seen_00000, pose_00000, expression_00000, view_00000, then 00001 …: blocks of BLOCK frames

There are no pixels in it, not even the mouth's (so a motion played back opens the avatar's own mouth), and no place in the picture.
Blocks keep memory bounded whatever the length.
"""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livepuppet.errors import SinkError, UsageError
from livepuppet.files import is_special, neighbour, sweep
from livepuppet.rendering.tracking import DriverFrame
from livepuppet.types import Floats, Motion

FORMAT = "livepuppet motion"
VERSION = 1
BLOCK = 512
LARGEST_VECTOR = 100_000
LARGEST_ARRAY_BYTES = 250_000_000


@dataclass(frozen=True, eq=False)
class MotionHeader:
    """What a motion file says about itself.

    Attributes:
        references: the driver at rest, each from a timestamp on.
    """

    engine: str
    frames: int
    start_pts: int
    time_base: Fraction
    fps: float
    references: list[tuple[int, Motion]]


class MotionWriter:
    """Writes one motion file while the moments pass; it takes its place when it is closed, and leaves nothing when it is abandoned.

    Raises:
        SinkError: where it cannot be written.
    """

    def __init__(
        self, path: Path, *, engine: str, references: list[tuple[int, Motion]], start_pts: int, time_base: Fraction, fps: float
    ) -> None:
        """references: at least one, as `performance.measure_references` gives them."""
        self.path = path
        self._engine, self._references = engine, references
        self._start_pts, self._time_base, self._fps = start_pts, time_base, fps
        self._moments: list[DriverFrame] = []
        self._blocks = self._frames = 0
        self._unfinished = path if is_special(path) else neighbour(path)
        try:
            sweep(path)
            self._zip = zipfile.ZipFile(self._unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        except OSError as error:
            raise self._failure(error) from error

    def write(self, driver_frame: DriverFrame) -> None:
        """Add one moment; must come in order."""
        self._moments.append(driver_frame)
        if len(self._moments) == BLOCK:
            self._flush()

    def close(self) -> None:
        """Finish the file. May be called twice."""
        if self._zip.fp is None:
            return
        try:
            self._flush()
            motions = [motion for _, motion in self._references]
            head: dict[str, Any] = {
                "format": FORMAT,
                "version": VERSION,
                "engine": self._engine,
                "frames": self._frames,
                "start_pts": self._start_pts,
                "time_base": [self._time_base.numerator, self._time_base.denominator],
                "fps": self._fps,
                "pose_size": motions[0].pose.size,
                "expression_size": motions[0].expression.size,
                "reference_since": np.array([since for since, _ in self._references], np.int64),
                "reference_pose": np.stack([m.pose for m in motions]).astype(np.float32),
                "reference_expression": np.stack([m.expression for m in motions]).astype(np.float32),
                "reference_view": np.stack([m.view for m in motions]).astype(np.float32),
            }
            for name, value in head.items():
                self._put(name, np.asarray(value))
            self._zip.close()
            if self._unfinished != self.path:
                os.replace(self._unfinished, self.path)
        except OSError as error:
            raise self._failure(error) from error

    def abandon(self) -> None:
        """Leave nothing of a file that is not finished. Does nothing after `close`."""
        if self._zip.fp is not None:
            self._zip.close()
        if self._unfinished != self.path:
            self._unfinished.unlink(missing_ok=True)

    def _flush(self) -> None:
        driver_frames, self._moments = self._moments, []
        if not driver_frames:
            return
        motions = [m.motion or self._references[0][1] for m in driver_frames]
        arrays: dict[str, NDArray[Any]] = {
            "pts": np.array([m.pts for m in driver_frames], np.int64),
            "shot": np.array([m.shot for m in driver_frames], np.int32),
            "seen": np.array([m.motion is not None for m in driver_frames]),
            "pose": np.stack([m.pose for m in motions]).astype(np.float32),
            "expression": np.stack([m.expression for m in motions]).astype(np.float32),
            "view": np.stack([m.view for m in motions]).astype(np.float32),
        }
        try:
            for name, array in arrays.items():
                self._put(f"{name}_{self._blocks:05d}", array)
        except OSError as error:
            raise self._failure(error) from error
        self._blocks += 1
        self._frames += len(driver_frames)

    def _put(self, name: str, array: NDArray[Any]) -> None:
        data = io.BytesIO()
        np.save(data, np.asarray(array, order="C"), allow_pickle=False)
        self._zip.writestr(f"{name}.npy", data.getvalue())

    def _failure(self, error: OSError) -> SinkError:
        return SinkError(f"cannot write the motion to {self.path}: {error.strerror or error}")


class MotionFile:
    """A motion file, opened for playing back.

    Raises:
        UsageError: in one line for a file that is none, is damaged, or was made by a newer version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        try:
            self._zip = zipfile.ZipFile(self.path)
        except Exception as error:  # zipfile raises nearly anything for a damaged one
            raise UsageError(f"{self.path} is no motion file: {getattr(error, 'strerror', None) or 'not an .npz'}") from error
        try:
            self.head = self._read_head()
        except BaseException:
            self._zip.close()
            raise

    def _read_head(self) -> MotionHeader:
        if self._text("format") != FORMAT:
            raise UsageError(f"{self.path} is no motion file of livepuppet's")
        version = self._whole("version", 1, 1_000_000)
        if version > VERSION:
            raise UsageError(f"{self.path} is a motion file of version {version}: this livepuppet reads up to {VERSION}, update it")
        numerator, denominator = self._numbers("time_base", (2,)).astype(int)
        fps = float(self._numbers("fps", ())[()])
        if not (numerator > 0 and denominator > 0 and 0 < fps < 10_000):
            raise self._damaged("its time base makes no sense")
        pose, expression = self._whole("pose_size", 0, LARGEST_VECTOR), self._whole("expression_size", 0, LARGEST_VECTOR)
        since = self._array("reference_since")
        if since.dtype != np.int64 or since.ndim != 1 or not 0 < len(since) <= LARGEST_VECTOR:
            raise self._damaged("'reference_since' makes no sense")
        poses = self._numbers("reference_pose", (len(since), pose), np.float32)
        expressions = self._numbers("reference_expression", (len(since), expression), np.float32)
        views = self._numbers("reference_view", (len(since), 3), np.float32)
        return MotionHeader(
            self._text("engine"),
            self._whole("frames", 0, 2**40),
            self._whole("start_pts", -(2**62), 2**62),
            Fraction(int(numerator), int(denominator)),
            fps,
            [(int(at), Motion(poses[i].astype(float), expressions[i].astype(float), views[i].astype(float))) for i, at in enumerate(since)],
        )

    def seconds(self, pts: int) -> float:
        """Seconds since the first frame."""
        return float((pts - self.head.start_pts) * self.head.time_base)

    def __iter__(self) -> Iterator[DriverFrame]:
        """The moments, from the beginning."""
        head, left, block, before = self.head, self.head.frames, 0, None
        while left > 0:
            size = min(left, BLOCK)
            pts = self._numbers(f"pts_{block:05d}", (size,), np.int64)
            shot = self._numbers(f"shot_{block:05d}", (size,), np.int32)
            seen = self._numbers(f"seen_{block:05d}", (size,), np.bool_)
            pose = self._numbers(f"pose_{block:05d}", (size, head.references[0][1].pose.size), np.float32)
            expression = self._numbers(f"expression_{block:05d}", (size, head.references[0][1].expression.size), np.float32)
            view = self._numbers(f"view_{block:05d}", (size, 3), np.float32)
            for i in range(size):
                at = int(pts[i])
                if before is not None and at <= before:
                    raise self._damaged("its timestamps do not grow")
                before = at
                motion = Motion(pose[i].astype(float), expression[i].astype(float), view[i].astype(float)) if seen[i] else None
                yield DriverFrame(at, self.seconds(at), int(shot[i]), motion)
            left -= size
            block += 1

    def close(self) -> None:
        """Free the file. May be called twice."""
        self._zip.close()

    def _text(self, name: str) -> str:
        array = self._array(name)
        if array.dtype.kind != "U" or array.shape != () or array.dtype.itemsize > 4 * 200:
            raise self._damaged(f"'{name}' is no text")
        return str(array[()])

    def _whole(self, name: str, least: int, most: int) -> int:
        array = self._array(name)
        if array.dtype.kind not in "iu" or array.shape != () or not least <= int(array[()]) <= most:
            raise self._damaged(f"'{name}' is out of range")
        return int(array[()])

    def _numbers(self, name: str, shape: tuple[int, ...], kind: Any = np.float64) -> Floats:
        array = self._array(name)
        fits = array.dtype == kind or (kind is np.float64 and array.dtype.kind in "if")
        if array.shape != shape or not fits:
            raise self._damaged(f"'{name}' is {array.dtype} {array.shape}, not {np.dtype(kind)} {shape}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise self._damaged(f"'{name}' holds values that are no numbers")
        return array

    def _array(self, name: str) -> NDArray[Any]:
        headers: Any = np.lib.format
        try:
            information = self._zip.getinfo(f"{name}.npy")
            with self._zip.open(information) as file:
                version = headers.read_magic(file)
                if version != (1, 0):
                    raise self._damaged(f"'{name}' is of another kind")
                shape, by_columns, kind = headers.read_array_header_1_0(file, max_header_size=2000)
                size = math.prod(shape) * kind.itemsize
                # looked at before anything is unpacked: a small file must not fill the memory
                if kind.hasobject or by_columns or size > LARGEST_ARRAY_BYTES or size != information.file_size - file.tell():
                    raise self._damaged(f"'{name}' is not as large as it says")
                return np.frombuffer(file.read(), kind).reshape(shape)
        except KeyError:
            raise self._damaged(f"'{name}' is missing") from None
        except UsageError:
            raise
        except Exception as error:  # of a damaged one: zlib.error, TokenError from the array's header, MemoryError, …
            raise self._damaged(f"'{name}' cannot be read") from error

    def _damaged(self, why: str) -> UsageError:
        return UsageError(f"{self.path} is no motion file of livepuppet's, or is damaged: {why}")
