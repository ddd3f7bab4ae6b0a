"""What a check of the doctor found: one line for a person, and the same for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

State = Literal["good", "note", "bad", "broken"]
"""good; worth knowing; something does not work; the default run would not work."""


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        fix: the command or action that helps, '' where nothing is to do.
        facts: the same for programs.
    """

    section: str
    state: State
    text: str
    fix: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


Check: TypeAlias = Callable[[], Iterator[Finding]]
"""Looks at one thing. Never raises for what it finds wrong."""


def brief_line(error: BaseException) -> str:
    """An error's text without line breaks; its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
