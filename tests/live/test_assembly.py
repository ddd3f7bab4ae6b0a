"""The public interface: puppets, sources, sinks and `run`, as a program uses them."""

from __future__ import annotations

import json
import os
import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from blob_engine import BlobEngine, driver, portrait
from rendering_fixtures import ADA, frame_times

import livepuppet as lp
from livepuppet.provenance.marked_sink import MarkedSink
from livepuppet.registry import PARTS
from livepuppet.video.reader import VideoReader


@pytest.fixture
def puppet() -> lp.Puppet:
    engine = BlobEngine()
    return lp.Puppet(engine, engine.prepare(portrait(), (320, 240)), hold_s=0.0)


@pytest.fixture
def ada() -> lp.Puppet:
    """A photo that is large enough for the mark's number, moved by an engine that costs nothing."""
    engine = BlobEngine()
    return lp.Puppet(engine, engine.prepare(lp.load_portrait(ADA, 640)), hold_s=0.0)


def test_a_program_of_five_lines_makes_a_marked_and_signed_video(tmp_path: Path, ada: lp.Puppet) -> None:
    """No size, no rate and no opening is said: the sink opens itself at the first frame."""
    path = tmp_path / "talk.mp4"
    with lp.open_source("demo", paced=False) as source, lp.open_sink(path) as sink:
        statistics = lp.run(source, ada, [sink], frames=40)
    assert statistics.delivered == 40 and statistics.dropped == 0
    found = lp.verify(path)
    assert found.verdict == "livepuppet" and found.watermark.found
    assert found.ours is not None and found.ours["engine"] == "blob" and found.ours["session_id"] == found.watermark.session_id
    assert np.diff([float(t) for t in frame_times(path)]) == pytest.approx(1 / 30, abs=0.002)


def test_frames_written_one_by_one_are_marked_too_unless_told_not_to(tmp_path: Path) -> None:
    image = lp.load_portrait(ADA, 640)
    for name, watermark in (("a.mp4", True), ("b.mp4", False)):
        with lp.open_sink(tmp_path / name, watermark=watermark) as sink:
            for _ in range(12):
                sink.write(image)
        assert lp.verify(tmp_path / name).watermark.found is watermark
    assert lp.verify(tmp_path / "b.mp4").ours is not None, "the credentials say that it is synthetic, and that the mark was left out"


def test_the_mark_is_put_in_once(tmp_path: Path, puppet: lp.Puppet) -> None:
    """Marked twice, with two random numbers, a frame would differ from the finished one by more than one mark's strength."""
    seen: list[lp.Frame] = []

    class Keeper(lp.Closing):
        name, live = "keeper", False

        def open(self, size: tuple[int, int], fps: float, *, lossless: bool) -> None: ...

        def write(self, frame: lp.Frame) -> None:
            seen.append(frame)

    from livepuppet.provenance.marks import Mark

    mark = Mark(7)
    with lp.open_source("demo", paced=False) as source:
        lp.run(source, puppet, [MarkedSink(Keeper(), mark)], frames=3)
    bare = puppet.avatar.image
    assert np.array_equal(seen[0].image, Mark(7).apply(bare))


@pytest.mark.parametrize("clock", ["captured_at", "media_time"])
def test_times_that_a_caller_gives_make_a_video_of_that_speed(tmp_path: Path, clock: str) -> None:
    image = np.full((96, 128, 3), 120, np.uint8)
    with lp.open_sink(tmp_path / "slow.mp4", watermark=False) as sink:
        for i in range(10):
            times = {"captured_at": 500.0 + i / 10} if clock == "captured_at" else {"captured_at": time.monotonic(), "media_time": i / 10}
            sink.write(lp.Frame(image, i, **times))
    assert frame_times(tmp_path / "slow.mp4") == [Fraction(i, 10) for i in range(10)]


def test_images_without_times_are_spaced_by_the_rate_of_the_sink(tmp_path: Path) -> None:
    with lp.open_sink(tmp_path / "a.mp4", watermark=False) as sink:
        sink.open((128, 96), 25, lossless=True)
        for _ in range(5):
            sink.write(np.full((96, 128, 3), 120, np.uint8))
    assert frame_times(tmp_path / "a.mp4") == [Fraction(i, 25) for i in range(5)]


