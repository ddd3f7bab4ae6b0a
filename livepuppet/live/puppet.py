"""The puppet: an engine, an avatar, a reference and a tuning. The only state that outlives a frame.

`animate` takes a driving frame and returns the avatar's frame. Whatever changes abruptly (a new reference, a face that comes back, the end
of idling) goes through one ease, from the motion shown last to the motion wanted now, so that the avatar never jumps.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import overload

import cv2
import numpy as np

from livepuppet.errors import FrameError, UsageError
from livepuppet.live.expression_keys import ExpressionKeys
from livepuppet.live.reference import HOLD_STILL_S, BetterReference, HoldStill
from livepuppet.live.stats import Meter
from livepuppet.types import (
    AnyEngine,
    AnyFrame,
    Avatar,
    Closing,
    ExpressionFrame,
    ExpressiveEngine,
    Floats,
    Frame,
    Image,
    Motion,
    Restartable,
    Tuning,
)
from livepuppet.vision.expressions import EXPRESSION_UNITS
from livepuppet.vision.imgproc import checked_image
from livepuppet.vision.portrait import load_portrait
from livepuppet.vision.smoothing import MotionFilter

BLEND_S = 0.3
"""How long a change of reference or of avatar, or the return of the face, takes."""
HOLD_S = 0.6
"""A lost face is held as it was for this long ..."""
SETTLE_S = 1.5
"""... then eases to the idle motion over this long."""


@dataclass(frozen=True, eq=False)
class DriverCondition:
    """How the puppet is, for those who show it.

    Attributes:
        face: the driver's face was seen in the last frame.
        referenced: motion is being counted from a reference.
        armed: how much of the hold still has passed, 0 … 1.
        points: where the driver was seen, (N, 2) in pixels.
    """

    face: bool = False
    referenced: bool = False
    armed: float = 0.0
    points: Floats = field(default_factory=lambda: np.zeros((0, 2)))


def frame_seconds(frame: AnyFrame) -> float:
    """The clock that motion runs on: the recording's own where there is one, else the capture time."""
    return frame.captured_at if frame.media_time is None else frame.media_time


