"""What the window draws, as pictures: no display needed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ImageFont

from livepuppet.live.keymap import HELP
from livepuppet.sinks.window.compose import compose_window, framed
from livepuppet.sinks.window.display import display_trouble
from livepuppet.sinks.window.highgui import LARGEST_AT_OPEN, opening_size
from livepuppet.sinks.window.keys import key_name
from livepuppet.sinks.window.mirror import draw_mirror, mirror_size, reduced
from livepuppet.sinks.window.panels import ACCENT, INK, PAPER, PAPER_OPACITY, QUIET, help_panel, message_panel, statistics_panel
from livepuppet.sinks.window.sprite import clear, lay, rounded_rectangle, shortened, solid_sprite, stack, text_width, wrapped
from livepuppet.sinks.window.viewport import LONGEST_SIDE, Rectangle, Viewport
from livepuppet.types import Floats, Image, Size, Status
from livepuppet.vision.fonts import typeface

HD: Size = (1280, 720)
STATISTICS = ("fps\t30.0", "latency\t18 ms   p95 22", "", "observe\t4.1 ms\tp95 5.0", "render\t6.3 ms\tp95 7.7", "", "device\tCPU")


def plain(size: Size, value: int = 128) -> Image:
    return np.full((size[1], size[0], 3), value, np.uint8)


def noise(size: Size, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


EVERYTHING = Status(
    message="look ahead and hold still",
    driving=noise((640, 480), 1),
    points=np.random.default_rng(2).uniform((-50, -50), (690, 530), (478, 2)),
    guide=True,
    armed=0.4,
    overlay=0.5,
    avatar=noise((300, 400), 3),
    statistics=STATISTICS,
    help=HELP,
    recording=True,
)


def test_a_picture_of_the_windows_size_is_shown_as_it_is() -> None:
    image = noise(HD)
    assert np.array_equal(compose_window(image, Status(), HD), image)


def test_nothing_is_ever_drawn_into_what_was_given() -> None:
    """The other sinks get the same frame, and the camera picture belongs to the source."""
    image = noise(HD)
    given = [image, EVERYTHING.driving, EVERYTHING.avatar, EVERYTHING.points]
    before = [np.copy(array) for array in given if array is not None]
    for status in (EVERYTHING, replace(EVERYTHING, overlay=0.0), Status()):
        shown = compose_window(image, status, HD, recorded_s=5)
        assert not np.shares_memory(shown, image)
    for array, copy in zip([a for a in given if a is not None], before, strict=True):
        assert np.array_equal(array, copy)


@pytest.mark.parametrize("size", [(1280, 720), (760, 760), (480, 480), (320, 240), (200, 900), (30, 20), (2000, 300)], ids=str)
def test_everything_at_once_fits_any_window(size: Size) -> None:
    shown = compose_window(noise((512, 512)), EVERYTHING, size, recorded_s=4000)
    assert shown.dtype == np.uint8 and shown.shape == (max(120, size[1]), max(160, size[0]), 3)


@pytest.mark.parametrize("image", [(512, 512), (64, 900), (900, 64)], ids=str)
def test_the_picture_keeps_its_aspect(image: Size) -> None:
    shown = framed(plain(image, 255), (800, 500))
    rows, columns = np.nonzero(shown.min(axis=2) == 255)
    height, width = rows.max() - rows.min() + 1, columns.max() - columns.min() + 1
    assert width == 800 or height == 500
    assert abs(width / height - image[0] / image[1]) < 0.02 * image[0] / image[1] + 2 / min(width, height)
    assert abs((columns.min() + columns.max()) / 2 - 399.5) <= 1, "in the middle"


def test_before_the_first_frame_the_message_stands_on_a_dark_ground() -> None:
    silent, said = compose_window(None, Status(), HD), compose_window(None, Status(message="waiting for the camera"), HD)
    assert silent.mean() < 40
    rows = np.nonzero((silent != said).any(axis=(1, 2)))[0]
    assert rows.min() > 0.85 * HD[1], "the message is at the bottom"


@pytest.mark.parametrize("value", [0, 128, 255])
def test_text_is_readable_on_any_background(value: int) -> None:
    """WCAG contrast between ink and panel, on black, grey and white pictures."""

    def luminance(colour: Floats) -> float:
        part = colour / 255
        linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
        return float(linear @ np.array([0.2126, 0.7152, 0.0722]))

    panel = np.array(PAPER) * PAPER_OPACITY + value * (1 - PAPER_OPACITY)
    for ink in (INK, QUIET, ACCENT):
        bright, dark = luminance(np.array(ink, np.float64)), luminance(panel)
        assert (bright + 0.05) / (dark + 0.05) > 3.9, ink
    blank, said = plain(HD, value), compose_window(plain(HD, value), Status(message="frozen"), HD)
    changed = said[(said != blank).any(axis=2)]
    assert changed.max() >= 200 and changed.min() <= 90, "bright letters on dark paper were really drawn"


def test_the_camera_picture_is_in_the_corner_and_nowhere_else() -> None:
    green = np.zeros((480, 640, 3), np.uint8)
    green[..., 1] = 200
    shown = compose_window(plain(HD, 90), Status(driving=green), HD)
    rows, columns = np.nonzero((shown == (0, 200, 0)).all(axis=2))
    assert rows.min() > HD[1] * 0.6 and columns.min() > HD[0] * 0.6
    assert not (compose_window(plain(HD, 90), Status(), HD) == (0, 200, 0)).all(axis=2).any()


def test_hold_still_progress_goes_around_clockwise_from_the_top() -> None:
    size = (320, 240)
    grey = plain(size, 60)

    def gold(armed: float) -> NDArray[np.bool_]:
        drawn = draw_mirror(Status(driving=grey, guide=True, armed=armed), size)
        return np.asarray(np.abs(drawn.astype(int) - ACCENT).max(axis=2) < 12)

    none, quarter, half, full = (gold(part) for part in (0.0, 0.25, 0.5, 1.0))
    assert not none.any()
    rows, columns = np.nonzero(quarter)
    assert columns.min() >= 158 and rows.max() <= 0.47 * 240 + 3, "the first quarter is the upper right one"
    assert np.nonzero(half)[1].min() >= 158, "the first half is the right one"
    assert full.sum() == pytest.approx(2 * half.sum(), rel=0.1) and half.sum() == pytest.approx(2 * quarter.sum(), rel=0.15)


def test_the_guide_darkens_all_but_the_face() -> None:
    drawn = draw_mirror(Status(driving=plain((320, 240), 200), guide=True), (320, 240))
    assert drawn[113, 160].tolist() == [200, 200, 200] and drawn[10, 10].max() < 130


def test_landmarks_are_dots_where_the_face_is_seen() -> None:
    points = np.array([[320.0, 240.0], [100.0, 50.0], [np.nan, 3.0], [-500.0, 9000.0], [639.9, 479.9]])
    drawn = draw_mirror(Status(driving=plain((640, 480), 0), points=points), (320, 240))
    assert drawn[120, 160].tolist() == list(ACCENT) and drawn[25, 50].tolist() == list(ACCENT)
    assert (drawn.max(axis=2) == ACCENT[0]).sum() == 2


@pytest.mark.parametrize("opacity", [0.25, 0.5, 1.0])
def test_the_avatar_is_laid_over_the_camera_with_its_opacity(opacity: float) -> None:
    status = Status(driving=plain((640, 480), 100), overlay=opacity, avatar=plain((512, 512), 200))
    drawn = draw_mirror(status, (320, 240))
    assert abs(int(drawn[120, 160, 0]) - (100 + 100 * opacity)) <= 1
    assert drawn[120, 5, 0] == 100, "a square portrait leaves the sides of a wide camera picture free"


def test_a_wide_avatar_is_cut_to_the_camera_picture() -> None:
    drawn = draw_mirror(Status(driving=plain((320, 240), 100), overlay=1.0, avatar=plain((1600, 400), 200)), (320, 240))
    assert (drawn == 200).all()


def test_reducing_averages() -> None:
    checks = np.kron(np.indices((240, 320)).sum(axis=0) % 2 * 255, np.ones((2, 2)))[..., None].repeat(3, axis=2).astype(np.uint8)
    small = reduced(checks, (160, 120))
    assert small.shape == (120, 160, 3) and np.abs(small.astype(int) - 127).max() <= 1
    same = reduced(small, (160, 120))
    assert np.array_equal(same, small) and not np.shares_memory(same, small)


@pytest.mark.parametrize("camera", [(640, 480), (1280, 720), (480, 640), (3000, 20)], ids=str)
def test_the_inset_keeps_the_cameras_aspect_and_room(camera: Size) -> None:
    width, height = mirror_size(camera, HD, large=False)
    assert width <= 0.39 * HD[0] and height <= 0.31 * HD[1]
    assert min(width, height) == 16 or width / height == pytest.approx(camera[0] / camera[1], rel=0.02)


def test_panels_are_made_once() -> None:
    assert statistics_panel(STATISTICS, 16, HD) is statistics_panel(tuple(STATISTICS), 16, HD)
    assert help_panel(HELP, 16, HD) is help_panel(tuple(HELP), 16, HD)


@pytest.mark.parametrize("size", [(1240, 680), (720, 720), (452, 452)], ids=str)
def test_the_whole_help_fits(size: Size) -> None:
    panel = help_panel(HELP, 16, size)
    assert panel.size[0] <= size[0] and panel.size[1] <= size[1]


def test_statistics_do_not_twitch_and_never_outgrow_the_window() -> None:
    quick = statistics_panel(("fps\t30.0", "dropped\t1 of 9"), 16, HD)
    slow = statistics_panel(("fps\t9.8", "dropped\t1 of 11"), 16, HD)
    assert quick.size == slow.size
    tight = statistics_panel((*STATISTICS, "source\t" + "a very long path " * 20), 16, (260, 120))
    assert tight.size[0] <= 260 and tight.size[1] <= 120


def test_a_long_message_is_wrapped_and_ended() -> None:
    panel = message_panel("the camera delivers nothing " * 30, 16, 400)
    short = message_panel("short", 16, 400)
    assert panel.size[0] <= 400 and panel.size[1] < 4 * short.size[1]
    lines = wrapped("one two three four five six seven", 16, 90, 2)
    assert len(lines) == 2 and lines[-1].endswith("…") and all(text_width(line, 16) <= 90 for line in lines)
    assert shortened("unbreakable" * 9, 16, 120).endswith("…")


def test_text_is_set_in_a_real_typeface() -> None:
    face = typeface(16)
    assert isinstance(face, ImageFont.FreeTypeFont) and face.getname()[0] == "DejaVu Sans"
    assert text_width("0123", 16) == text_width("4567", 16), "digits of one width do not jump about"


def test_laying_is_the_usual_blend_and_clips() -> None:
    canvas = plain((10, 8), 100)
    half = solid_sprite(np.full((4, 4), 255, np.uint8), (200, 0, 100), 0.5)
    lay(canvas, half, 8, -2)
    lay(canvas, half, 50, 50)
    assert np.abs(canvas[1, 9].astype(int) - (150, 50, 100)).max() <= 1 and (canvas[3:] == 100).all() and (canvas[:, :8] == 100).all()
    both, direct = clear((4, 4)), plain((4, 4), 30)
    stack(both, half, 0, 0)
    stack(both, half, 1, 1)
    lay(direct, half, 0, 0)
    lay(direct, half, 1, 1)
    composed = plain((4, 4), 30)
    lay(composed, both, 0, 0)
    assert np.abs(composed.astype(int) - direct).max() <= 1


def test_round_corners_are_round_and_smooth() -> None:
    shape = rounded_rectangle((40, 30), 10)
    assert shape[0, 0] == 0 and shape[15, 20] == 255 and np.array_equal(shape, shape[::-1, ::-1])
    assert ((shape > 0) & (shape < 255)).sum() > 8
    assert shape.sum() / 255 == pytest.approx(40 * 30 - (4 - np.pi) * 100, rel=0.01)


# Keys, sizes, displays


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (ord("q"), "Q"), (ord("Q"), "Q"), (ord("1"), "1"), (ord("["), "["), (ord("+"), "+"), (ord("-"), "-"), (27, "esc"),
        (65361, "left"), (65362, "up"), (65363, "right"), (65364, "down"), (65451, "+"), (65453, "-"), (65461, "5"),
        (0x100000 | 65361, "left"), (0x10071, "Q"), (2424832, "left"), (2490368, "up"), (2555904, "right"), (2621440, "down"),
        (63232, "up"), (63233, "down"), (63234, "left"), (63235, "right"), (-1, ""), (65505, ""), (65474, ""), (13, ""), (8, ""),
    ],
)  # fmt: skip
def test_key_names(code: int, name: str) -> None:
    assert key_name(code) == name


@pytest.mark.parametrize("image", [(1024, 1024), (256, 256), (1280, 720), (4000, 300), (64, 1280), (720, 1280)], ids=str)
def test_the_window_opens_at_a_sensible_size(image: Size) -> None:
    width, height = opening_size(image)
    assert width <= LARGEST_AT_OPEN[0] and height <= LARGEST_AT_OPEN[1]
    assert width / height == pytest.approx(image[0] / image[1], rel=0.05)
    assert max(width / LARGEST_AT_OPEN[0], height / LARGEST_AT_OPEN[1]) > 0.99 or min(width, height) >= 480


class QtView:
    """How OpenCV's Qt window shows pictures: shrunk to the window side by side, never enlarged, in the middle."""

    def __init__(self, window: Size) -> None:
        self.window = window
        self.corner = (40, 60)

    def show(self, sent: Size) -> Rectangle:
        width, height = min(sent[0], self.window[0]), min(sent[1], self.window[1])
        return self.corner[0] + (self.window[0] - width) // 2, self.corner[1] + (self.window[1] - height) // 2, width, height


