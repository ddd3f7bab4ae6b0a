"""Does anything grow, leak or get stuck in a session that runs for hours? The live loop as it is, at the speed of this machine.

    python benchmarks/soak.py [--frames 30000] [--size 256x256] [--seed 1] [--out benchmarks/out] [--record-every 150] …

The built-in performance drives the puppet through the product's own session: capture thread, channel, engine, mark, sinks. The clock is
simulated: the camera delivers 30 frames a second of it and the model takes 5 to 90 ms of it at random, so that how old a frame is when it
is out is exact, whatever else the machine does. On the way, at the rates that the options give:

    recordings   started and stopped by key, real H.264; some of them fail at random, as a disk that is pulled out
    disk full    no file may grow beyond a few kilobytes for a while (RLIMIT_FSIZE), then it may again
    camera       gone for a while (the portrait rests), then back
    avatars      changed by key, all that come with the package
    keys         most others, at random

Every --sample frames: memory, threads, open files, Python's objects, and the oldest frame since the last sample against its bound. After
the first fifth, each series of a run of JUDGED_FROM frames or more has its slope with a 95 % interval (fewer effective samples where
neighbours resemble each other). It grows where the interval lies above zero and the slope is more than a thousandth of its mean in a
thousand frames. Writes soak.json and soak.png; exit code 1 where something grows, a frame was too old, a finished recording cannot be
read, or a thread or file is left over at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import logging
import math
import os
import random
import resource
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from livepuppet.diagnostics.system import describe_machine, package_versions
from livepuppet.errors import LivepuppetError, SinkError
from livepuppet.factory import open_engine
from livepuppet.live.avatar_loader import AvatarLoader
from livepuppet.live.puppet import Puppet
from livepuppet.live.session import SILENCE_S, Limits, Session
from livepuppet.live.stats import Meter
from livepuppet.provenance.marks import Mark
from livepuppet.sinks.recorder import Recorder
from livepuppet.sources.demo import DemoSource
from livepuppet.types import Frame, Sink, Size, Status, Tuning
from livepuppet.video.reader import VideoReader
from livepuppet.vision.portrait import shipped_avatars

CAMERA_S = 1 / 30
MODEL_S = (0.005, 0.09)
FULL_BYTES = 20_000
KEYS = ("X", "+", "-", "]", "[", "T", "W", "S", "M", "C", "Z", "O", "I", "H", "F", "left", "up", "0", "0", "L")
SETTLED = 0.2
"""The part of the run at its beginning in which memory still fills: arenas, caches, all avatars prepared once."""
GROWS = 1e-3
"""Of the mean, per thousand frames: half a megabyte in 500 is what allocators do."""
JUDGED_FROM = 10_000
"""Frames from which growth is judged: before, avatars are prepared for the first time, and memory has not settled."""
PRELUDE = 40
"""Frames of a session before, after which libraries have opened and started what they keep for good."""


class SimulatedClock:
    """Seconds that pass only when somebody spends them."""

    def __init__(self) -> None:
        self._now = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        with self._lock:
            return self._now

    def spend(self, seconds: float) -> None:
        with self._lock:
            self._now += max(0.0, seconds)


class Camera:
    """The performance as a camera would show it, on the simulated clock: a late reader gets the newest frame. It can be unplugged."""

    live, mirrored, name, fps = True, True, "performance", 30.0

    def __init__(self, clock: SimulatedClock) -> None:
        self.trouble = ""
        self._clock, self._demo = clock, DemoSource(paced=False)
        self._due, self._taken = 0, -1
        self._ready = threading.Semaphore(1)
        self._gone = self._closed = False

    def read(self) -> Frame | None:
        """The newest frame that is due, once the one before has reached the sinks."""
        self._ready.acquire()
        if self._closed:
            return None
        self.trouble = ""
        index = max(self._taken + 1, math.floor(self._clock() / CAMERA_S))
        self._clock.spend(index * CAMERA_S - self._clock())
        shown = None
        while self._taken < index:
            shown = self._demo.read()
            self._taken += 1
        assert shown is not None
        return Frame(shown.image, index, index * CAMERA_S)

    def next(self) -> None:
        """The frame is out: the next may come."""
        self._ready.release()

    def unplug(self) -> None:
        self.trouble = "the camera is unplugged"
        self._clock.spend(SILENCE_S + CAMERA_S)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._ready.release()
            self._demo.close()


class Broken:
    """A recording on a disk that is pulled out after some frames."""

    live = False

    def __init__(self, frames: int, when: str) -> None:
        self.name, self._left, self._when = "broken", frames, when

    def open(self, size: Size, fps: float, *, lossless: bool) -> None:
        if self._when == "open":
            raise SinkError("the disk cannot be written")

    def write(self, frame: Frame) -> None:
        self._left -= 1
        if self._left < 0:
            raise SinkError("the disk was pulled out")

    def close(self) -> None:
        if self._when == "close":
            raise SinkError("the file cannot be finished")


class Watch:
    """The screen of this session: spends the model's time, presses the keys, and looks at everything every so often."""

    live, name = True, "watch"

    def __init__(self, options: argparse.Namespace, clock: SimulatedClock, camera: Camera, folder: Path) -> None:
        self.session: Session | None = None
        self.counts: Counter[str] = Counter()
        self.samples: list[dict[str, float]] = []
        self.unreadable: list[str] = []
        self._options, self._clock, self._camera, self._folder = options, clock, camera, folder
        self._rng = random.Random(options.seed)
        self._frames = self._resting = 0
        self._index = -1
        self._oldest = self._margin = 0.0
        self._full = False
        self._press: list[str] = []
        self._began = time.monotonic()
        self._limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        self._recorded: Path | None = None

    def open(self, size: Size, fps: float, *, lossless: bool) -> None:
        self._sample()

    def show(self, status: Status) -> None:
        self.counts["recording"] += status.recording

    def keys(self) -> list[str]:
        pressed, self._press = self._press, []
        return pressed

    def write(self, frame: Frame) -> None:
        """One frame is out: it was so old; what is due happens."""
        fresh = frame.index > self._index  # resting, the portrait keeps the index of the last frame that there was
        if not fresh and not self._resting:
            return  # the camera is back, and its first picture is being decoded: no time passes
        model = self._rng.uniform(*MODEL_S)
        self._clock.spend(model)
        if fresh:
            self._index = frame.index
            age = self._clock() - frame.captured_at
            self._oldest = max(self._oldest, age)
            self._margin = max(self._margin, age - model - CAMERA_S)
        else:
            self._resting -= 1
            self._clock.spend(CAMERA_S)
            self.counts["rested"] += 1
        self._frames += 1
        self._happen(self._frames)
        if self._frames % self._options.sample == 0:
            self._sample()
        if self.session is not None and over(self._options, time.monotonic() - self._began):
            self.session.end("the time is over")
        if not self._resting:
            self._camera.next()

    def close(self) -> None:
        self._fill_disk(False)

    def new_recording(self) -> tuple[Sink, Path]:
        """What key R records to: a new file each time, the one before is looked at and removed; every fifth fails at some moment."""
        self._look_at_recording()
        self.counts["recordings"] += 1
        if self._rng.random() < 0.2:
            self.counts["broken"] += 1
            return Broken(self._rng.randrange(30), self._rng.choice(("open", "write", "write", "close"))), Path("broken.mp4")
        self._recorded = self._folder / f"{self.counts['recordings']}.mp4"
        return Recorder(self._recorded), self._recorded

    def _happen(self, number: int) -> None:
        options = self._options
        if number % options.record_every == 0:
            self._press.append("R")
        if number % options.avatar_every == 0:
            self.counts["avatars"] += 1
            self._press.append(self._rng.choice(("A", "D", *"123456789")))
        if number % options.key_every == 0:
            self.counts["keys"] += 1
            self._press.append(self._rng.choice(KEYS))
        if number % options.gone_every == 0 and not self._resting:
            self.counts["camera gone"] += 1
            self._resting = self._rng.randrange(5, 40)
            self._camera.unplug()
        if number % options.full_every == 0:
            self._fill_disk(not self._full)

    def _fill_disk(self, full: bool) -> None:
        """No file of this process may grow beyond a few kilobytes, or as far as before."""
        self.counts["disk full"] += full
        self._full = full
        resource.setrlimit(resource.RLIMIT_FSIZE, (FULL_BYTES if full else self._limit[0], self._limit[1]))

    def _look_at_recording(self) -> None:
        """The last recording can be read, unless the disk was full at its very beginning; then it makes room."""
        path, self._recorded = self._recorded, None
        if path is None or not path.exists():
            self.counts["no file"] += path is not None
            return
        try:
            video = VideoReader(path)
            self.counts["read frames"] += sum(1 for _ in video)
            video.close()
            self.counts["readable"] += 1
        except LivepuppetError as error:
            if path.stat().st_size > FULL_BYTES:
                self.unreadable.append(str(error))
            self.counts["cut short by the full disk"] += 1
        path.unlink()

    def finish(self) -> None:
        """After the session: the last recording, the last look."""
        self._look_at_recording()
        self._sample()

    def _sample(self) -> None:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.samples.append(
            {
                "frame": self._frames,
                "memory_mb": round(pages * resource.getpagesize() / 1e6, 2),
                "threads": len(os.listdir("/proc/self/task")),
                "files": len(os.listdir("/proc/self/fd")),
                "objects": len(gc.get_objects()),
                "oldest_ms": round(self._oldest * 1000, 1),
                "over_bound_ms": round(max(0.0, self._margin) * 1000, 3),
                "simulated_s": round(self._clock(), 1),
                "wall_s": round(time.monotonic() - self._began, 1),
            }
        )
        self._oldest = self._margin = 0.0
        if self._frames and self._frames % (20 * self._options.sample) == 0:
            print(f"{self._frames} frames: {self.samples[-1]}", flush=True)


