"""The window on a real X screen: Xvfb, keys from xdotool, screenshots from the root window."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from media import x_server

from livepuppet.errors import SinkError
from livepuppet.sinks.window import Window, display, display_available
from livepuppet.types import Frame, Image, Screen, Size, Status

pytestmark = [
    pytest.mark.screen,
    pytest.mark.skipif(not all(map(shutil.which, ("xdotool", "xwd"))), reason="needs xdotool and xwd"),
]


@pytest.fixture
def window(screen: str) -> Iterator[Window]:
    made = Window("livepuppet under test")
    made.open((600, 400), 30, lossless=False)
    yield made
    made.close()


def grey(index: int = 0, size: Size = (600, 400), value: int = 128) -> Frame:
    return Frame(np.full((size[1], size[0], 3), value, np.uint8), index, time.monotonic())


def xdotool(*words: str) -> str:
    return subprocess.run(["xdotool", *words], check=True, capture_output=True, text=True).stdout.strip()


def handle() -> str:
    return xdotool("search", "--onlyvisible", "--name", "^livepuppet under test$").split()[0]


def play(window: Window, frames: int = 6, frame: Frame | None = None) -> None:
    for index in range(frames):
        window.write(frame or grey(index))


def screenshot() -> Image:
    """The whole screen, RGB. Reads the XWD format, version 7: blue, green, red, and perhaps a byte of padding."""
    data = subprocess.run(["xwd", "-root", "-silent"], check=True, capture_output=True).stdout
    header = np.frombuffer(data[:100], ">u4")
    start, width, height, line, colours = int(header[0]), int(header[4]), int(header[5]), int(header[12]), int(header[19])
    each = int(header[11]) // 8
    pixels = np.frombuffer(data[start + 12 * colours :], np.uint8)[: line * height].reshape(height, line)
    return np.ascontiguousarray(pixels[:, : width * each].reshape(height, width, each)[..., 2::-1])


def ask_to_close(window_id: str) -> None:
    """What a click on the window's cross does: send it WM_DELETE_WINDOW."""

    class ClientMessage(ctypes.Structure):
        _fields_ = (
            ("type", ctypes.c_int), ("serial", ctypes.c_ulong), ("send_event", ctypes.c_int), ("display", ctypes.c_void_p),
            ("window", ctypes.c_ulong), ("message_type", ctypes.c_ulong), ("format", ctypes.c_int), ("data", ctypes.c_long * 5),
            ("rest_of_the_union", ctypes.c_long * 16),
        )  # fmt: skip

    x11 = ctypes.CDLL("libX11.so.6")
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XInternAtom.argtypes, x11.XInternAtom.restype = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int], ctypes.c_ulong
    x11.XSendEvent.argtypes = [ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_long, ctypes.c_void_p]
    x11.XSync.argtypes = [ctypes.c_void_p, ctypes.c_int]
    x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
    display = x11.XOpenDisplay(None)
    message = ClientMessage(type=33, window=int(window_id), format=32, message_type=x11.XInternAtom(display, b"WM_PROTOCOLS", 0))
    message.data[0] = x11.XInternAtom(display, b"WM_DELETE_WINDOW", 0)
    x11.XSendEvent(display, int(window_id), 0, 0, ctypes.byref(message))
    x11.XSync(display, 0)
    x11.XCloseDisplay(display)


def test_it_is_a_sink_and_a_screen(window: Window) -> None:
    assert isinstance(window, Screen) and window.name == "window" and window.live
    assert Window.available() and display_available()


def test_it_says_its_name_before_the_first_frame(window: Window) -> None:
    shot = screenshot()[:480, :720]
    assert shot.mean() < 40 and shot.max() > 220