def test_images_go_in_and_come_out(puppet: lp.Puppet) -> None:
    moved = [puppet.animate(driver(0.5 + 0.02 * i)) for i in range(4)]
    assert all(image.shape == (240, 320, 3) and image.dtype == np.uint8 for image in moved)
    frame = puppet.animate(lp.Frame(driver(0.5), 9, 1.0))
    assert isinstance(frame, lp.Frame) and frame.index == 9


WRONG = {
    "grey": np.zeros((64, 64), np.uint8),
    "with alpha": np.zeros((64, 64, 4), np.uint8),
    "float": np.zeros((64, 64, 3), np.float32),
    "empty": np.zeros((0, 64, 3), np.uint8),
    "a list": [[0, 0, 0]],
}


@pytest.mark.parametrize("kind", WRONG)
def test_any_other_array_is_refused_in_one_line(puppet: lp.Puppet, kind: str) -> None:
    for given in (WRONG[kind], lp.Frame(WRONG[kind], 0, 0.0)):  # type: ignore[arg-type]
        with pytest.raises(lp.UsageError) as refusal:
            puppet.animate(given)  # type: ignore[call-overload]
        assert refusal.value.parameter == "image" and "\n" not in str(refusal.value)


def test_an_engine_survives_an_empty_image() -> None:
    """MediaPipe would end the process over it."""
    with lp.open_puppet(ADA, size=(256, 256)) as puppet, pytest.raises(lp.UsageError):
        puppet.engine.observe(np.zeros((0, 0, 3), np.uint8))


def test_a_portrait_is_worn_by_its_path_or_its_image(tmp_path: Path) -> None:
    with lp.open_puppet(ADA, size=(256, 256)) as puppet:
        before = puppet.avatar.image
        puppet.wear(lp.shipped_avatars()[1])
        assert puppet.avatar.image.shape == before.shape and not np.array_equal(puppet.avatar.image, before)
        puppet.wear(lp.load_portrait(ADA))
        assert np.array_equal(puppet.avatar.image, before)
        with pytest.raises(lp.PortraitError):
            puppet.wear(tmp_path / "nobody.jpg")


def test_python_changes_nothing_of_the_user_s_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEPUPPET_CONFIG", str(tmp_path))

    class Camera(lp.Closing):
        name = "a camera"

    monkeypatch.setitem(PARTS["source"], "camera", f"{__name__}:Camera")
    globals()["Camera"] = lambda which, **asked: Camera()
    assert lp.open_source(0).name == "a camera"
    assert os.listdir(tmp_path) == []


def test_a_fault_inside_an_engine_is_not_taken_for_a_missing_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(device: str, model: str | None = None) -> None:
        raise TypeError("unsupported operand")

    globals()["broken"] = broken
    monkeypatch.setitem(PARTS["engine"], "broken", f"{__name__}:broken")
    with pytest.raises(TypeError, match="unsupported operand"):
        lp.open_engine("broken", model="x")
    with pytest.raises(lp.UsageError, match="runs no model") as refusal:
        lp.open_engine("landmark", model="x")
    assert refusal.value.parameter == "model"


def test_errors_keep_their_parameter_on_their_way_from_a_worker() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(lp.UsageError("no face 3", parameter="face")))
    assert isinstance(error, lp.UsageError) and str(error) == "no face 3" and error.parameter == "face"


def test_statistics_are_numbers(puppet: lp.Puppet) -> None:
    with lp.open_source("demo", paced=False) as source, lp.open_sink("none") as sink:
        statistics = lp.run(source, puppet, [sink], frames=5)
    assert json.loads(json.dumps(statistics.as_dict()))["delivered"] == 5


def test_a_sink_takes_nothing_but_images(tmp_path: Path) -> None:
    for name, wrong in WRONG.items():
        with lp.open_sink(tmp_path / f"{name}.mp4") as sink:
            for given in (wrong, lp.Frame(wrong, 0, 0.0)):  # type: ignore[arg-type]
                with pytest.raises(lp.UsageError) as refusal:
                    sink.write(given)  # type: ignore[arg-type]
                assert refusal.value.parameter == "image" and "\n" not in str(refusal.value)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("clock", ["captured_at", "media_time"])