def over(options: argparse.Namespace, seconds: float) -> bool:
    """Whether the time that was given is over."""
    return bool(options.minutes) and seconds > options.minutes * 60


def slope(samples: list[dict[str, float]], name: str) -> dict[str, float | bool]:
    """Growth of a series in a thousand frames, by least squares, with its 95 % interval."""
    kept = samples[int(len(samples) * SETTLED) :]
    x = np.array([sample["frame"] for sample in kept]) / 1000
    y = np.array([sample[name] for sample in kept])
    if len(y) < 8 or np.ptp(y) == 0:
        return {"per_1000": 0.0, "low": 0.0, "high": 0.0, "mean": float(y.mean()) if len(y) else 0.0, "grows": False}
    centred = x - x.mean()
    steep = float((centred * y).sum() / (centred**2).sum())
    left = y - y.mean() - steep * centred
    alike = float(np.clip((left[1:] * left[:-1]).sum() / max(1e-12, (left**2).sum()), 0, 0.99))
    independent = max(3.0, len(y) * (1 - alike) / (1 + alike))
    error = math.sqrt(float((left**2).mean()) / independent / float((centred**2).mean()))
    wide = (1.96 + 2.4 / (independent - 1.5)) * error  # Student's quantile, nearly
    grows = steep - wide > 0 and steep > GROWS * abs(float(y.mean()))
    return {"per_1000": steep, "low": steep - wide, "high": steep + wide, "mean": float(y.mean()), "grows": grows}