@pytest.mark.parametrize("window", [(900, 500), (1600, 1000), (300, 400), (1920, 1080), (760, 764), (3840, 2160)], ids=str)
def test_the_canvas_finds_the_windows_size(window: Size) -> None:
    view, viewport = QtView((760, 760)), Viewport((760, 760), stretches=False)
    for _ in range(5):
        viewport.update(view.show(viewport.sent))
    assert viewport.size == viewport.sent == (760, 760)
    view.window = window
    for _ in range(12):
        viewport.update(view.show(viewport.sent))
    assert viewport.size == viewport.sent == window
    view.corner = (200, 10)
    for _ in range(4):
        viewport.update(view.show(viewport.sent))
    assert viewport.size == viewport.sent == window


def test_a_minimised_window_keeps_its_canvas_and_a_huge_one_is_bounded() -> None:
    viewport = Viewport((640, 480), stretches=True)
    viewport.update((-1, -1, -1, -1))
    assert viewport.size == (640, 480)
    viewport.update((0, 0, 800, 300))
    assert viewport.size == viewport.sent == (800, 300)
    viewport.update((0, 0, 7680, 4320))
    assert viewport.size == (LONGEST_SIDE, 2160)
    view, seeking = QtView((7680, 4320)), Viewport((640, 480), stretches=False)
    for _ in range(12):
        seeking.update(view.show(seeking.sent))
    assert max(seeking.size) <= LONGEST_SIDE


def test_displays_that_are_not_there() -> None:
    assert "DISPLAY is not set" in display_trouble("linux", {}) and "as the output" in display_trouble("linux", {})
    assert "XWayland" in display_trouble("linux", {"WAYLAND_DISPLAY": "wayland-0"})
    assert ":4077" in display_trouble("linux", {"DISPLAY": ":4077"})
    assert not display_trouble("win32", {}) and not display_trouble("darwin", {})
