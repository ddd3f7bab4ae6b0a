"""The contract of every control: it is described, checked, moved and obeyed alike, whoever asks; and other threads may ask."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from blob_engine import BlobEngine, driver, portrait
from PIL import Image as PILImage
from session_fixtures import Script, Shelf, Watcher, clip, session_for

from livepuppet.errors import LivepuppetError, RunError, UsageError
from livepuppet.live.avatar_loader import AvatarLoader, unique_names
from livepuppet.live.control_state import ControlState
from livepuppet.live.controls import ACTIONS, SETTINGS, find_action, find_setting
from livepuppet.live.puppet import Puppet
from livepuppet.live.requests import MOST_WAITING, Requests
from livepuppet.live.session import Session
from livepuppet.live.setting_kinds import Choice, Line, Number, Switch
from livepuppet.provenance.marks import Mark
from livepuppet.types import Tuning


@pytest.fixture
def session(tmp_path: Path) -> Session:
    for number, shade in enumerate((40, 80, 120)):
        PILImage.fromarray(np.full((48, 64, 3), shade, np.uint8)).save(tmp_path / f"p{number}.png")
    engine = BlobEngine()
    avatars = AvatarLoader(engine, [tmp_path])
    puppet = Puppet(engine, avatars.first(), Tuning(smoothing=0.0))
    session = Session(Script(clip(5), live=True), puppet, [Shelf(live=True)], avatars=avatars)
    session.new_recording = lambda: (Shelf(), tmp_path / "a.mp4")
    session.controls.mark = Mark(1)
    return session


def values_for(setting: object, desk: ControlState) -> list[object]:
    """Some that it takes."""
    if isinstance(setting, Number):
        return [setting.low, (setting.low + setting.high) / 2, setting.high]
    if isinstance(setting, Switch):
        return [True, False]
    if isinstance(setting, Choice):
        return list(setting.options(desk))
    assert isinstance(setting, Line)
    return ["artificially generated", ""]


@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_set_is_read_back(session: Session, name: str) -> None:
    setting, desk = SETTINGS[name], session.controls
    for value in [*values_for(setting, desk), *reversed(values_for(setting, desk))]:
        line = desk.set(name, value)
        assert setting.read(desk) == value and "\n" not in line
        assert desk.set(name, value) == "", "what is so already is not done again"
    assert session.avatars is not None
    session.avatars.close()


WRONG: list[object] = [
    None,
    [],
    {},
    [1],
    {"value": 1},
    "nonsense\n",
    "",
    float("nan"),
    float("inf"),
    -1e9,
    10**400,
    "nan",
    "x" * 500,
    b"on",
]


@pytest.mark.parametrize("name", SETTINGS)
def test_anything_else_is_refused_in_one_line_and_changes_nothing(session: Session, name: str) -> None:
    setting, desk = SETTINGS[name], session.controls
    before = setting.read(desk)
    refused = 0
    for value in WRONG:
        if isinstance(setting, Line) and isinstance(value, str) and len(value) < 60:
            continue
        with pytest.raises(UsageError) as refusal:
            desk.set(name, value)
        assert refusal.value.parameter == name and "\n" not in str(refusal.value) and len(str(refusal.value)) < 1000
        refused += 1
    assert refused >= 8 and setting.read(desk) == before


@pytest.mark.parametrize("name", SETTINGS)
def test_a_step_leads_to_a_value_that_it_takes(session: Session, name: str) -> None:
    setting, desk = SETTINGS[name], session.controls
    for by in (1, -1, 3, -50, 50):
        assert setting.checked(desk, setting.moved(desk, by)) == setting.moved(desk, by)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_describes_itself(session: Session, name: str) -> None:
    described = SETTINGS[name].described()
    assert json.loads(json.dumps(described)) == described
    assert described["name"] == name and described["kind"] in {"switch", "number", "choice", "text"}
    help_text = str(described["help"])
    assert help_text and not help_text.endswith(".") and described["label"]


def test_text_is_read_as_people_write_it(session: Session) -> None:
    desk = session.controls
    for word, value in {"on": True, "OFF": False, " yes ": True, "0": False}.items():
        desk.set("freeze", word)
        assert desk.frozen is value
    desk.set("gain", "1.5")
    assert desk.puppet.tuning.gain == 1.5
    desk.set("label", "  made \t by   machine ")
    assert desk.mark is not None and desk.mark.label == "made by machine"


def test_unknown_names_list_the_known_ones(session: Session) -> None:
    for call in (find_setting, find_action, session.controls.press):
        with pytest.raises(UsageError, match=r"nonesuch.*there are"):
            call("nonesuch")


def test_every_action_acts(session: Session) -> None:
    for name in ACTIONS:
        assert "\n" not in session.controls.press(name)
    assert session.reason == "you closed it"
    assert session.avatars is not None
    session.avatars.close()


def test_names_of_avatars_are_told_apart() -> None:
    paths = [Path("a/ada.jpg"), Path("a/ada.png"), Path("b/ada.jpg"), Path("b/bruno.jpg")]
    assert unique_names(paths) == ("ada", "ada (2)", "ada (3)", "bruno")


def test_requests_of_other_threads_are_fulfilled_by_the_loop_between_two_frames() -> None:
    shelf = Watcher()
    session = session_for(Script(clip(2000), live=True), [shelf])
    loop = threading.get_ident()
    ran_in: list[int] = []

    def note(desk: ControlState) -> str:
        ran_in.append(threading.get_ident())
        return desk.set("gain", 0.5)

    answers: list[object] = []

    def ask() -> None:
        answers.append(session.controls.submit(note).result(10))
        try:
            session.controls.submit(lambda desk: desk.set("gain", "much")).result(10)
        except LivepuppetError as error:
            answers.append(str(error))
        answers.append(session.state.settings["gain"])
        session.controls.submit(lambda desk: desk.press("quit")).result(10)

    thread = threading.Thread(target=ask)
    thread.start()
    session.run()
    thread.join()
    assert ran_in == [loop]
    assert answers[0] == "motion 50%" and "from 0 to 2" in str(answers[1]) and answers[2] == 0.5
    assert session.state.ended == "you closed it"
    assert "motion 50%" in {status.message for status in shelf.statuses}, "the window says what others did"
    with pytest.raises(RunError, match="has ended"):
        session.controls.submit(note).result(0)


def test_a_flood_of_requests_is_turned_away_and_a_fault_in_one_stays_with_who_asked() -> None:
    requests: Requests[list[int]] = Requests()
    futures = [requests.submit(lambda target: str(target.pop())) for _ in range(MOST_WAITING + 1)]
    with pytest.raises(RunError, match="more slowly"):
        futures[-1].result(0)
    published: list[str] = []

    def publish(lines: list[str]) -> None:
        published.extend(lines)
        assert not futures[0].done(), "who asked hears of it only afterwards"

    requests.serve([1, 2], publish)
    assert published == [futures[0].result(0), futures[1].result(0)] == ["2", "1"]
    assert isinstance(futures[2].exception(0), IndexError)
    waiting = requests.submit(lambda target: "")
    requests.close()
    assert isinstance(waiting.exception(0), RunError)


def test_the_state_tells_what_a_program_wants_to_know() -> None:
    session = session_for(Script([driver(0.5)] * 60, live=False), [Shelf()])
    session.run()
    state = session.state
    assert set(state.settings) == set(SETTINGS)
    assert state.face and state.referenced and state.armed == 1.0 and not state.trouble
    assert state.options["mouth"] == ("driver", "avatar", "none") and state.ended


def test_the_portrait_is_named_anew_when_another_is_worn(session: Session) -> None:
    session.controls.set("avatar", "p1")
    threading.Timer(1.0, session.end, ["enough"]).start()
    session.source = Script(clip(2000), live=True)
    session.run()
    assert session.meter.about["avatar"] == "p1" and session.puppet.avatar.image.max() == 80


def test_one_portrait_is_no_choice() -> None:
    engine = BlobEngine()
    desk = Session(Script([], live=True), Puppet(engine, engine.prepare(portrait())), [Shelf()]).controls
    assert desk.step("avatar", 1) == desk.choose("avatar", 3) == "there is one avatar"
