"""The desk: everything a person adjusts from the window while the puppet moves, and what the window tells them.

The keys of `keymap` act on it. It looks at the camera's image only to put it into `Status.driving`, for the window.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from livepuppet.live.avatar_loader import AvatarLoader
from livepuppet.live.camera_crop import CameraCrop
from livepuppet.live.keymap import HELP
from livepuppet.live.puppet import Puppet
from livepuppet.live.stats import Meter
from livepuppet.types import Image, Status

NOTE_S = 2.5
"""How long a message in the window stays."""
ONE_AVATAR = "there is one avatar"


class ControlState:
    """Settings of a running session.

    Args:
        record: starts or stops a recording and says so.
        end: ends the session for a reason.
    """

    def __init__(
        self,
        puppet: Puppet,
        meter: Meter,
        avatars: AvatarLoader | None,
        *,
        mirror: bool,
        record: Callable[[], str],
        end: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.puppet, self.meter, self.avatars = puppet, meter, avatars
        self.mirror = mirror
        self.frozen = False
        """Whether others see a still image."""
        self.crop = CameraCrop()
        self._record, self._end, self._clock = record, end, clock
        self._driving: Image | None = None
        self._overlay, self._landmarks, self._statistics, self._help = 0.0, False, False, False
        self._note: tuple[str, float] = ("", 0.0)

    def framed(self, image: Image) -> Image:
        """The part of the camera's image that drives, mirrored if so wished."""
        image = self.crop.cut(image)
        self._driving = np.ascontiguousarray(image[:, ::-1]) if self.mirror else image
        return self._driving

    def darken(self) -> None:
        """The camera delivers nothing: its last image is not shown any longer."""
        self._driving = None

    def say(self, line: str) -> None:
        """Show a line for a moment; '' shows nothing new."""
        if line:
            self._note = (line, self._clock() + NOTE_S)

    def status(self, trouble: str, recording: bool) -> Status:
        """What the window shows beside the frame.

        Args:
            trouble: the source's own line.
        """
        condition = self.puppet.condition
        wanted = not (condition.referenced and condition.face) or self._landmarks or self._overlay > 0
        return Status(
            message=self._message(trouble),
            driving=self._driving if wanted else None,
            points=condition.points if self._landmarks else np.zeros((0, 2)),
            guide=not condition.referenced,
            armed=condition.armed,
            overlay=self._overlay,
            avatar=self.puppet.avatar.image if self._overlay > 0 else None,
            statistics=self.meter.snapshot().lines() if self._statistics else (),
            help=HELP if self._help else (),
            recording=recording,
        )

    def _message(self, trouble: str) -> str:
        line, until = self._note
        condition = self.puppet.condition
        if self._clock() < until:
            return line
        if trouble:
            return trouble
        if self.frozen:
            return "frozen: others see a still picture (0 goes on)"
        if self._driving is None:
            return "waiting for the camera"
        if not condition.face:
            return "no face in sight: move into the picture"
        return "" if condition.referenced else "look ahead and hold still"

    # What the keys do (see keymap.py)

    def choose_avatar(self, number: int) -> str:
        return self.avatars.choose(number) if self.avatars else ONE_AVATAR

    def step_avatar(self, by: int) -> str:
        return self.avatars.step(by) if self.avatars else ONE_AVATAR

    def reload_avatars(self) -> str:
        return self.avatars.reload() if self.avatars else ONE_AVATAR

    def reset_reference(self) -> str:
        self.puppet.reset_reference()
        return "new reference" if self.puppet.condition.face else "look ahead and hold still"

    def toggle_search(self) -> str:
        self.puppet.search_reference(not self.puppet.searching)
        return "searching for a better reference" if self.puppet.searching else "the reference stays"

    def zoom(self, factor: float) -> str:
        self.crop = self.crop.zoomed(factor)
        return f"camera zoom {self.crop.zoom:.2f}"

    def pan(self, dx: float, dy: float) -> str:
        if self.crop.zoom == 1.0:
            return "zoom in first (W), then pan"
        self.crop = self.crop.moved(-dx if self.mirror else dx, dy)
        return ""

    def change_overlay(self, by: float) -> str:
        self._overlay = float(np.clip(round(self._overlay + by, 2), 0.0, 1.0))
        return f"avatar over the camera picture: {self._overlay:.0%}"

    def toggle_landmarks(self) -> str:
        self._landmarks = not self._landmarks
        return ""

    def toggle_statistics(self) -> str:
        self._statistics = not self._statistics
        return ""

    def toggle_mirror(self) -> str:
        self.mirror = not self.mirror
        self.puppet.reset_reference()
        return "mirrored" if self.mirror else "not mirrored"

    def toggle_relative(self) -> str:
        tuning = self.puppet.tuning
        self.puppet.tuning = replace(tuning, relative=not tuning.relative)
        return "absolute motion" if tuning.relative else "motion relative to the reference"

    def change_gain(self, by: float) -> str:
        gain = float(np.clip(round(self.puppet.tuning.gain + by, 2), 0.0, 2.0))
        self.puppet.tuning = replace(self.puppet.tuning, gain=gain)
        return f"motion {gain:.0%}"

    def change_smoothing(self, by: float) -> str:
        smoothing = float(np.clip(self.puppet.tuning.smoothing + by, 0.0, 4.0))
        self.puppet.tuning = replace(self.puppet.tuning, smoothing=smoothing)
        return f"smoothing {smoothing:.2f}"

    def toggle_freeze(self) -> str:
        self.frozen = not self.frozen
        return "" if self.frozen else "moving again"

    def toggle_help(self) -> str:
        self._help = not self._help
        return ""

    def toggle_recording(self) -> str:
        return self._record()

    def quit(self) -> str:
        self._end("you closed it")
        return ""
