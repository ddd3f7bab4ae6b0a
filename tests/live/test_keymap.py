"""One table of keys acts and explains."""

from __future__ import annotations

from livepuppet.live.control_state import ControlState
from livepuppet.live.keymap import BY_KEY, HELP, KEY_BINDINGS, press_key


def test_no_key_stands_for_two_things() -> None:
    keys = [key for control in KEY_BINDINGS for key in control.keys]
    assert len(keys) == len(set(keys))


def test_the_help_explains_every_control() -> None:
    assert len(HELP) == len(KEY_BINDINGS) and all("\t" in line for line in HELP)


def test_the_issue_s_keys_are_all_there() -> None:
    wanted = {*"123456789", *"ADXFWSZCOIMRL0HQT+-[]", "left", "right", "up", "down", "esc", "close"}
    assert wanted <= set(BY_KEY)


def test_every_action_exists_on_the_desk() -> None:
    class Recorder:
        def __getattr__(self, name: str) -> object:
            assert callable(getattr(ControlState, name)), name
            return lambda *arguments: name

    for control in KEY_BINDINGS:
        assert press_key(Recorder(), control.keys[0])  # type: ignore[arg-type]


def test_unknown_keys_do_nothing() -> None:
    assert press_key(object(), "f13") == ""  # type: ignore[arg-type]
