"""The studio page in a real Chromium: it shows, is operated by mouse, keyboard and screen reader, takes photos, and lends its camera.

`LIVEPUPPET_SCREENSHOTS=FOLDER` keeps pictures of it in light, dark and phone size.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from chromium import Page, chromium
from PIL import Image as PILImage
from rendering_fixtures import PERFORMANCE
from studio_fixtures import RunningStudio, running_studio, until

from livepuppet.live.controls import SETTINGS
from livepuppet.studio.page_camera import PAGE_CAMERA
from livepuppet.video.reader import VideoReader
from livepuppet.vision.portrait import shipped_avatars

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(browser: Page, studio: RunningStudio) -> Page:
    """The page, opened by the link as a person opens it, with the guide out of the way."""
    browser.size(1440, 900)
    browser.open(studio.server.access.link)
    browser.until("location.search === '' && document.querySelector('.gallery .tile')")
    browser.script("document.getElementById('close-guide').click()")
    browser.problems.clear()
    return browser


def moving(page: Page) -> None:
    """Wait until the puppet is on the canvas."""
    page.until("document.getElementById('puppet')?.width >= 64")


def test_the_page_shows_the_puppet_and_every_setting(page: Page, studio: RunningStudio) -> None:
    moving(page)
    middle = page.script("[...document.getElementById('puppet').getContext('2d').getImageData(32, 32, 1, 1).data]")
    assert max(middle[:3]) > 20
    assert "token" not in page.script("location.href")
    shown = set(page.script("[...document.querySelectorAll('[data-setting]')].map((one) => one.dataset.setting)"))
    assert shown == {name for name, setting in SETTINGS.items() if not setting.window_only} - {"avatar", "freeze", "record"}
    assert page.script("document.querySelectorAll('.gallery .tile').length") == 4
    page.until("document.getElementById('fps').textContent >= '0'")
    assert page.problems == [], "no error, and nothing that its own policy refuses"


def test_sliders_switches_and_choices_reach_the_session_and_follow_it(page: Page, studio: RunningStudio) -> None:
    page.script("(() => { const s = document.getElementById('s-gain'); s.value = 1.5; s.dispatchEvent(new Event('input')); })()")
    until(lambda: studio.session.state.settings["gain"] == 1.5)
    page.script("document.querySelector('[data-setting=mirror] input').click()")
    until(lambda: studio.session.state.settings["mirror"] is True)
    page.script("document.querySelector('[data-setting=mouth] input[value=none]').click()")
    until(lambda: studio.session.state.settings["mouth"] == "none")
    page.script("document.querySelector('.tile[data-name=p2] input').click()")
    until(lambda: studio.session.puppet.avatar.image.max() == 120)
    page.script("document.getElementById('do-freeze').click()")
    until(lambda: studio.session.state.settings["freeze"] is True)
    page.until("!document.getElementById('badge-frozen').hidden")
    studio.ask("PUT", "/api/settings/smoothing", {"value": 3})
    page.until("document.getElementById('s-smoothing').value === '3'")


def test_the_window_s_keys_act_here_too_but_not_while_somebody_types(page: Page, studio: RunningStudio) -> None:
    for key in ("+", "m", "0"):
        page.press(key)
    until(lambda: studio.session.state.settings["gain"] == 1.1 and studio.session.state.settings["freeze"] is True)
    page.script("document.getElementById('s-label').focus()")
    page.press("0")
    page.script("document.activeElement.blur()")
    page.press("h")
    page.until("document.getElementById('keys').open")
    page.press("0")
    page.script("document.getElementById('keys').close()")
    assert studio.session.state.settings["freeze"] is True
    page.script("document.getElementById('keys-on').click()")
    page.press("0")
    page.script("document.getElementById('keys-on').click()")
    page.press("-")
    until(lambda: studio.session.state.settings["gain"] == 1.0)
    assert studio.session.state.settings["freeze"] is True, "switched off, the keys did nothing"


def test_a_screen_reader_finds_a_name_for_everything_that_acts(page: Page) -> None:
    page.until("document.querySelector('[data-setting=camera] select, [data-setting=camera] input')")
    tree = page.accessible()
    roles = {"button", "slider", "switch", "radio", "combobox", "textbox", "link", "image"}
    acting = [(role, name) for role, name in tree if role in roles]
    assert len(acting) > 25 and all(name for _, name in acting), [role for role, name in acting if not name]
    assert {"New reference", "Motion", "Camera", "Avatar"} <= {name for _, name in tree}


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (820, 1180), (390, 844), (320, 568)])
def test_nothing_sticks_out_of_any_screen(page: Page, width: int, height: int) -> None:
    page.size(width, height, phone=width < 500)
    page.until("document.querySelector('.gallery .tile')")
    assert page.script("document.documentElement.scrollWidth") <= width
    box = page.script("(({ width, height }) => [width, height])(document.getElementById('frame').getBoundingClientRect())")
    assert box[0] > 0.55 * min(width, 1000) and box[1] >= 240, "the moving picture is large"


def test_a_photo_is_added_by_a_drop_and_removed_again(page: Page, studio: RunningStudio, tmp_path: Path) -> None:
    drop = """(async () => {
        const canvas = Object.assign(document.createElement('canvas'), { width: 64, height: 64 });
        const pen = canvas.getContext('2d'); pen.fillStyle = 'rgb(200, 200, 200)'; pen.fillRect(0, 0, 64, 64);
        const blob = await new Promise((done) => canvas.toBlob(done));
        const files = new DataTransfer(); files.items.add(new File([blob], 'me <b>.png', { type: 'image/png' }));
        dispatchEvent(new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true }));
    })()"""
    page.script(drop)
    page.until("document.querySelector('.tile[data-name=\"me b\"] input:checked')")
    until(lambda: studio.session.puppet.avatar.image.max() == 200)
    assert (tmp_path / "data" / "avatars" / "me b.png").is_file()
    page.script("document.querySelector('.tile[data-name=\"me b\"] .remove').click()")
    page.until("document.getElementById('sure').open")
    page.script("document.getElementById('sure-yes').click()")
    page.until("!document.querySelector('.tile[data-name=\"me b\"]')")
    assert list((tmp_path / "data" / "avatars").iterdir()) == []


def test_a_recording_appears_and_can_be_saved(page: Page, studio: RunningStudio) -> None:
    page.script("document.getElementById('do-record').click()")
    page.until("!document.getElementById('badge-rec').hidden")
    before = studio.session.delivered
    until(lambda: studio.session.delivered > before + 20)
    page.script("document.getElementById('do-record').click()")
    page.until("document.querySelector('#recordings a[download]')")
    size = page.script("fetch(document.querySelector('#recordings a').href).then((a) => a.blob()).then((b) => b.size)")
    assert size > 1000


def choose_camera(page: Page, name: str) -> None:
    page.script(f"document.querySelector('[data-setting=camera] select').value = {json.dumps(name)}")
    page.script("document.querySelector('[data-setting=camera] select').dispatchEvent(new Event('change'))")


def test_the_browser_s_camera_drives_and_its_second_page_sees_that_the_seat_is_taken(page: Page, studio: RunningStudio) -> None:
    """Chromium's fake camera shows a moving disc, bright enough for the blob engine."""
    with studio.socket("/api/camera") as seat:
        seat.recv(20)
        until(lambda: studio.session.state.settings["camera"] == PAGE_CAMERA)
        choose_camera(page, PAGE_CAMERA)
        page.until("document.getElementById('message').textContent.includes('in use')")
    until(lambda: not studio.seat.taken)
    choose_camera(page, PAGE_CAMERA)
    until(lambda: studio.session.state.driven and studio.seat.taken)
    until(lambda: not studio.session.state.trouble and studio.session.state.settings["camera"] == PAGE_CAMERA)
    until(lambda: studio.seat.way == "WebRTC", 60)
    before = studio.session.meter.snapshot().taken
    until(lambda: studio.session.meter.snapshot().taken > before + 5)
    page.open("about:blank")
    until(lambda: not studio.seat.taken)
    until(lambda: "waiting for a browser" in studio.session.state.trouble)