def plot(samples: list[dict[str, float]], slopes: dict[str, Any], path: Path) -> None:
    """All series over the frames, with their slopes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 9), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    names = ("memory_mb", "threads", "files", "objects", "oldest_ms")
    frames = [sample["frame"] for sample in samples]
    for axes, name in zip(figure.subplots(len(names), 1, sharex=True), names, strict=True):
        axes.plot(frames, [sample[name] for sample in samples], color="#2f6fde", linewidth=1)
        if name in slopes:
            found = slopes[name]
            said = f"{found['per_1000']:+.3g} per 1000 frames ({found['low']:+.3g} … {found['high']:+.3g})"
            axes.set_title(f"{name}: {said}" + ("  GROWS" if found["grows"] else ""), loc="left", fontsize=10)
        else:
            axes.set_title("oldest frame since the last look, ms", loc="left", fontsize=10)
        axes.grid(True, color="#e7e9ee")
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylim(bottom=0)
    axes.set_xlabel("frames")
    figure.savefig(path)


def soak(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run the session and judge it."""
    clock = SimulatedClock()
    threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    engine = open_engine("landmark", "auto", None)
    avatars = AvatarLoader(engine, shipped_avatars(), options.size)
    puppet = Puppet(engine, avatars.first(), Tuning(), meter=Meter(clock=clock))
    camera = Camera(clock)
    watch = Watch(options, clock, camera, folder)
    session = Session(
        camera, puppet, [watch], avatars=avatars, mirror=True, limits=Limits(frames=options.frames), mark=Mark().apply,
        new_recording=watch.new_recording, clock=clock,
    )  # fmt: skip
    watch.session = session
    statistics = session.run()
    watch.finish()
    puppet.close()
    left = {"threads": threading.active_count() - threads, "recordings": len(list(folder.iterdir()))}
    gc.collect()
    left["files"] = len(os.listdir("/proc/self/fd")) - files
    slopes = {name: slope(watch.samples, name) for name in ("memory_mb", "threads", "files", "objects")}
    return {
        "frames": session.delivered,
        "ended": session.reason,
        "simulated_s": round(clock(), 1),
        "counts": dict(watch.counts),
        "failures": len(session.failures),
        "kinds_of_failure": dict(Counter(str(failure).split(":")[0][:50] for failure in session.failures).most_common(8)),
        "dropped": statistics.dropped,
        "over_bound_ms": max(sample["over_bound_ms"] for sample in watch.samples),
        "slopes": slopes,
        "left": left,
        "unreadable": watch.unreadable,
        "samples": watch.samples,
    }