def test_a_window_that_stays_black_is_opened_anew(screen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Qt sometimes never paints a window (sinks/window/sight.py): as if the first two had not been."""
    real = display.window_stays_black
    asked: list[str] = []

    def seen(name: str, size: Size) -> bool:
        asked.append(name)
        return len(set(asked)) <= 2 or real(name, size)

    monkeypatch.setattr("livepuppet.sinks.window.highgui.window_stays_black", seen)
    window = Window("livepuppet under test")
    window.open((600, 400), 30, lossless=False)
    assert len(set(asked)) >= 3
    assert len(xdotool("search", "--onlyvisible", "--name", "^livepuppet under test").split()) == 1
    window.close()


def test_black_is_told_from_painted(window: Window) -> None:
    """The X server is asked, by the window's name: one that shows its title, one that shows black, one that is not there."""
    assert not display.window_stays_black("livepuppet under test", (720, 480))
    black = np.zeros((480, 720, 3), np.uint8)
    play(window, 4, Frame(black, 0, 0.0))
    assert display.window_stays_black("livepuppet under test", (720, 480))
    assert not display.window_stays_black("nobody", (720, 480))
    assert not display.window_stays_black("livepuppet under test", (4000, 480)), "beyond the window nothing is known"


def test_colours_and_pixels_arrive_unchanged(window: Window) -> None:
    """Red is red, at the window's own size, one pixel for one pixel."""
    image = np.zeros((480, 720, 3), np.uint8)
    image[:, ::2] = (250, 20, 60)
    play(window, 4, Frame(image, 0, 0.0))
    shot = screenshot()[:480, :720]
    assert np.array_equal(shot, image)


def test_keys_arrive_by_name(window: Window) -> None:
    typed = {
        "a": "A", "x": "X", "1": "1", "9": "9", "0": "0", "bracketleft": "[", "bracketright": "]", "plus": "+", "minus": "-",
        "Left": "left", "Right": "right", "Up": "up", "Down": "down", "Escape": "esc", "question": "?", "KP_Add": "+",
    }  # fmt: skip
    play(window)
    xdotool("windowfocus", handle())
    play(window)
    window.keys()
    heard = {}
    for key in typed:
        xdotool("key", "--window", handle(), key)
        deadline = time.monotonic() + 5
        pressed: list[str] = []
        while not pressed and time.monotonic() < deadline:
            play(window, 1)
            pressed = window.keys()
        heard[key] = "".join(pressed)
    assert heard == typed


def test_keys_are_heard_while_no_frame_comes(window: Window) -> None:
    window.show(Status(message="waiting for the camera"))
    for _ in range(5):
        window.keys()
    before = screenshot()
    xdotool("windowfocus", handle())
    xdotool("key", "--window", handle(), "q")
    pressed: list[str] = []
    deadline = time.monotonic() + 5
    while not pressed and time.monotonic() < deadline:
        pressed = window.keys()
    assert pressed == ["Q"]
    assert before[:480, :720].max() > 200, "the message is on the screen"


def test_closing_it_by_mouse_says_so_once_and_it_stays_closed(window: Window) -> None:
    play(window)
    ask_to_close(handle())
    pressed: list[str] = []
    deadline = time.monotonic() + 5
    while not pressed and time.monotonic() < deadline:
        play(window, 1)
        pressed = window.keys()
    assert pressed == ["close"]
    play(window)
    assert window.keys() == []
    found = subprocess.run(["xdotool", "search", "--onlyvisible", "--name", "^livepuppet under test$"], capture_output=True, text=True)
    assert found.stdout == ""
    window.close()
    time.sleep(0.2)  # Qt sometimes never paints a window that opens within milliseconds of one closed by mouse


def test_the_picture_follows_the_windows_size(window: Window) -> None:
    play(window)
    for width, height in ((1200, 800), (500, 700)):
        xdotool("windowsize", handle(), str(width), str(height))
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            play(window, 2, grey(value=255))
            shot = screenshot()[:height, :width]
            rows, columns = np.nonzero(shot.min(axis=2) == 255)
            if len(rows) and columns.max() - columns.min() + 1 == min(width, round(height * 1.5)):
                break
        assert np.ptp(columns) + 1 == min(width, round(height * 1.5)), "as large as it fits"
        assert abs(np.ptp(rows) + 1 - min(height, width / 1.5)) <= 2, "in its own aspect"


def test_everything_shows_and_the_frame_stays_clean(window: Window) -> None:
    frame = grey()
    status = Status("hello", driving=np.zeros((90, 160, 3), np.uint8), guide=True, armed=0.5, statistics=("fps\t30",), recording=True)
    play(window, 3, frame)
    plain = screenshot()
    window.show(status)
    play(window, 3, frame)
    shown = screenshot()
    assert (frame.image == 128).all()
    changed = (plain != shown).any(axis=2)[:480, :720]
    corners = [changed[:100, :200], changed[:100, -200:], changed[-60:, 200:450], changed[-160:, -240:]]
    assert all(corner.any() for corner in corners), "statistics, recording, message, camera"


def test_two_windows_at_once(screen: str) -> None:
    first, second = Window("twin"), Window("twin")
    for window in (first, second):
        window.open((500, 500), 30, lossless=False)
    for window in (first, second):
        window.write(grey())
    assert len(xdotool("search", "--name", "^twin$").split()) == 2
    first.close()
    second.write(grey())
    assert second.keys() == []
    second.close()
    second.close()


def test_without_a_display_it_refuses_and_the_process_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(SinkError, match=r"no screen.*as the output"):
        Window().open((64, 64), 30, lossless=False)
    monkeypatch.setenv("DISPLAY", ":4077")
    with pytest.raises(SinkError, match=r":4077.*does not answer"):
        Window().open((64, 64), 30, lossless=False)
    assert not display_available()


def test_looking_for_the_screen_does_not_make_it_start_over(screen: str) -> None:
    """A bare X server starts over when its last client leaves, and throws out whoever comes at that moment."""
    program = (
        "from livepuppet.sinks.window import display\n"
        "display.ATTEMPTS = 1\n"
        "print(sum(display.display_trouble() != '' for _ in range(200)))\n"
    )
    with x_server() as name:
        environment = os.environ | {"DISPLAY": name, "PYTHONPATH": str(Path(__file__).parents[2])}
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "0", "so many times it was not let in"


def wait_for(what: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


@pytest.mark.slow
def test_livepuppet_itself_on_a_screen(screen: str, tmp_path: Path) -> None:
    """As a person would: it opens, the puppet moves, statistics and help come and go, R records twice, Q quits."""
    root = Path(__file__).parents[2]
    avatar = root / "livepuppet" / "assets" / "avatars" / "ada.jpg"
    words = ["--camera", "demo", "--avatar", str(avatar), "--size", "640x480", "--stats", "stats.json"]
    environment = os.environ | {"PYTHONPATH": str(root), "XDG_CONFIG_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    program = subprocess.Popen(
        [sys.executable, "-m", "livepuppet", *words], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        area = (slice(0, 480), slice(0, 640))
        wait_for(lambda: screenshot()[area].mean() > 60)  # the dark title is gone
        seen: list[str] = []

        def found() -> bool:
            """xdotool finds nothing when any window comes or goes during its search."""
            search = subprocess.run(["xdotool", "search", "--onlyvisible", "--name", "^livepuppet$"], capture_output=True, text=True)
            seen[:] = search.stdout.split()
            return bool(seen)

        wait_for(found)
        window_id = seen[0]
        xdotool("windowfocus", window_id)

        def press(key: str) -> None:
            xdotool("key", "--window", window_id, key)

        def panel_comes_and_goes(key: str) -> None:
            light = screenshot()[area].mean()
            press(key)
            wait_for(lambda: screenshot()[area].mean() < light - 8)
            press(key)
            wait_for(lambda: screenshot()[area].mean() > light - 6)

        def record(number: int) -> None:
            press("r")
            wait_for(lambda: len(list(tmp_path.glob("livepuppet-*.mp4"))) == number)
            time.sleep(1.5)
            press("r")
            time.sleep(1.0)

        before = screenshot()[area]
        wait_for(lambda: np.abs(screenshot()[area].astype(int) - before).max() > 40)  # it moves
        panel_comes_and_goes("i")
        panel_comes_and_goes("h")
        record(1)
        record(2)
        press("q")
        said = program.communicate(timeout=60)[1]
    finally:
        program.kill()
        program.wait()
    assert program.returncode == 0, said
    assert "Traceback" not in said and "you closed it" in said
    assert json.loads((tmp_path / "stats.json").read_text())["stages"]["window"]["count"] > 5
    for film in tmp_path.glob("livepuppet-*.mp4"):
        with av.open(str(film)) as container:
            assert sum(1 for _ in container.decode(video=0)) > 1