def test_the_end_of_the_session_is_said(page: Page, studio: RunningStudio) -> None:
    page.script("document.getElementById('quit').click()")
    page.until("document.getElementById('curtain-text').textContent.includes('has ended')")


def test_the_other_pages(page: Page, studio: RunningStudio) -> None:
    page.open(f"{studio.server.access.address}/docs")
    page.until("document.querySelectorAll('.call').length > 10 && document.querySelectorAll('#settings tbody tr').length > 15")
    page.open(f"{studio.server.access.address}/view")
    moving(page)
    assert page.problems == []


def test_without_the_link_there_is_nothing_to_see(browser: Page, own_folders: Path) -> None:
    with running_studio(own_folders) as studio:
        browser.call("Network.clearBrowserCookies")
        browser.open(studio.server.access.address)
        browser.until("document.body && document.body.textContent.includes('a token is needed')")


# The whole program, as a person starts it, with a camera that films the shipped performance


@pytest.fixture(scope="module")
def filmed_performance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Motion JPEG, as Chromium's fake camera takes it; the first seconds, over and over."""
    path = tmp_path_factory.mktemp("camera") / "performance.mjpeg"
    with path.open("wb") as file:
        for number, frame in enumerate(VideoReader(PERFORMANCE)):
            PILImage.fromarray(frame.image).resize((640, 480)).save(file, "JPEG", quality=90)
            if number == 150:
                break
    return path


