"""The pages that people turn to when they are stuck name only commands that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from livepuppet.cli import COMMANDS, build_parser

DOCS = Path(__file__).parents[1] / "docs"
PAGES = [DOCS / "calls.md", DOCS / "control.md", DOCS / "drivers.md", DOCS / "troubleshooting.md"]
COMMAND = re.compile(r"^    (livepuppet .*?)(?: {2,}.*)?$|`(livepuppet [^`]+)`", re.MULTILINE)


def commands(page: Path) -> list[str]:
    text = page.read_text("utf-8").replace("\\\n", "")  # a command may go on in the next line
    return [first or second for first, second in COMMAND.findall(text)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_on_the_page_is_one(page: Path) -> None:
    for command in commands(page):
        words = shlex.split(command)[1:]
        name = words.pop(0) if words and words[0] in COMMANDS else "live"
        build_parser(name).parse_args(words)  # exits, and fails the test, at a command or option that is not there


def test_the_pages_show_commands() -> None:
    assert len(commands(DOCS / "calls.md")) >= 6
    assert len(commands(DOCS / "control.md")) >= 12
    assert len(commands(DOCS / "troubleshooting.md")) >= 10
