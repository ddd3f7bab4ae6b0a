"""`livepuppet control`: a running session, driven from a shell or a script."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from livepuppet.errors import UsageError
from livepuppet.live.controls import ACTIONS, SETTINGS
from livepuppet.live.setting_kinds import SessionSetting
from livepuppet.studio.presence import find_session
from livepuppet.studio.remote import RemoteSession

SUMMARY = "Control a running session from a shell: freeze it, change the avatar, start a recording."
USAGE = """livepuppet control [NAME [VALUE]] [--json] [--session PID]
       livepuppet control add PHOTO"""
EPILOG = (
    """
Sessions that can be controlled are those of `livepuppet studio` and `livepuppet --control PORT`.

examples:
  livepuppet control                    how it stands
  livepuppet control freeze on          others see a still image
  livepuppet control freeze toggle      ... or not any longer
  livepuppet control avatar bruno       another portrait; next and previous go through them
  livepuppet control gain up            a little more motion; or a number, like 1.3
  livepuppet control reference          count motion from how you are now
  livepuppet control add me.jpg         one more portrait

settings:
"""
    + "\n".join(f"  {setting.name:<16} {setting.help}" for setting in SETTINGS.values())
    + "\n\nactions:\n"
    + "\n".join(f"  {action.name:<16} {action.help}" for action in ACTIONS.values())
    + "\n"
)
STEPS = {"toggle": 1, "up": 1, "next": 1, "down": -1, "previous": -1}
"""Words that move a setting instead of naming a value."""
ADD = "add"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="a setting, an action, or `add`; none shows all")
    parser.add_argument("value", nargs="?", metavar="VALUE", help="on, off, toggle, a number, up, down, a name, next, previous, or a text")
    parser.add_argument("--session", type=int, metavar="PID", help="of several sessions, that of this process (default: the newest)")
    parser.add_argument("--json", action="store_true", help="print the state as JSON")


def run(options: argparse.Namespace) -> int:
    name, value = options.name, options.value
    if name is not None and name not in {*SETTINGS, *ACTIONS, ADD}:
        raise UsageError(f"nothing is called '{name}': the settings are {', '.join(SETTINGS)}; the actions {', '.join(ACTIONS)}, {ADD}")
    if name == ADD and value is None:
        raise UsageError("which photo is to be added? livepuppet control add PHOTO")
    if name in ACTIONS and value is not None:
        raise UsageError(f"{name} takes no value: livepuppet control {name}")
    session = RemoteSession(find_session(options.session))
    if name == ADD:
        print_line(f"{session.add_avatar(read_photo(Path(value)), Path(value).name)} is added")
    elif name in ACTIONS:
        print_line(session.press(name))
    elif name is not None and value is not None:
        print_line(session.step(name, STEPS[value]) if moves(SETTINGS[name], value) else session.set(name, value))
    elif name is not None:
        print(shown(session.state()["settings"][name]))
    elif options.json:
        print(json.dumps(session.state(), indent=2))
    else:
        print_state(session.state())
    return 0


def moves(setting: SessionSetting, word: str) -> bool:
    """Whether the word moves the setting. One that takes any text has no steps."""
    return word in STEPS and setting.kind != "text"


def read_photo(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def print_line(line: str) -> None:
    """What was done, where the session had something to say."""
    if line:
        print(line)


def shown(value: object) -> str:
    """A setting's value as it can be given again."""
    return ("on" if value else "off") if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def print_state(state: dict[str, Any]) -> None:
    """A line a setting: its name, its value, what it is."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, setting in SETTINGS.items():
        choices = state["options"].get(name, ())
        about = f"{setting.help} ({', '.join(choices)})" if choices else setting.help
        table.add_row(name, Text(shown(state["settings"][name])), Text(about))
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(table)
    if state["message"]:
        console.print(Text(state["message"], style="bold"))