def verdicts(result: dict[str, Any], frames: int) -> list[str]:
    """What is wrong; empty where nothing is."""
    slopes = result["slopes"] if result["frames"] >= JUDGED_FROM else {}
    wrong = [f"{name} grows by {found['per_1000']:.3g} per 1000 frames" for name, found in slopes.items() if found["grows"]]
    if result["frames"] < frames and result["ended"] != "the time is over":
        wrong.append(f"it ended after {result['frames']} of {frames} frames: {result['ended']}")
    if result["over_bound_ms"] > 0.01:
        wrong.append(f"a frame was {result['over_bound_ms']:.1f} ms older than one model time and one camera interval")
    wrong += [f"cannot be read: {text}" for text in result["unreadable"]]
    wrong += [f"{number} {name} left over" for name, number in result["left"].items() if number > 0]
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=30_000)
    parser.add_argument("--minutes", type=float, default=0.0, help="end after so many minutes, however many frames that are (0: no end)")
    parser.add_argument("--size", type=lambda text: tuple(map(int, text.split("x"))), default=(256, 256), help="of the picture (256x256)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sample", type=int, default=100, help="frames between two looks (100)")
    parser.add_argument("--record-every", type=int, default=75, help="frames between two presses of R (75)")
    parser.add_argument("--avatar-every", type=int, default=60)
    parser.add_argument("--key-every", type=int, default=40)
    parser.add_argument("--gone-every", type=int, default=500, help="frames between two losses of the camera (500)")
    parser.add_argument("--full-every", type=int, default=400, help="the disk is full for so many frames, then free for as many (400)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    logging.disable(logging.CRITICAL)  # every failure that is meant to happen would be a line
    with tempfile.TemporaryDirectory(prefix="livepuppet-soak-") as temporary, contextlib.ExitStack() as stack:
        stack.callback(logging.disable, logging.NOTSET)
        soak(argparse.Namespace(**{**vars(options), "frames": PRELUDE}), Path(temporary))
        result = soak(options, Path(temporary))
    wrong = verdicts(result, options.frames)
    report = {"machine": describe_machine(), "packages": package_versions(), "wrong": wrong, **result}
    (options.out / "soak.json").write_text(json.dumps(report, indent=1) + "\n")
    plot(result["samples"], result["slopes"], options.out / "soak.png")
    counts = ", ".join(f"{number} {name}" for name, number in result["counts"].items())
    print(f"{result['frames']} frames, {result['simulated_s'] / 60:.1f} simulated minutes; {counts}; {result['failures']} sinks failed")
    for name, found in result["slopes"].items():
        print(
            f"{name}: {found['mean']:.1f} on average, {found['per_1000']:+.4g} per 1000 frames ({found['low']:+.4g} … {found['high']:+.4g})"
        )
    print("\n".join(wrong) or "nothing grows, nothing is left over, no frame was too old")
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
