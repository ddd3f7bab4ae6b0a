"""The kinds of settings a running session has: how each reads, checks, moves and describes its value."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from livepuppet.errors import UsageError

if TYPE_CHECKING:
    from livepuppet.live.control_state import ControlState

Value: TypeAlias = bool | float | str

WORDS = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}
"""How people write a switch's value."""


@dataclass(frozen=True, kw_only=True)
class SessionSetting(ABC):
    """One value of a session that a person or a program may read and change.

    Attributes:
        name: what programs call it.
        label: what people read beside its slider or switch.
        help: one sentence.
        group: where it stands in the studio: 'avatar', 'motion', 'camera', 'output' or 'view'.
        read: its present value.
        write: changes it, given a checked value; returns a line to show for a moment, '' for none.
        window_only: it shows something in the preview window.
    """

    name: str
    label: str
    help: str
    group: str
    read: Callable[[ControlState], Value]
    write: Callable[[ControlState, Any], str]
    window_only: bool = False

    kind = ""

    @abstractmethod
    def checked(self, desk: ControlState, value: object) -> Value:
        """The value as this setting takes it; text is read as people write it.

        Raises:
            UsageError: not such a value.
        """

    @abstractmethod
    def moved(self, desk: ControlState, by: int) -> Value:
        """The value so many steps further on; a switch turns over, a choice goes round."""

    def options(self, desk: ControlState) -> tuple[str, ...]:
        """What can be chosen among, for a choice; else empty."""
        return ()

    def described(self) -> dict[str, object]:
        """For programs: plain values."""
        described = {name: getattr(self, name) for name in ("name", "label", "help", "group", "kind")}
        return described | {"window_only": self.window_only}

    def _refusal(self, expected: str, value: object) -> UsageError:
        return UsageError(f"{self.name} is {expected}, not {value!r}", parameter=self.name)


@dataclass(frozen=True, kw_only=True)
class Switch(SessionSetting):
    """On or off."""

    kind = "switch"

    def checked(self, desk: ControlState, value: object) -> bool:
        if isinstance(value, str):
            value = WORDS.get(value.strip().lower(), value)
        if not isinstance(value, bool):
            raise self._refusal("on or off", value)
        return value

    def moved(self, desk: ControlState, by: int) -> bool:
        return bool(self.read(desk)) != bool(by % 2)


@dataclass(frozen=True, kw_only=True)
class Number(SessionSetting):
    """A number of a closed interval.

    Attributes:
        low, high: its ends.
        step: what a key press adds, or multiplies by where `ratio` is set.
        percent: people read it as a percentage.
    """

    low: float
    high: float
    step: float
    ratio: bool = False
    percent: bool = False

    kind = "number"

    def checked(self, desk: ControlState, value: object) -> float:
        return self.within(value)

    def within(self, value: object) -> float:
        """The number that is meant.

        Raises:
            UsageError: none, or outside the interval.
        """
        number = math.nan
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            try:
                number = float(value)
            except (ValueError, OverflowError):  # a word, or an integer of a thousand digits
                number = math.nan
        if not self.low <= number <= self.high:
            raise self._refusal(f"a number from {self.low:g} to {self.high:g}", value)
        return number

    def moved(self, desk: ControlState, by: int) -> float:
        value = float(self.read(desk))
        further = value * self.step**by if self.ratio else round(value + by * self.step, 4)
        return min(self.high, max(self.low, further))

    def described(self) -> dict[str, object]:
        return super().described() | {"low": self.low, "high": self.high, "step": self.step, "ratio": self.ratio, "percent": self.percent}


@dataclass(frozen=True, kw_only=True)
class Choice(SessionSetting):
    """One of several names, which may change while the session runs."""

    among: Callable[[ControlState], tuple[str, ...]]

    kind = "choice"

    def options(self, desk: ControlState) -> tuple[str, ...]:
        return self.among(desk)

    def checked(self, desk: ControlState, value: object) -> str:
        options = self.options(desk)
        if not isinstance(value, str) or value not in options:
            raise self._refusal(f"one of {', '.join(options)}", value)
        return value

    def moved(self, desk: ControlState, by: int) -> str:
        options, value = self.options(desk), str(self.read(desk))
        return options[((options.index(value) if value in options else 0) + by) % len(options)]


@dataclass(frozen=True, kw_only=True)
class Line(SessionSetting):
    """A line of text, '' for none."""

    longest: int

    kind = "text"

    def checked(self, desk: ControlState, value: object) -> str:
        if not isinstance(value, str):
            raise self._refusal("a text", value)
        text = " ".join(value.split())
        if len(text) > self.longest or not text.isprintable():
            raise self._refusal(f"a line of at most {self.longest} characters", value[: self.longest + 1])
        return text

    def moved(self, desk: ControlState, by: int) -> str:
        return str(self.read(desk))

    def described(self) -> dict[str, object]:
        return super().described() | {"longest": self.longest}


@dataclass(frozen=True, kw_only=True)
class Action:
    """Something that happens once.

    Attributes:
        name, label, help: as a setting's.
        act: does it; returns a line to show, '' for none.
    """

    name: str
    label: str
    help: str
    act: Callable[[ControlState], str]
