"""One table of keys acts and explains."""

from __future__ import annotations

from livepuppet.live.controls import ACTIONS, SETTINGS
from livepuppet.live.keymap import BY_KEY, HELP, KEY_BINDINGS, press_key


def test_no_key_stands_for_two_things() -> None:
    keys = [key for control in KEY_BINDINGS for key in control.keys]
    assert len(keys) == len(set(keys))


def test_the_help_explains_every_control() -> None:
    assert len(HELP) == len(KEY_BINDINGS) and all("\t" in line for line in HELP)


def test_the_issue_s_keys_are_all_there() -> None:
    wanted = {*"123456789", *"ADXFWSZCOIMRL0HQT+-[]", "left", "right", "up", "down", "esc", "close"}
    assert wanted <= set(BY_KEY)


def test_every_key_stands_for_a_control_that_is_there() -> None:
    assert {binding.control for binding in KEY_BINDINGS} <= set(SETTINGS) | set(ACTIONS)


def test_a_key_steps_chooses_or_presses() -> None:
    class Recorder:
        def step(self, name: str, by: int) -> str:
            return f"step {name} {by:+d}"

        def choose(self, name: str, number: int) -> str:
            return f"choose {name} {number}"

        def press(self, name: str) -> str:
            return f"press {name}"

    said = [press_key(Recorder(), key) for key in ("+", "-", "M", "3", "X", "esc")]
    assert said == ["step gain +1", "step gain -1", "step mirror +1", "choose avatar 2", "press reference", "press quit"]


def test_unknown_keys_do_nothing() -> None:
    assert press_key(object(), "f13") == ""  # type: ignore[arg-type]
