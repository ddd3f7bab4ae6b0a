"""The loop: never lags, loses nothing it should keep, ends cleanly, and shows the camera's picture to nobody but a screen."""

from __future__ import annotations

import gc
import heapq
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
from blob_engine import SIDE, BlobEngine, driver, portrait
from session_fixtures import Script, Shelf, Watcher, clip, session_for

from livepuppet.errors import SinkError, SourceError
from livepuppet.live.latest import LatestFrame
from livepuppet.live.puppet import Puppet
from livepuppet.live.session import SILENCE_S, Limits, Session
from livepuppet.live.stats import Meter
from livepuppet.types import Frame, Image, Motion, Size, Tuning


def test_a_recording_into_a_file_loses_nothing_and_keeps_order() -> None:
    shelf = Shelf(delay=0.001)
    session_for(Script(clip(120), live=False), [shelf]).run()
    assert [frame.index for frame in shelf.frames] == list(range(120))
    assert shelf.opened == ((SIDE, SIDE), 200.0, True) and shelf.closed >= 1


def test_a_slow_viewer_of_a_camera_gets_fewer_frames_all_of_them_new() -> None:
    shelf = Shelf(live=True, delay=0.03)
    statistics = session_for(Script(clip(100), live=True), [shelf]).run()
    indices = [frame.index for frame in shelf.frames]
    assert indices == sorted(set(indices)) and len(indices) < 60
    assert statistics.dropped == indices[-1] - indices[0] + 1 - len(indices)


class FakeClock:
    """A clock that moves only when somebody spends time on it; due events happen on the way."""

    def __init__(self) -> None:
        self.now = 0.0
        self.events: list[tuple[float, int, Frame]] = []
        self.channel: LatestFrame | None = None

    def __call__(self) -> float:
        return self.now

    def spend(self, seconds: float) -> None:
        until = self.now + seconds
        while self.events and self.events[0][0] <= until:
            self.now, _, frame = heapq.heappop(self.events)
            assert self.channel is not None
            self.channel.put(frame)
        self.now = until


class SlowEngine(BlobEngine):
    """Takes a given time of a fake clock for every frame."""

    def __init__(self, clock: FakeClock, seconds: float) -> None:
        super().__init__()
        self._clock, self._seconds = clock, seconds

    def render(self, avatar: object, motion: Motion, tuning: Tuning) -> Image:
        self._clock.spend(self._seconds)
        return super().render(avatar, motion, tuning)  # type: ignore[arg-type]


@pytest.mark.parametrize("model_s", [0.005, 0.033, 0.05, 0.1, 0.34])
@pytest.mark.parametrize("camera_s", [1 / 60, 1 / 30, 1 / 15])
def test_output_age_stays_within_one_model_time_plus_one_camera_interval(model_s: float, camera_s: float) -> None:
    """Simulated on a fake clock, on the product's own loop and channel: exact, whatever this machine is doing."""
    clock = FakeClock()
    engine = SlowEngine(clock, model_s)
    puppet = Puppet(engine, engine.prepare(portrait()), meter=Meter(clock=clock))
    shelf = Shelf(live=True)
    session = Session(Script([], live=True), puppet, [shelf], clock=clock)
    clock.channel = session._channel
    clock.events = [(i * camera_s, i, Frame(driver(0.5), i, i * camera_s)) for i in range(600)]
    ages = []
    while clock.events:
        before = len(shelf.frames)
        session.step(0.0)
        if len(shelf.frames) > before:
            ages.append(clock.now - shelf.frames[-1].captured_at)
        else:
            clock.spend(clock.events[0][0] - clock.now if clock.events else 0.0)
    indices = [frame.index for frame in shelf.frames]
    assert indices == sorted(set(indices))
    assert max(ages) <= model_s + camera_s + 1e-9
    assert max(ages[-20:]) <= max(ages[:20]) + 1e-9 + camera_s  # and it does not grow
    assert len(shelf.frames) >= 600 * camera_s / max(model_s + camera_s, camera_s) - 2


def test_a_broken_sink_is_reported_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    good, bad = Shelf(), Shelf(breaks_at=5)
    session = session_for(Script(clip(30), live=False), [bad, good])
    session.run()
    assert len(good.frames) == 30 and len(bad.frames) == 5 and bad.closed >= 1
    assert [str(failure) for failure in session.failures] == ["the disk is full: free some space"]
    assert "disk is full" in caplog.text


def test_a_sink_that_failed_is_forgotten_whole() -> None:
    """Its error is kept to the end of the session; with a traceback it would keep the sink, and that its encoder's threads and memory."""
    bad = Shelf(breaks_at=3)
    gone = weakref.ref(bad)
    session = session_for(Script(clip(30), live=False), [bad, Shelf()])
    del bad
    session.run()
    gc.collect()
    assert session.failures and gone() is None


def test_many_recordings_are_one_stage_of_the_statistics(tmp_path: Path) -> None:
    made: list[Shelf] = []

    def new() -> tuple[Shelf, Path]:
        made.append(Shelf())
        made[-1].name = f"{len(made)}.mp4"
        return made[-1], tmp_path / made[-1].name

    watcher = Watcher({number: "R" for number in range(5, 45, 5)})
    statistics = session_for(Script(clip(60), live=False), [watcher], new_recording=new).run()
    assert len(made) == 4 and "recording" in statistics.stages
    assert not {shelf.name for shelf in made} & set(statistics.stages)