class Puppet(Closing):
    """Moves one avatar by what a driver does. One thread animates. Closing it, also as a context manager, frees the engine.

    Attributes:
        engine, avatar: what moves, and what is moved; `wear` changes the avatar.
        tuning: gain, smoothing and the like; may be replaced between frames.
        hold_s: seconds that the driver must look ahead and hold still before motion is counted from there; 0 takes the first such frame.
        searching: whether a better reference frame is looked for.
        expressions: named expressions that are added to what the driver does; hold them and let them go between frames.
        condition: how the driver was in the last frame.
    """

    def __init__(
        self, engine: AnyEngine, avatar: Avatar, tuning: Tuning | None = None, *, hold_s: float = HOLD_STILL_S, meter: Meter | None = None
    ) -> None:
        self.engine = engine
        self.avatar = avatar
        self.tuning = tuning or Tuning()
        self.meter = meter or Meter()
        self.hold_s = hold_s
        self.searching = False
        self.expressions = ExpressionKeys()
        self.condition = DriverCondition()
        self._filter = MotionFilter(self.tuning.smoothing)
        self._reference: Motion | None = None
        self._hold = HoldStill(hold_s)
        self._search: BetterReference | None = None
        self._driving: Motion | None = None
        self._shown = avatar.neutral
        self._ease: tuple[Motion, float, float] | None = None  # from which motion, since when, for how long
        self._lost_since: float | None = None
        self._last_seconds: float | None = None
        self._fade: tuple[Image, float] | None = None
        self._image = avatar.image
        self._images = 0

    def close(self) -> None:
        """Free the engine. May be called twice."""
        self.engine.close()

    # What a frame does

    @overload
    def animate(self, frame: Frame) -> Frame: ...
    @overload
    def animate(self, frame: ExpressionFrame) -> Frame: ...
    @overload
    def animate(self, frame: Image) -> Image: ...
    def animate(self, frame: AnyFrame | Image) -> Frame | Image:
        """Move the avatar as the driver moves. Until a reference frame is armed, it is the portrait at rest.

        Args:
            frame: the driving frame: a Frame where times matter (a recording's `media_time` is the clock that motion runs on), an
                image, RGB uint8 (H, W, 3), which counts as captured now, or an ExpressionFrame, which needs no reference frame.

        Returns:
            The avatar's frame with the same index and times, or its image.

        Raises:
            UsageError: the image is not RGB uint8, or the engine cannot be driven by expressions.
        """
        if isinstance(frame, ExpressionFrame):
            return self._follow(frame)
        if isinstance(frame, Frame):
            return self._animate(replace(frame, image=checked_image(frame.image)))
        self._images += 1
        return self._animate(Frame(checked_image(frame), self._images - 1, time.monotonic())).image

    def _follow(self, told: ExpressionFrame) -> Frame:
        """Numbers say what to count from: the face at rest, until somebody takes another reference."""
        engine = driven_by_numbers(self.engine)
        if self._reference is None:
            self._reference = engine.express(ExpressionFrame(np.zeros(len(EXPRESSION_UNITS))))
            self._hold.lost()
        return self._move(Frame(self._image, told.index, told.captured_at, told.media_time), engine.express(told))

    def _animate(self, frame: Frame) -> Frame:
        with self.meter.stage("observe"):
            seen = self.engine.observe(frame.image)
        return self._move(frame, seen)

    def _move(self, frame: Frame, seen: Motion | None) -> Frame:
        now = frame_seconds(frame)
        if self._last_seconds is not None and now < self._last_seconds:  # the recording began again
            self._forget_time(now)
        self._last_seconds = now
        if seen is None:
            self._hold.lost()
            self.condition = DriverCondition(face=False, referenced=self._reference is not None)
            return self._finish(frame, self._unattended(now), now)
        if self._lost_since is not None:
            self._lost_since = None
            self._filter.reset()
            self._begin_ease(now, BLEND_S)
        with self.meter.stage("smooth"):
            self._filter.strength = self.tuning.smoothing
            self._driving = self._filter(seen, now)
        self._choose_reference(seen, now)
        self.condition = DriverCondition(True, self._reference is not None, self._hold.progress, seen.points)
        return self._finish(frame, self._wanted(), now)

    def rest(self, index: int, captured_at: float) -> Frame:
        """A frame while the source delivers nothing (a lost camera): hold, then idle. Never the camera's image."""
        frame = Frame(self._image, index, captured_at)
        self._last_seconds = captured_at
        self._hold.lost()
        self.condition = replace(self.condition, face=False, armed=0.0)
        return self._finish(frame, self._unattended(captured_at), captured_at)

    def told(self) -> ExpressionFrame | None:
        """What the driver does now, in numbers; None while nobody is seen, no reference is armed, or the engine cannot say it."""
        if not self.condition.face or self._reference is None or self._driving is None or not isinstance(self.engine, ExpressiveEngine):
            return None
        return self.engine.tell(self._reference, self._driving)

    # What a person may do

    def reset_reference(self) -> None:
        """Count motion from how the driver is now; the change blends. Without a face in sight, arm again as at the start."""
        if self._driving is None or self._lost_since is not None:
            self._reference, self._hold = None, HoldStill(self.hold_s)
        else:
            self._take_reference(self._driving)

    def forget_driver(self) -> None:
        """Another camera, or somebody else: count motion from a new reference, armed as at the start; the change blends."""
        self._reference, self._driving, self._hold, self._search = None, None, HoldStill(self.hold_s), None
        self._filter.reset()
        self._begin_ease(self._last_seconds or 0.0, BLEND_S)

    def search_reference(self, on: bool) -> None:
        """Keep looking for a frame that is more like the portrait than the reference, and take it when it comes."""
        self.searching, self._search = on, None

    def wear(self, avatar: Avatar | str | Path | Image) -> None:
        """Change the avatar; the images cross-fade.

        Args:
            avatar: a portrait's path or image (RGB uint8), made ready now at the present size (a second or two), or an avatar that this
                puppet's engine has prepared, of the present size.

        Raises:
            PortraitError: the portrait cannot be used.
            UsageError: not RGB uint8, or a prepared avatar of another size.
        """
        height, width = self.avatar.image.shape[:2]
        image = load_portrait(avatar) if isinstance(avatar, str | Path) else avatar
        worn: Avatar = self.engine.prepare(checked_image(image, "avatar"), (width, height)) if isinstance(image, np.ndarray) else image
        if worn.image.shape != self.avatar.image.shape:
            size = f"{worn.image.shape[1]}x{worn.image.shape[0]}"
            raise UsageError(f"the new avatar is {size}, the present one {width}x{height}: prepare it at the same size", parameter="avatar")
        self._fade = (self._image, self._last_seconds if self._last_seconds is not None else 0.0)
        self._shown, self._ease, self._search = worn.neutral, None, None
        self.avatar = worn

    # How it is done

    def _choose_reference(self, seen: Motion, now: float) -> None:
        def distance(motion: Motion) -> float:
            return self.engine.distance(self.avatar, motion)

        if self._reference is None:
            chosen = self._hold.watch(seen, now, distance)
            if chosen is not None:
                self._take_reference(chosen, now)
        elif self.searching:
            if self._search is None:
                self._search = BetterReference(distance(self._reference))
            if self._search.watch(seen, distance):
                self._take_reference(seen, now)

    def _take_reference(self, motion: Motion, now: float | None = None) -> None:
        self._reference = motion
        self._begin_ease(now if now is not None else (self._last_seconds or 0.0), BLEND_S)

    def _wanted(self) -> Motion:
        if self._reference is None or self._driving is None:
            return self.avatar.neutral
        driving, added = self._driving, self.expressions.weights(self._last_seconds or 0.0)
        if added is not None and isinstance(self.engine, ExpressiveEngine):
            driving = self.engine.add_expression(driving, added)
        with self.meter.stage("transfer"):
            return self.engine.transfer(self.avatar, self._reference, driving, self.tuning)

    def _unattended(self, now: float) -> Motion:
        """The motion while no face is seen: as it was, then idle."""
        if self._lost_since is None:
            self._lost_since = now
            self._ease = None
        lost = now - self._lost_since
        if lost < HOLD_S:
            return self._shown
        if self._ease is None:
            self._begin_ease(now, SETTLE_S)
        return self.engine.idle(self.avatar, lost - HOLD_S)

    def _begin_ease(self, now: float, duration: float) -> None:
        self._ease = (self._shown, now, duration)

    def _eased(self, wanted: Motion, now: float) -> Motion:
        if self._ease is None:
            return wanted
        start, since, duration = self._ease
        weight = smoothstep((now - since) / duration)
        if weight >= 1.0 and self._lost_since is None:
            self._ease = None
        return start.blend(wanted, weight)

    def _finish(self, frame: Frame, wanted: Motion, now: float) -> Frame:
        self._shown = self._eased(wanted, now)
        with self.meter.stage("render"):
            try:
                image = self.engine.render(self.avatar, self._shown, self.tuning)
            except FrameError:
                return replace(frame, image=self._image)
            image = self._faded(image, now)
        self._image = image
        return replace(frame, image=image)

    def _faded(self, image: Image, now: float) -> Image:
        if self._fade is None:
            return image
        before, since = self._fade
        weight = smoothstep((now - since) / BLEND_S)
        if weight >= 1.0:
            self._fade = None
            return image
        return np.asarray(cv2.addWeighted(before, 1.0 - weight, image, weight, 0.0), np.uint8)

    def _forget_time(self, now: float) -> None:
        """The clock jumped back: nothing that remembers a time may remember the old one."""
        if isinstance(self.engine, Restartable):
            self.engine.restart()
        self._filter.reset()
        self._ease, self._fade, self._hold = None, None, HoldStill(self.hold_s)
        if self._lost_since is not None:
            self._lost_since = now


def driven_by_numbers(engine: AnyEngine) -> ExpressiveEngine:
    """The engine, if numbers can drive it.

    Raises:
        UsageError: it needs pictures.
    """
    if not isinstance(engine, ExpressiveEngine):
        why = (
            f"the engine '{engine.name}' needs pictures of a driver, and this driver sends none: choose the engine 'landmark', or a camera"
        )
        raise UsageError(why, parameter="engine")
    return engine


def smoothstep(share: float) -> float:
    """0 below 0, 1 above 1, with flat ends between."""
    share = min(1.0, max(0.0, share))
    return share * share * (3.0 - 2.0 * share)