def test_the_last_frame_lasts_as_long_as_the_others(tmp_path: Path, clock: str) -> None:
    """The rate that a video names is that of the frames' own times, although nobody said it: ten frames 1/10 s apart last one second."""
    with lp.open_sink(tmp_path / "slow.mp4", watermark=False) as sink:
        for i in range(10):
            sink.write(lp.Frame(np.full((96, 128, 3), 120, np.uint8), i, 500 + i / 10, i / 10 if clock == "media_time" else None))
    with av.open(str(tmp_path / "slow.mp4")) as video:
        assert video.streams.video[0].average_rate == 10 and video.duration == av.time_base


def test_a_single_frame_is_a_video_too(tmp_path: Path) -> None:
    with lp.open_sink(tmp_path / "one.mp4", watermark=False) as sink:
        sink.write(lp.Frame(np.full((96, 128, 3), 120, np.uint8), 0, 1.0))
    assert frame_times(tmp_path / "one.mp4") == [0]


def test_an_array_may_be_used_again(tmp_path: Path) -> None:
    """The encoder runs in a thread of its own, and may come to a frame when the caller has long drawn the next one into the same array."""
    image = np.zeros((96, 128, 3), np.uint8)
    with lp.open_sink(tmp_path / "a.mp4", watermark=False) as sink:
        for i in range(8):
            image[:] = 30 * i
            sink.write(image)
    assert [round(float(frame.image.mean()) / 30) for frame in VideoReader(tmp_path / "a.mp4")] == list(range(8))


def test_a_sink_that_is_open_is_not_opened_again(tmp_path: Path, puppet: lp.Puppet) -> None:
    before = threading.active_count()
    sink = lp.open_sink(tmp_path / "a.mp4", watermark=False)
    sink.open((320, 240), 30, lossless=True)
    sink.write(np.zeros((240, 320, 3), np.uint8))
    lp.run(lp.open_source("demo", paced=False), puppet, [sink], frames=5)
    assert threading.active_count() == before
    assert len(frame_times(tmp_path / "a.mp4")) == 6
    with pytest.raises(lp.SinkError, match="was closed"):
        sink.write(np.zeros((240, 320, 3), np.uint8))


def test_a_video_has_one_size(tmp_path: Path, puppet: lp.Puppet) -> None:
    with lp.open_sink(tmp_path / "a.mp4", watermark=False) as sink:
        sink.write(np.zeros((96, 128, 3), np.uint8))
        with pytest.raises(lp.UsageError, match="128x96"):
            sink.write(np.zeros((50, 128, 3), np.uint8))
        with pytest.raises(lp.SinkError, match="128x96"):
            lp.run(lp.open_source("demo", paced=False), puppet, [sink], frames=5)


@pytest.mark.parametrize("name", ["landmark", "fomm"])
def test_engines_are_context_managers(name: str) -> None:
    with lp.open_engine(name, "cpu") as engine:
        assert engine.name == name


def test_a_puppet_is_opened_from_an_image_too() -> None:
    with lp.open_puppet(lp.load_portrait(ADA), size=(256, 256)) as puppet:
        assert puppet.avatar.image.shape == (256, 256, 3)
    with pytest.raises(lp.UsageError) as refusal:
        lp.open_puppet(np.zeros((64, 64), np.uint8))
    assert refusal.value.parameter == "portrait"


@pytest.mark.parametrize("limit", [{"seconds": 0.0}, {"seconds": float("nan")}, {"fps": 0.0}, {"fps": -1.0}, {"frames": 0}])
def test_limits_that_make_no_sense(puppet: lp.Puppet, limit: dict[str, float]) -> None:
    with lp.open_source("demo", paced=False) as source, pytest.raises(lp.UsageError) as refusal:
        lp.run(source, puppet, [lp.open_sink("none")], **({"frames": 3} | limit))  # type: ignore[arg-type]
    assert refusal.value.parameter in limit


def test_a_run_without_a_sink_is_refused(puppet: lp.Puppet) -> None:
    with lp.open_source("demo", paced=False) as source, pytest.raises(lp.UsageError, match="at least one"):
        lp.run(source, puppet, [])


def test_every_run_is_measured_by_itself(puppet: lp.Puppet) -> None:
    delivered = [lp.run(lp.open_source("demo", paced=False), puppet, lp.open_sink("none"), frames=4).delivered for _ in range(2)]
    assert delivered == [4, 4]