def test_the_session_ends_when_no_sink_is_left() -> None:
    session = session_for(Script(clip(500), live=True), [Shelf(live=True, breaks_at=3)])
    session.run()
    assert session.reason == "no output is left" and session.failures


def test_an_error_of_the_source_reaches_the_caller_after_the_last_frame_and_no_thread_is_left() -> None:
    before = threading.active_count()
    shelf = Shelf()
    source = Script(clip(10), live=False, error=SourceError("the video is damaged after 0:10"))
    with pytest.raises(SourceError, match="damaged"):
        session_for(source, [shelf]).run()
    assert len(shelf.frames) == 10 and shelf.closed and source.closed
    assert threading.active_count() == before


def test_a_sink_that_cannot_open_ends_everything_cleanly() -> None:
    class Shut(Shelf):
        def open(self, size: Size, fps: float, *, lossless: bool) -> None:
            raise SinkError("no virtual camera: run livepuppet virtual-camera install")

    before = threading.active_count()
    source = Script(clip(10), live=True)
    with pytest.raises(SinkError, match="virtual-camera install"):
        session_for(source, [Shut()]).run()
    assert source.closed and threading.active_count() == before


def test_limits() -> None:
    by_frames = Shelf()
    session_for(Script(clip(100), live=False), [by_frames], limits=Limits(frames=12)).run()
    assert len(by_frames.frames) == 12
    by_time = Shelf()
    session_for(Script(clip(100), live=False), [by_time], limits=Limits(seconds=1.0)).run()
    assert len(by_time.frames) == 30
    by_rate = Shelf()
    session_for(Script(clip(90), live=False), [by_rate], limits=Limits(fps=10.0)).run()
    assert len(by_rate.frames) == 30


def test_a_lost_camera_rests_the_puppet_and_says_so() -> None:
    watcher = Watcher()
    source = Script(clip(30), live=True, silent_after=30)
    session = session_for(source, [watcher])
    threading.Timer(SILENCE_S + 1.0, session.end, ["enough"]).start()
    session.run()
    rested = [frame for frame in watcher.frames if frame.index == 29]
    assert len(rested) > 10  # the picture goes on
    assert "unplugged" in {status.message for status in watcher.statuses} or any("unplugged" in s.message for s in watcher.statuses)
    assert watcher.statuses[-1].driving is None


def test_only_a_screen_ever_gets_the_camera_picture() -> None:
    """What the other sinks get is drawn from the portrait alone, in every state: unarmed, driven, lost, frozen."""
    images = clip(40) + [driver(-1.0)] * 40 + clip(20)
    watcher, shelf = Watcher({20: "O", 50: "C", 70: "0", 80: "0"}), Shelf()
    session_for(Script(images, live=False), [watcher, shelf]).run()
    assert any(status.driving is not None for status in watcher.statuses)
    values = set(np.unique(portrait()))
    for frame in shelf.frames:
        assert set(np.unique(frame.image)) <= values
        assert not any(np.shares_memory(frame.image, image) for image in images)


def test_keys_reach_the_desk_and_the_window_says_what_they_did() -> None:
    presses = {5: "H", 10: "I", 15: "+", 20: "M", 25: "W", 30: "]", 35: "D", 40: "F", 45: "X", 50: "T", 60: "Q"}
    watcher = Watcher(presses)
    session = session_for(Script(clip(300), live=True), [watcher])
    session.run()
    assert session.reason == "you closed it"
    said = {status.message for status in watcher.statuses}
    assert {"motion 110%", "mirrored", "camera zoom 1.05", "smoothing 0.25", "there is one avatar"} <= said
    assert any(status.help for status in watcher.statuses) and any(status.statistics for status in watcher.statuses)


def test_freezing_repeats_the_last_picture() -> None:
    watcher, shelf = Watcher({30: "0"}), Shelf()
    session_for(Script([driver(0.4)] * 25 + clip(40), live=False), [watcher, shelf]).run()
    assert all(np.array_equal(frame.image, shelf.frames[30].image) for frame in shelf.frames[31:])
    assert [frame.index for frame in shelf.frames[31:34]] == [31, 32, 33]


def test_recording_starts_and_stops_by_key(tmp_path: Path) -> None:
    recordings: list[Shelf] = []

    def new() -> tuple[Shelf, Path]:
        recordings.append(Shelf())
        return recordings[-1], tmp_path / "a.mp4"

    watcher = Watcher({5: "R", 25: "R"})
    session_for(Script(clip(60), live=False), [watcher], new_recording=new).run()
    assert len(recordings) == 1 and len(recordings[0].frames) == 20 and recordings[0].closed
    assert any(status.recording for status in watcher.statuses) and not watcher.statuses[-1].recording


def test_every_finished_picture_gets_the_mark() -> None:
    shelf = Shelf()

    def mark(image: Image) -> Image:
        marked = image.copy()
        marked[0, 0] = (1, 2, 3)
        return marked

    session_for(Script(clip(20), live=False), [shelf], mark=mark).run()
    assert all(tuple(frame.image[0, 0]) == (1, 2, 3) for frame in shelf.frames)
