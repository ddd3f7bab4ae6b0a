from __future__ import annotations

import json
import threading
import weakref

import numpy as np
import pytest

from livepuppet.live.stats import Meter, Series
from livepuppet.types import Frame


class Clock:
    """Stands still until told to move on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def frame(index: int, captured_at: float) -> Frame:
    return Frame(np.zeros((4, 4, 3), np.uint8), index, captured_at)


def play(meter: Meter, clock: Clock, frames: int, *, interval: float = 1 / 30, work: float = 0.010, step: int = 1) -> None:
    """A source with a fixed interval of which every `step`-th frame is animated, taking `work` seconds."""
    start = clock.now
    for turn in range(frames):
        captured = start + turn * step * interval
        clock.now = captured + 0.002
        shot = frame(turn * step, captured)
        meter.frame_in(shot)
        with meter.stage("observe"):
            clock.now += work * 0.25
        with meter.stage("render"):
            clock.now += work * 0.75
        meter.delivered(shot)


def test_a_steady_run(clock: Clock) -> None:
    meter = Meter(clock=clock, engine="landmark")
    play(meter, clock, 90)
    numbers = meter.snapshot()
    assert (numbers.taken, numbers.delivered, numbers.dropped) == (90, 90, 0)
    assert numbers.fps == pytest.approx(30, rel=0.02)
    assert numbers.mean_fps == pytest.approx(30, rel=0.02)
    assert numbers.source_fps == pytest.approx(30, rel=1e-6)
    assert numbers.latency.p50 == pytest.approx(12) and numbers.latency.worst == pytest.approx(12)
    assert numbers.interval.p50 == pytest.approx(1000 / 30)
    assert list(numbers.stages) == ["wait", "observe", "render"]
    assert numbers.about == {"engine": "landmark"}


def test_the_parts_of_the_age_add_up(clock: Clock) -> None:
    meter = Meter(clock=clock)
    play(meter, clock, 30, work=0.04, interval=0.05)
    numbers = meter.snapshot()
    assert sum(spread.mean for spread in numbers.stages.values()) == pytest.approx(numbers.latency.mean)


def test_gaps_in_the_count_are_drops(clock: Clock) -> None:
    meter = Meter(clock=clock)
    play(meter, clock, 10, step=3)
    numbers = meter.snapshot()
    assert numbers.dropped == 18
    assert numbers.drop_rate == pytest.approx(18 / 28)
    assert numbers.source_fps == pytest.approx(30), "dropped frames were produced too"


def test_a_source_that_starts_over_drops_nothing(clock: Clock) -> None:
    meter = Meter(clock=clock)
    for index in (500, 501, 0, 1):
        clock.now += 0.03
        meter.frame_in(frame(index, clock.now))
    assert meter.snapshot().dropped == 0


def test_latency_percentiles_and_worst(clock: Clock) -> None:
    meter = Meter(clock=clock)
    for index, latency_ms in enumerate(range(1, 101)):
        meter.delivered(frame(index, 0.0), now=latency_ms / 1000)
    late = meter.snapshot().latency
    assert (late.p50, late.p95, late.p99, late.worst, late.mean) == pytest.approx((50.5, 95.05, 99.01, 100.0, 50.5))


def test_age_bound_is_the_longest_work_plus_one_interval(clock: Clock) -> None:
    meter = Meter(clock=clock)
    play(meter, clock, 20, work=0.020, interval=0.040)
    numbers = meter.snapshot()
    assert numbers.age_bound_ms == pytest.approx(60)
    assert numbers.latency.worst <= numbers.age_bound_ms


def test_a_queue_shows_as_latency_above_the_bound(clock: Clock) -> None:
    """A backlog that is worked off one by one (what a FIFO does): every frame waits longer than an interval."""
    meter = Meter(clock=clock)
    for index in range(20):
        shot = frame(index, 100 + index * 0.033)
        clock.now = 101 + index * 0.033
        meter.frame_in(shot)
        clock.now += 0.010
        meter.delivered(shot)
    numbers = meter.snapshot()
    assert numbers.latency.worst > 5 * numbers.age_bound_ms


def test_fps_falls_while_nothing_comes(clock: Clock) -> None:
    meter = Meter(clock=clock)
    play(meter, clock, 60)
    running = meter.snapshot().fps
    clock.now += 1.0
    stalled = meter.snapshot().fps
    clock.now += 5.0
    assert running > 29 and 0 < stalled < 20 and meter.snapshot().fps == 0


def test_memory_is_bounded_and_totals_stay_exact(clock: Clock) -> None:
    meter = Meter(clock=clock, kept=64)
    play(meter, clock, 1000)
    meter.delivered(frame(1000, clock.now - 3.0))
    play(meter, clock, 500)
    numbers = meter.snapshot()
    driver_frames, values = meter.latencies()
    assert numbers.delivered == 1501 and numbers.latency.worst == pytest.approx(3000)
    assert numbers.latency.p99 == pytest.approx(12), "percentiles are of the newest frames"
    assert len(values) == len(driver_frames) == 64 and np.all(np.diff(driver_frames) > 0)


def test_series_keeps_the_newest_in_order() -> None:
    series = Series(kept=4)
    for number in range(6):
        series.add(float(number), number * 10.0)
    driver_frames, values = series.newest()
    assert values.tolist() == [2, 3, 4, 5] and driver_frames.tolist() == [20, 30, 40, 50]


def test_nothing_measured_yet(clock: Clock) -> None:
    numbers = Meter(clock=clock).snapshot()
    assert (numbers.fps, numbers.mean_fps, numbers.latency.p99, numbers.age_bound_ms, numbers.drop_rate) == (0, 0, 0, 0, 0)
    assert all("nan" not in line for line in numbers.lines())


def test_reset_forgets_the_warm_up_and_keeps_the_facts(clock: Clock) -> None:
    meter = Meter(clock=clock, engine="landmark")
    play(meter, clock, 10, step=2)
    meter.reset()
    play(meter, clock, 5)
    numbers = meter.snapshot()
    assert (numbers.taken, numbers.dropped) == (5, 0) and numbers.about["engine"] == "landmark"


def test_the_warm_up_is_forgotten(clock: Clock) -> None:
    meter = Meter(warm_up_s=1.0, clock=clock)
    clock.now += 50  # loading the engine is no part of it
    assert not meter.warm
    play(meter, clock, 1)
    assert not meter.warm
    play(meter, clock, 30, work=0.5, interval=1.0)
    assert meter.warm
    numbers = meter.snapshot()
    assert numbers.delivered == 29 and numbers.seconds == pytest.approx(28.5)
    play(meter, clock, 30)
    assert meter.snapshot().delivered == 59, "only once"


def test_time_before_and_after_the_frames_does_not_count(clock: Clock) -> None:
    meter = Meter(clock=clock)
    clock.now += 20
    play(meter, clock, 31)
    clock.now += 20
    numbers = meter.snapshot()
    assert numbers.seconds == pytest.approx(1.01) and numbers.mean_fps == pytest.approx(30)


def test_processor_time_per_frame(clock: Clock) -> None:
    """Loading before and closing after the frames cost nothing per frame."""
    used = Clock()
    meter = Meter(clock=clock, cpu_clock=used)
    used.now += 30
    for index in range(10):
        shot = frame(index, clock.now)
        meter.frame_in(shot)
        used.now += 0.025
        meter.delivered(shot)
    used.now += 5
    assert meter.snapshot().cpu_ms == pytest.approx(25)


def test_stages_are_listed_in_the_order_of_a_frame(clock: Clock) -> None:
    meter = Meter(clock=clock)
    for name in ("window", "render", "file", "transfer", "observe"):
        meter.add(name, 0.001)
    assert list(meter.snapshot().stages) == ["observe", "transfer", "render", "window", "file"]


def test_facts_can_change_and_go(clock: Clock) -> None:
    meter = Meter(clock=clock, device="CPU")
    meter.describe(size="512x512", device="CUDA")
    meter.describe(size="")
    assert meter.snapshot().about == {"device": "CUDA"}


def test_json_carries_everything(clock: Clock) -> None:
    meter = Meter(clock=clock, source="demo")
    play(meter, clock, 9, step=2)
    data = json.loads(json.dumps(meter.snapshot().as_dict()))
    assert data["dropped"] == 8 and data["drop_rate"] == pytest.approx(8 / 17, abs=1e-4)
    assert set(data["latency"]) == {"count", "mean", "p50", "p95", "p99", "worst"}
    assert data["stages"]["render"]["p50"] == pytest.approx(7.5)
    assert data["about"] == {"source": "demo"}


def test_lines_are_label_and_value(clock: Clock) -> None:
    meter = Meter(clock=clock, device="CPU, 2 threads")
    play(meter, clock, 30)
    lines = {line.split("\t")[0]: line.split("\t")[1:] for line in meter.snapshot().lines() if line}
    assert lines["latency"][0].startswith("12 ms") and lines["device"] == ["CPU, 2 threads"]
    assert lines["dropped"] == ["0 of 30  (0.0%)"] and lines["render"] == ["7.5 ms", "p95 7.5"]


def test_a_stage_that_fails_is_timed_and_the_error_passes(clock: Clock) -> None:
    meter = Meter(clock=clock)
    with pytest.raises(OSError, match="disk"), meter.stage("file"):
        clock.now += 0.5
        raise OSError("disk full")
    assert meter.snapshot().stages["file"].p50 == pytest.approx(500)


def test_many_threads_lose_no_count() -> None:
    meter = Meter(kept=128)

    def work(name: str) -> None:
        for index in range(2000):
            with meter.stage(name):
                pass
            meter.delivered(frame(index, 0.0), now=0.001)
            if index % 500 == 0:
                meter.snapshot()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("file", "virtual", "window", "file")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = meter.snapshot()
    assert numbers.delivered == 8000
    assert {name: spread.count for name, spread in numbers.stages.items()} == {"file": 4000, "virtual": 2000, "window": 2000}


def test_the_meter_holds_no_picture_alive() -> None:
    meter = Meter()
    shot = frame(0, 0.0)
    alive = weakref.ref(shot.image)
    meter.frame_in(shot)
    meter.delivered(shot)
    del shot
    assert alive() is None
