"""People who do not exist, rendered by processes beside the one that trains; and how fast that goes.

    python -m benchmarks.gpu.people --device cuda --geometry carried [--workers cuda:1 cuda:4 cpu:14] [--json rendering.json]

Every process renders people of its own (a stride of the series), whole clips at a time, on a GPU that it shares with the training or on
one core. Rate: frames per second of all processes together, each taken at the median of its clips after the first.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import statistics
import time
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from livepuppet.synthetic.clips import Clip, render_clip
from livepuppet.synthetic.head import Head

FRAMES = 8
AHEAD = 24
"""Finished clips that may wait: more would only take memory."""
JOIN_S = 5.0


@dataclass(frozen=True)
class Series:
    """Whom to render: see `render_clip`. geometry: a folder that holds the head's arrays, or None for the user's cache."""

    seed: int
    size: int
    geometry: Path | None


@dataclass(frozen=True)
class Rendered:
    """A clip, where it was rendered, by which process, and in how many seconds."""

    device: str
    worker: int
    seconds: float
    clip: Clip


@dataclass(frozen=True)
class Failure:
    device: str
    worker: int
    reason: str


def work(series: Series, device: str, worker: int, stride: int, out: Any, stop: Any) -> None:
    """One process: people `worker`, `worker + stride`, ... until told to stop."""
    torch.set_num_threads(1)
    index = worker
    try:
        head = Head.load(device, cache=series.geometry)
        while not stop.is_set():
            begun = time.perf_counter()
            clip = render_clip(head, series.seed, index, frames=FRAMES, size=series.size)
            done = Rendered(device, worker, time.perf_counter() - begun, clip)
            index += stride
            while not stop.is_set():
                try:
                    out.put(done, timeout=0.5)
                    break
                except queue.Full:
                    continue
    except Exception as error:  # whatever it is: the process that trains says it, and goes on with the others
        out.put(Failure(device, worker, f"{type(error).__name__}: {error}"))


class People:
    """Processes that render until the context ends.

    Args:
        devices: one process each, such as ("cuda", "cuda", "cpu").
    """

    def __init__(self, series: Series, devices: tuple[str, ...]) -> None:
        context = get_context("spawn")
        self.out, self.stop = context.Queue(AHEAD), context.Event()
        arguments = [(series, device, worker, len(devices), self.out, self.stop) for worker, device in enumerate(devices)]
        self.processes = [context.Process(target=work, args=one, daemon=True) for one in arguments]
        self.failures: list[Failure] = []
        self.counts: dict[str, int] = {}

    def __enter__(self) -> People:
        # glibc gives big blocks back to the system at once and then faults them in again; these two keep them
        os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**30))
        os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**31))
        for process in self.processes:
            process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        until = time.monotonic() + JOIN_S
        while any(process.is_alive() for process in self.processes) and time.monotonic() < until:
            self.take(0.1)  # a process whose clip nobody takes does not end
        for process in self.processes:
            if process.is_alive():
                process.terminate()
            process.join(JOIN_S)
        self.out.cancel_join_thread()
        self.out.close()

    @property
    def alive(self) -> bool:
        return any(process.is_alive() for process in self.processes)

    def take(self, wait_s: float = 0.0) -> list[Rendered]:
        """The clips that are done; waits at most so long for the first."""
        found: list[Rendered] = []
        while True:
            try:
                done = self.out.get(timeout=wait_s) if wait_s and not found else self.out.get_nowait()
            except queue.Empty:
                return found
            if isinstance(done, Failure):
                self.failures.append(done)
                print(f"the renderer {done.worker} on {done.device} stopped: {done.reason}", flush=True)
            else:
                found.append(done)
                self.counts[done.device] = self.counts.get(done.device, 0) + 1


def rate(series: Series, devices: tuple[str, ...], clips_each: int, limit_s: float) -> dict[str, Any]:
    """Frames per second of these processes together."""
    seconds: dict[int, list[float]] = {worker: [] for worker in range(len(devices))}
    begun = time.monotonic()
    with People(series, devices) as people:
        while time.monotonic() - begun < limit_s and min(map(len, seconds.values())) < clips_each + 1:
            if not people.alive:
                break
            for done in people.take(0.5):
                seconds[done.worker].append(done.seconds)
        failures = [failure.reason for failure in people.failures]
    settled = {worker: statistics.median(times[1:]) for worker, times in seconds.items() if len(times) > 1}
    per_second = sum(FRAMES / value for value in settled.values())
    found: dict[str, Any] = {
        "processes": len(devices),
        "measured": len(settled),
        "frames_per_second": round(per_second, 2),
        "clip_s": round(statistics.median(settled.values()), 3) if settled else None,
        "failures": failures,
    }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", nargs="+", help="DEVICE:COUNT, each measured by itself (default: 1 and 4 on the device, all cores)")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--clips", type=int, default=2, help="each process, after its first")
    parser.add_argument("--limit", type=float, default=30.0, metavar="S", help="of each measurement")
    parser.add_argument("--geometry", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    cores = max(1, (os.cpu_count() or 1) - 2)
    wanted = options.workers or [f"{options.device}:1", f"{options.device}:4", f"cpu:{cores}"]
    results: dict[str, Any] = {}
    for name in wanted:
        device, _, count = name.rpartition(":")
        results[name] = rate(Series(7, options.size, options.geometry), (device,) * int(count), options.clips, options.limit)
        print(f"{name:>10}: {results[name]}", flush=True)
        if options.json:
            options.json.write_text(json.dumps({"size": options.size, "workers": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
