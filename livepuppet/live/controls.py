"""Everything that can be adjusted in a running session, declared once: settings with a type and a range, and actions.

The window's keys, the interface for programs, the command `control` and the studio page are views of these two tables: a new setting is one
entry in SETTINGS. What an entry does to the session is in `control_state`.
"""

from __future__ import annotations

from typing import get_args

from livepuppet.errors import UsageError
from livepuppet.live.camera_crop import CameraCrop
from livepuppet.live.setting_kinds import Action, Choice, Line, Number, SessionSetting, Switch
from livepuppet.provenance.label import CORNERS, LONGEST
from livepuppet.types import Mouth

_ALL_SETTINGS: tuple[SessionSetting, ...] = (
    Choice(
        name="avatar",
        label="Avatar",
        help="the portrait that moves",
        group="avatar",
        among=lambda s: s.avatar_names(),
        read=lambda s: s.avatar_name(),
        write=lambda s, value: s.choose_avatar(value),
    ),
    Number(
        name="gain",
        label="Motion",
        help="how strongly your motion moves the portrait",
        group="motion",
        low=0.0,
        high=2.0,
        step=0.1,
        percent=True,
        read=lambda s: s.puppet.tuning.gain,
        write=lambda s, value: s.tune(f"motion {value:.0%}", gain=value),
    ),
    Number(
        name="smoothing",
        label="Smoothing",
        help="0 quick and jittery to 4 slow and calm",
        group="motion",
        low=0.0,
        high=4.0,
        step=0.25,
        read=lambda s: s.puppet.tuning.smoothing,
        write=lambda s, value: s.tune(f"smoothing {value:.2f}", smoothing=value),
    ),
    Choice(
        name="mouth",
        label="Inside of the mouth",
        help="whose teeth show when you open your mouth: the driver's own, drawn ones, or none",
        group="motion",
        among=lambda s: get_args(Mouth),
        read=lambda s: s.puppet.tuning.mouth,
        write=lambda s, value: s.tune(f"inside of the mouth: {value}", mouth=value),
    ),
    Switch(
        name="relative",
        label="Relative motion",
        help="move as you moved since the reference, rather than take your pose as it is",
        group="motion",
        read=lambda s: s.puppet.tuning.relative,
        write=lambda s, value: s.tune("motion relative to the reference" if value else "absolute motion", relative=value),
    ),
    Switch(
        name="search",
        label="Better reference",
        help="keep looking for a moment in which you look more like the portrait, and count motion from there",
        group="motion",
        read=lambda s: s.puppet.searching,
        write=lambda s, value: s.search(value),
    ),
    Choice(
        name="camera",
        label="Camera",
        help="what drives the portrait",
        group="camera",
        among=lambda s: s.camera_names(),
        read=lambda s: s.camera_name(),
        write=lambda s, value: s.choose_camera(value),
    ),
    Switch(
        name="mirror",
        label="Mirror",
        help="move as in a mirror",
        group="camera",
        read=lambda s: s.mirror,
        write=lambda s, value: s.turn_mirror(value),
    ),
    Number(
        name="zoom",
        label="Camera zoom",
        help="use the middle of the camera's image only, when you sit far away",
        group="camera",
        low=1.0,
        high=CameraCrop.MAX_ZOOM,
        step=1.05,
        ratio=True,
        read=lambda s: s.crop.zoom,
        write=lambda s, value: s.zoom_to(value),
    ),
    Number(
        name="pan_x",
        label="Look left or right",
        help="where the camera zooms to: -1 left to 1 right, as you see yourself",
        group="camera",
        low=-1.0,
        high=1.0,
        step=0.1,
        read=lambda s: s.pan()[0],
        write=lambda s, value: s.pan_to(value, s.pan()[1]),
    ),
    Number(
        name="pan_y",
        label="Look up or down",
        help="where the camera zooms to: -1 up to 1 down",
        group="camera",
        low=-1.0,
        high=1.0,
        step=0.1,
        read=lambda s: s.pan()[1],
        write=lambda s, value: s.pan_to(s.pan()[0], value),
    ),
    Switch(
        name="freeze",
        label="Freeze",
        help="others see a still image until you go on",
        group="output",
        read=lambda s: s.frozen,
        write=lambda s, value: s.freeze(value),
    ),
    Switch(
        name="record",
        label="Record",
        help="write what others see to a video",
        group="output",
        read=lambda s: s.recording(),
        write=lambda s, value: s.record(),
    ),
    Line(
        name="label",
        label="Visible label",
        help="a text in a corner of the picture that says what it is; empty for none",
        group="output",
        longest=LONGEST,
        read=lambda s: s.label(),
        write=lambda s, value: s.write_label(value),
    ),
    Choice(
        name="label_position",
        label="Label's corner",
        help="where the visible label stands",
        group="output",
        among=lambda s: CORNERS,
        read=lambda s: s.label_position(),
        write=lambda s, value: s.place_label(value),
    ),
    Choice(
        name="inset",
        label="Your camera's image",
        help="shown to you alone: when it is needed, always, or never",
        group="view",
        among=lambda s: ("when needed", "always", "never"),
        read=lambda s: s.inset,
        write=lambda s, value: s.show_inset(value),
    ),
    Switch(
        name="landmarks",
        label="Landmarks",
        help="mark in your camera's image where your face is seen",
        group="view",
        read=lambda s: s.landmarks,
        write=lambda s, value: s.show_landmarks(value),
    ),
    Number(
        name="overlay",
        label="Avatar over your image",
        help="lay the portrait over your camera's image, to sit as it sits",
        group="view",
        low=0.0,
        high=1.0,
        step=0.1,
        percent=True,
        read=lambda s: s.overlay,
        write=lambda s, value: s.lay_over(value),
    ),
    Switch(
        name="statistics",
        label="Statistics",
        help="how fast it is, in the window",
        group="view",
        window_only=True,
        read=lambda s: s.statistics,
        write=lambda s, value: s.show_statistics(value),
    ),
    Switch(
        name="help",
        label="Keys",
        help="the table of keys, in the window",
        group="view",
        window_only=True,
        read=lambda s: s.help,
        write=lambda s, value: s.show_help(value),
    ),
)

_ALL_ACTIONS: tuple[Action, ...] = (
    Action(
        name="reference",
        label="New reference",
        help="look ahead, then press: from then on motion is counted from how you are now",
        act=lambda s: s.reset_reference(),
    ),
    Action(name="reload", label="Reload avatars", help="look at the avatar folders again", act=lambda s: s.reload_avatars()),
    Action(name="quit", label="Quit", help="end the session", act=lambda s: s.quit()),
)

SETTINGS = {setting.name: setting for setting in _ALL_SETTINGS}
"""Every setting by its name, in the order that people see."""
ACTIONS = {action.name: action for action in _ALL_ACTIONS}
"""Every action by its name."""


def find_setting(name: str) -> SessionSetting:
    """The setting of that name.

    Raises:
        UsageError: there is none; the known ones are named.
    """
    if name not in SETTINGS:
        raise UsageError(f"no setting is called {name!r}: there are {', '.join(SETTINGS)}", parameter="setting")
    return SETTINGS[name]


def find_action(name: str) -> Action:
    """The action of that name.

    Raises:
        UsageError: there is none; the known ones are named.
    """
    if name not in ACTIONS:
        raise UsageError(f"no action is called {name!r}: there are {', '.join(ACTIONS)}", parameter="action")
    return ACTIONS[name]


def number_setting(name: str) -> Number:
    """A setting that is known to be a number: what options of the command line take their ranges from."""
    setting = SETTINGS[name]
    assert isinstance(setting, Number)
    return setting
