"""The keys: one table that acts and that prints the help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Controllable(Protocol):
    """What the keys can do to a running session. Each method returns a line to show for a moment, '' for none."""

    def choose_avatar(self, number: int) -> str: ...
    def step_avatar(self, by: int) -> str: ...
    def reload_avatars(self) -> str: ...
    def reset_reference(self) -> str: ...
    def toggle_search(self) -> str: ...
    def zoom(self, factor: float) -> str: ...
    def pan(self, dx: float, dy: float) -> str: ...
    def change_overlay(self, by: float) -> str: ...
    def toggle_landmarks(self) -> str: ...
    def toggle_statistics(self) -> str: ...
    def toggle_mirror(self) -> str: ...
    def toggle_recording(self) -> str: ...
    def toggle_relative(self) -> str: ...
    def change_gain(self, by: float) -> str: ...
    def change_smoothing(self, by: float) -> str: ...
    def toggle_freeze(self) -> str: ...
    def toggle_help(self) -> str: ...
    def quit(self) -> str: ...


@dataclass(frozen=True)
class KeyBinding:
    """Keys, how the help names them, what they do, and the call."""

    keys: tuple[str, ...]
    label: str
    help: str
    act: Callable[[Controllable, str], str]


PAN = 0.1
ZOOM = 1.05

KEY_BINDINGS = (
    KeyBinding(tuple("123456789"), "1 … 9", "choose an avatar", lambda s, key: s.choose_avatar(int(key) - 1)),
    KeyBinding(("A",), "A", "previous avatar", lambda s, key: s.step_avatar(-1)),
    KeyBinding(("D",), "D", "next avatar", lambda s, key: s.step_avatar(+1)),
    KeyBinding(("L",), "L", "look at the avatar folder again", lambda s, key: s.reload_avatars()),
    KeyBinding(("X",), "X", "reset the reference: look ahead, then press", lambda s, key: s.reset_reference()),
    KeyBinding(("F",), "F", "keep searching for a better reference", lambda s, key: s.toggle_search()),
    KeyBinding(("+", "="), "+", "more motion", lambda s, key: s.change_gain(+0.1)),
    KeyBinding(("-",), "-", "less motion", lambda s, key: s.change_gain(-0.1)),
    KeyBinding(("]",), "]", "smoother", lambda s, key: s.change_smoothing(+0.25)),
    KeyBinding(("[",), "[", "quicker", lambda s, key: s.change_smoothing(-0.25)),
    KeyBinding(("T",), "T", "motion relative to the reference, or absolute", lambda s, key: s.toggle_relative()),
    KeyBinding(("W",), "W", "camera: closer", lambda s, key: s.zoom(ZOOM)),
    KeyBinding(("S",), "S", "camera: wider", lambda s, key: s.zoom(1 / ZOOM)),
    KeyBinding(("left",), "←", "camera: look left", lambda s, key: s.pan(-PAN, 0)),
    KeyBinding(("right",), "→", "camera: look right", lambda s, key: s.pan(PAN, 0)),
    KeyBinding(("up",), "↑", "camera: look up", lambda s, key: s.pan(0, -PAN)),
    KeyBinding(("down",), "↓", "camera: look down", lambda s, key: s.pan(0, PAN)),
    KeyBinding(("M",), "M", "mirror", lambda s, key: s.toggle_mirror()),
    KeyBinding(("C",), "C", "avatar over the camera picture: stronger", lambda s, key: s.change_overlay(+0.1)),
    KeyBinding(("Z",), "Z", "avatar over the camera picture: weaker", lambda s, key: s.change_overlay(-0.1)),
    KeyBinding(("O",), "O", "landmarks", lambda s, key: s.toggle_landmarks()),
    KeyBinding(("I",), "I", "statistics", lambda s, key: s.toggle_statistics()),
    KeyBinding(("R",), "R", "start or stop recording", lambda s, key: s.toggle_recording()),
    KeyBinding(("0",), "0", "freeze the picture that others see", lambda s, key: s.toggle_freeze()),
    KeyBinding(("H", "?"), "H", "this help", lambda s, key: s.toggle_help()),
    KeyBinding(("Q", "esc", "close"), "Q, Esc", "quit", lambda s, key: s.quit()),
)

BY_KEY = {key: control for control in KEY_BINDINGS for key in control.keys}
HELP = tuple(f"{control.label}\t{control.help}" for control in KEY_BINDINGS)
"""One line a control: the keys, a tab, what they do."""


def press_key(session: Controllable, key: str) -> str:
    """Do what the key stands for; returns a line to show. Keys that stand for nothing do nothing."""
    control = BY_KEY.get(key)
    return control.act(session, key) if control else ""
