"""The desk: what everything declared in `controls` does to a running session, and what a window tells the person.

It belongs to the loop's thread; other threads `submit` what they want and read `SessionState`. It looks at the camera's image only to put
it into `Status.driving`, for the window.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from livepuppet.errors import UsageError
from livepuppet.live.avatar_loader import AvatarLoader
from livepuppet.live.camera_crop import CameraCrop
from livepuppet.live.controls import SETTINGS, find_action, find_setting
from livepuppet.live.keymap import HELP
from livepuppet.live.puppet import Puppet
from livepuppet.live.requests import Requests
from livepuppet.live.setting_kinds import Value
from livepuppet.live.source_switch import SourceSwitch
from livepuppet.live.stats import Meter
from livepuppet.provenance.label import CORNERS, Corner
from livepuppet.provenance.marks import Mark
from livepuppet.types import Image, Source, Status

NOTE_S = 2.5
"""How long a message in the window stays."""
ONE_AVATAR = "there is one avatar"
ARMED_STEPS = 20
"""In how many steps the state tells programs of the hold still: each is news."""


@dataclass(frozen=True)
class SessionState:
    """A session as it stood after a turn of the loop; immutable, for any thread.

    Attributes:
        settings: the value of each, by name.
        options: what each choice can be set to.
        message: the line that a window would show; trouble: the source's own.
        face: the driver's face is seen. referenced: motion is counted from a reference.
        armed: how much of the hold still has passed, 0 … 1.
        driven: frames come from the source.
        recording: the file being written, '' for none.
        outputs: names of the sinks.
        about: engine, device, avatar, source and size, as used.
        ended: why the session ended, '' while it runs.
    """

    settings: Mapping[str, Value] = field(default_factory=dict)
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    message: str = ""
    trouble: str = ""
    face: bool = False
    referenced: bool = False
    armed: float = 0.0
    driven: bool = False
    recording: str = ""
    outputs: tuple[str, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)
    ended: str = ""


class ControlState:
    """Settings of a running session.

    Attributes:
        puppet, meter, avatars: as given.
        mark: what marks the frames, where its label may be changed; None where nothing does.
        mirror: whether the driver's image is flipped.
        frozen: whether others see a still image.
        crop: the part of the camera's image that drives.
        overlay, inset, landmarks, statistics, help: what a window shows, see `controls`.

    Args:
        source: what drives.
        record: starts or stops a recording and says so.
        recording: the name of the file being recorded to, '' for none.
        end: ends the session for a reason.
    """

    puppet: Puppet
    mirror: bool
    frozen: bool
    crop: CameraCrop
    overlay: float
    inset: str
    landmarks: bool
    statistics: bool
    help: bool

    def __init__(
        self,
        puppet: Puppet,
        meter: Meter,
        avatars: AvatarLoader | None,
        *,
        source: Source,
        mirror: bool,
        record: Callable[[], str],
        recording: Callable[[], str],
        end: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.puppet, self.meter, self.avatars = puppet, meter, avatars
        self.mark: Mark | None = None
        self.mirror = mirror
        self.frozen = False
        self.crop = CameraCrop()
        self.overlay, self.inset = 0.0, "when needed"
        self.landmarks = self.statistics = self.help = False
        self._source = source
        self._record, self._recording, self._end, self._clock = record, recording, end, clock
        self._driving: Image | None = None
        self._note: tuple[str, float] = ("", 0.0)
        self._requests: Requests[ControlState] = Requests()

    # What is asked of it

    def set(self, name: str, value: object) -> str:
        """Change a setting; returns a line to show. A value that it has already changes nothing.

        Raises:
            UsageError: no such setting, or not a value for it.
        """
        setting = find_setting(name)
        checked = setting.checked(self, value)
        return setting.write(self, checked) if checked != setting.read(self) else ""

    def step(self, name: str, by: int) -> str:
        """Move a setting so many steps: a switch turns over, a choice goes round.

        Raises:
            UsageError: no such setting.
        """
        setting = find_setting(name)
        value = setting.moved(self, by)
        options = setting.options(self)
        if len(options) == 1:
            return ONE_AVATAR if name == "avatar" else f"there is one choice: {options[0]}"
        return setting.write(self, value)

    def choose(self, name: str, number: int) -> str:
        """Set a choice to the option of that number, counted from 0; says so where there are not so many."""
        options = find_setting(name).options(self)
        if name == "avatar" and self.avatars is None:
            return ONE_AVATAR
        return self.set(name, options[number]) if number < len(options) else f"there are {len(options)} {name}s"

    def press(self, name: str) -> str:
        """Do what the action of that name does; returns a line to show.

        Raises:
            UsageError: there is no such action.
        """
        return find_action(name).act(self)

    def submit(self, call: Callable[[ControlState], str]) -> Future[str]:
        """Have the loop make this call between two frames; from any thread. See `Requests.submit`."""
        return self._requests.submit(call)

    # What the loop asks of it

    def serve(self, publish: Callable[[], None]) -> None:
        """Fulfil what other threads asked for, and publish how it stands then before they hear of it."""

        def say_and_publish(lines: list[str]) -> None:
            for line in lines:
                self.say(line)
            publish()

        self._requests.serve(self, say_and_publish)

    def close(self) -> None:
        """Nothing more is fulfilled."""
        self._requests.close()

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

    def notice_source(self) -> None:
        """Adapt to a source that was changed: people expect a webcam to be a mirror, and motion is counted anew."""
        if not isinstance(self._source, SourceSwitch):
            return
        if self._source.changed():
            self.mirror = self._source.mirrored
            self.crop = CameraCrop()
            self.puppet.forget_driver()
            self.meter.describe(source=self._source.name)
            self.say(f"camera: {self._source.chosen}")
        self.say(self._source.failure())

    def status(self) -> Status:
        """What a window shows beside the frame."""
        condition = self.puppet.condition
        wanted = not (condition.referenced and condition.face) or self.landmarks or self.overlay > 0 or self.inset == "always"
        return Status(
            message=self._message(),
            driving=self._driving if wanted and (self.inset != "never" or self.overlay > 0) else None,
            points=condition.points if self.landmarks else np.zeros((0, 2)),
            guide=not condition.referenced,
            armed=condition.armed,
            overlay=self.overlay,
            avatar=self.puppet.avatar.image if self.overlay > 0 else None,
            statistics=self.meter.snapshot().lines() if self.statistics else (),
            help=HELP if self.help else (),
            recording=self.recording(),
        )

    def state(self, outputs: tuple[str, ...], ended: str = "") -> SessionState:
        """What programs are told."""
        condition = self.puppet.condition
        return SessionState(
            settings={name: setting.read(self) for name, setting in SETTINGS.items()},
            options={name: options for name, setting in SETTINGS.items() if (options := setting.options(self))},
            message=self._message(),
            trouble=self._source.trouble,
            face=condition.face,
            referenced=condition.referenced,
            armed=int(condition.armed * ARMED_STEPS) / ARMED_STEPS,
            driven=self._driving is not None,
            recording=self._recording(),
            outputs=outputs,
            about=self.meter.about,
            ended=ended,
        )

    def _message(self) -> str:
        line, until = self._note
        condition = self.puppet.condition
        if self._clock() < until:
            return line
        if self._source.trouble:
            return self._source.trouble
        if self.frozen:
            return "frozen: others see a still picture (0 goes on)"
        if self._driving is None:
            return "waiting for the camera"
        if not condition.face:
            return "no face in sight: move into the picture"
        return "" if condition.referenced else "look ahead and hold still"

    # What the controls do: each returns a line to show for a moment, '' for none

    def avatar_names(self) -> tuple[str, ...]:
        return self.avatars.names if self.avatars else (self.avatar_name(),)

    def avatar_name(self) -> str:
        return self.avatars.chosen_name if self.avatars else self.meter.about.get("avatar", "the only one")

    def choose_avatar(self, name: str) -> str:
        return self.avatars.choose(self.avatars.names.index(name)) if self.avatars else ONE_AVATAR

    def reload_avatars(self) -> str:
        if isinstance(self._source, SourceSwitch):
            self._source.refresh()
        return self.avatars.reload() if self.avatars else ONE_AVATAR

    def camera_names(self) -> tuple[str, ...]:
        return self._source.names if isinstance(self._source, SourceSwitch) else (self._source.name,)

    def camera_name(self) -> str:
        return self._source.chosen if isinstance(self._source, SourceSwitch) else self._source.name

    def choose_camera(self, name: str) -> str:
        return self._source.choose(name) if isinstance(self._source, SourceSwitch) else f"the only camera here is {self._source.name}"

    def reset_reference(self) -> str:
        self.puppet.reset_reference()
        return "new reference" if self.puppet.condition.face else "look ahead and hold still"

    def search(self, on: bool) -> str:
        self.puppet.search_reference(on)
        return "searching for a better reference" if on else "the reference stays"

    def tune(self, line: str, **changes: Any) -> str:
        self.puppet.tuning = replace(self.puppet.tuning, **changes)
        return line

    def turn_mirror(self, on: bool) -> str:
        self.mirror = on
        self.puppet.reset_reference()
        return "mirrored" if on else "not mirrored"

    def zoom_to(self, zoom: float) -> str:
        self.crop = replace(self.crop, zoom=zoom)
        return f"camera zoom {zoom:.2f}"

    def pan(self) -> tuple[float, float]:
        """As the person sees themselves."""
        return (-self.crop.x if self.mirror else self.crop.x), self.crop.y

    def pan_to(self, x: float, y: float) -> str:
        self.crop = replace(self.crop, x=-x if self.mirror else x, y=y)
        return "zoom in to see it move" if self.crop.zoom == 1.0 else ""

    def lay_over(self, opacity: float) -> str:
        self.overlay = round(opacity, 2)
        return f"avatar over the camera picture: {opacity:.0%}"

    def show_inset(self, when: str) -> str:
        self.inset = when
        return ""

    def show_landmarks(self, on: bool) -> str:
        self.landmarks = on
        return ""

    def show_statistics(self, on: bool) -> str:
        self.statistics = on
        return ""

    def show_help(self, on: bool) -> str:
        self.help = on
        return ""

    def freeze(self, on: bool) -> str:
        self.frozen = on
        return "" if on else "moving again"

    def recording(self) -> bool:
        return bool(self._recording())

    def record(self) -> str:
        return self._record()

    def label(self) -> str:
        return (self.mark.label or "") if self.mark else ""

    def write_label(self, text: str) -> str:
        if self.mark is None:
            raise UsageError("these frames carry no label: nothing marks them", parameter="label")
        self.mark.relabel(text or None)
        return f"label: {self.mark.label}" if text else "no label"

    def label_position(self) -> str:
        return self.mark.corner if self.mark else CORNERS[-1]

    def place_label(self, corner: Corner) -> str:
        if self.mark is None:
            raise UsageError("these frames carry no label: nothing marks them", parameter="label_position")
        self.mark.corner = corner
        return ""

    def quit(self) -> str:
        self._end("you closed it")
        return ""