def test_a_first_visit_from_camera_to_reference(filmed_performance: Path, tmp_path: Path) -> None:
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "LIVEPUPPET_RUNTIME": str(tmp_path / "run"),
        "LIVEPUPPET_CONFIG": str(tmp_path / "config"),
    }
    environment |= {"XDG_DATA_HOME": str(tmp_path / "data"), "DISPLAY": ""}
    command = [sys.executable, "-m", "livepuppet", "studio", "--camera", "demo", "--size", "512x512", "--avatar", str(shipped_avatars()[0])]
    program = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    assert program.stderr is not None
    try:
        link = next(word for line in program.stderr for word in line.split() if word.startswith("http://"))
        with chromium(tmp_path / "profile", f"--use-file-for-fake-video-capture={filmed_performance}") as page:
            page.size(1440, 900)
            page.colours("dark")
            page.open(link)
            page.until("document.querySelector('#step-camera.now #step-camera-choice button')")
            keep_picture(page, "first-visit-dark")
            page.script("document.querySelector('#step-camera-choice button').click()")
            page.until("document.getElementById('step-camera').classList.contains('done')")
            page.until("document.getElementById('guide').hidden", 120)
            moving(page)
            assert page.script("document.getElementById('puppet').width") == 512
            look_everywhere(page)
            assert page.problems == []
            page.script("document.getElementById('quit').click()")
            assert program.wait(120) == 0  # the browser stays until then, or the click may never leave it
    finally:
        program.kill()
        program.wait()
        program.stderr.close()


def look_everywhere(page: Page) -> None:
    """Light, dark and phone: each is a picture of its own, in the colours that were asked for."""
    for scheme, size, phone in (("light", (1440, 900), False), ("dark", (1440, 900), False), ("light", (390, 844), True)):
        page.colours(scheme)
        page.size(*size, phone=phone)
        page.until("document.getElementById('puppet')?.width >= 64")
        corner = keep_picture(page, f"{'phone' if phone else 'desktop'}-{scheme}")[2, 2]
        assert (int(corner.max()) < 60) is (scheme == "dark")


def keep_picture(page: Page, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The page as it looks, kept for people where they asked for it."""
    data = page.picture()
    folder = os.environ.get("LIVEPUPPET_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name}.png").write_bytes(data)
    return np.asarray(PILImage.open(io.BytesIO(data)).convert("RGB"))
