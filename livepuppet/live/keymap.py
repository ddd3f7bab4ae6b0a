"""The keys: one table that acts on the controls and that prints the help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from livepuppet.live.controls import ACTIONS


class Controllable(Protocol):
    """What the keys can do to a running session. Each method returns a line to show for a moment, '' for none."""

    def step(self, name: str, by: int) -> str: ...
    def choose(self, name: str, number: int) -> str: ...
    def press(self, name: str) -> str: ...


@dataclass(frozen=True)
class KeyBinding:
    """Keys, how the help names them, what they do, and what they act on.

    Attributes:
        control: a setting or an action of `controls`.
        by: steps that a press moves the setting; 0: the key is the number of what is chosen.
    """

    keys: tuple[str, ...]
    label: str
    help: str
    control: str
    by: int = 1


KEY_BINDINGS = (
    KeyBinding(tuple("123456789"), "1 … 9", "choose an avatar", "avatar", 0),
    KeyBinding(("A",), "A", "previous avatar", "avatar", -1),
    KeyBinding(("D",), "D", "next avatar", "avatar"),
    KeyBinding(("L",), "L", "look at the avatar folder again", "reload"),
    KeyBinding(("X",), "X", "reset the reference: look ahead, then press", "reference"),
    KeyBinding(("F",), "F", "keep searching for a better reference", "search"),
    KeyBinding(("+", "="), "+", "more motion", "gain"),
    KeyBinding(("-",), "-", "less motion", "gain", -1),
    KeyBinding(("]",), "]", "smoother", "smoothing"),
    KeyBinding(("[",), "[", "quicker", "smoothing", -1),
    KeyBinding(("T",), "T", "motion relative to the reference, or absolute", "relative"),
    KeyBinding(("W",), "W", "camera: closer", "zoom"),
    KeyBinding(("S",), "S", "camera: wider", "zoom", -1),
    KeyBinding(("left",), "←", "camera: look left", "pan_x", -1),
    KeyBinding(("right",), "→", "camera: look right", "pan_x"),
    KeyBinding(("up",), "↑", "camera: look up", "pan_y", -1),
    KeyBinding(("down",), "↓", "camera: look down", "pan_y"),
    KeyBinding(("M",), "M", "mirror", "mirror"),
    KeyBinding(("C",), "C", "avatar over the camera picture: stronger", "overlay"),
    KeyBinding(("Z",), "Z", "avatar over the camera picture: weaker", "overlay", -1),
    KeyBinding(("O",), "O", "landmarks", "landmarks"),
    KeyBinding(("I",), "I", "statistics", "statistics"),
    KeyBinding(("R",), "R", "start or stop recording", "record"),
    KeyBinding(("0",), "0", "freeze the picture that others see", "freeze"),
    KeyBinding(("H", "?"), "H", "this help", "help"),
    KeyBinding(("Q", "esc", "close"), "Q, Esc", "quit", "quit"),
)

BY_KEY = {key: binding for binding in KEY_BINDINGS for key in binding.keys}
HELP = tuple(f"{binding.label}\t{binding.help}" for binding in KEY_BINDINGS)
"""One line a control: the keys, a tab, what they do."""


def press_key(session: Controllable, key: str) -> str:
    """Do what the key stands for; returns a line to show. Keys that stand for nothing do nothing."""
    binding = BY_KEY.get(key)
    if binding is None:
        return ""
    if binding.control in ACTIONS:
        return session.press(binding.control)
    return session.step(binding.control, binding.by) if binding.by else session.choose(binding.control, int(key) - 1)
