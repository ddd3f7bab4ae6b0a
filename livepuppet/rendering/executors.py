"""Who does the work of many films: processes on this machine, or a Ray cluster. Both take tasks, and do those of a dead worker again.

A task is a function of a module with arguments that can be sent to another process; its result comes back, or what it raised.
"""

from __future__ import annotations

import concurrent.futures
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Protocol

from livepuppet.errors import MissingPartError, RunError

log = logging.getLogger(__name__)

ATTEMPTS = 4
"""How often a task is tried when its worker dies under it."""


@dataclass(frozen=True)
class TaskResult:
    """What became of a task. ticket: as `submit` gave it. error: what it raised, or that its workers died."""

    ticket: int
    result: Any = None
    error: Exception | None = None


class Executor(Protocol):
    """Workers. Used by one thread."""

    size: int
    """How many tasks run at once."""

    shares_disk: bool
    """Whether workers see this machine's files under the same names."""

    def share(self, data: bytes) -> Any:
        """Something large that many tasks take as an argument; send what this returns."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> int:
        """Give out a task; returns its ticket."""

    def wait(self, seconds: float) -> list[TaskResult]:
        """What has finished within so many seconds."""

    def close(self) -> None:
        """Stop everything, finished or not. May be called twice."""


@dataclass
class PendingTask:
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    attempts: int = 1


class LocalExecutor:
    """One process per core (or per GPU, for engines that compute there)."""

    shares_disk = True

    def __init__(self, size: int | None = None, gpus: int = 0) -> None:
        self.size = size or gpus or os.cpu_count() or 1
        self._gpus = gpus
        self._tickets = 0
        self._running: dict[concurrent.futures.Future[Any], int] = {}
        self._tasks: dict[int, PendingTask] = {}
        self._orphans: list[int] = []
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None

    def share(self, data: bytes) -> Any:
        return data

    def submit(self, function: Callable[..., Any], *arguments: Any) -> int:
        self._tickets += 1
        self._tasks[self._tickets] = PendingTask(function, arguments)
        self._start(self._tickets)
        return self._tickets

    def wait(self, seconds: float) -> list[TaskResult]:
        done, _ = concurrent.futures.wait(self._running, seconds, concurrent.futures.FIRST_COMPLETED)
        outcomes: list[TaskResult] = []
        broken, self._orphans = self._orphans, []
        for future in done:
            ticket = self._running.pop(future)
            error = future.exception()
            if isinstance(error, BrokenProcessPool):
                broken.append(ticket)
                continue
            del self._tasks[ticket]
            if error is None:
                outcomes.append(TaskResult(ticket, future.result()))
            else:
                outcomes.append(TaskResult(ticket, error=error if isinstance(error, Exception) else RunError(str(error))))
        return outcomes + (self._start_again(broken) if broken else [])

    def _start_again(self, broken: list[int]) -> list[TaskResult]:
        """A worker died and took the pool with it: all that was under way begins anew."""
        broken += list(self._running.values())
        self._running.clear()
        log.warning("a worker died: %d tasks begin again", len(broken))
        self._discard()
        outcomes = []
        for ticket in broken:
            task = self._tasks[ticket]
            task.attempts += 1
            if task.attempts > ATTEMPTS:
                del self._tasks[ticket]
                outcomes.append(TaskResult(ticket, error=RunError(f"its worker died {ATTEMPTS} times (out of memory?)")))
            else:
                self._start(ticket)
        return outcomes

    def _start(self, ticket: int) -> None:
        if self._pool is None:
            spawn = multiprocessing.get_context("spawn")  # forked processes would inherit locked libraries
            numbers = spawn.Value("i", 0)
            self._pool = concurrent.futures.ProcessPoolExecutor(self.size, spawn, _begin_worker, (numbers, self._gpus))
        task = self._tasks[ticket]
        try:
            self._running[self._pool.submit(task.function, *task.arguments)] = ticket
        except BrokenProcessPool:  # a worker has died and `wait` has not seen it yet
            self._orphans.append(ticket)

    def _discard(self) -> None:
        if self._pool is not None:
            processes = list((self._pool._processes or {}).values())
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.terminate()
            for process in processes:
                process.join()
            self._pool = None

    def close(self) -> None:
        self._running.clear()
        self._tasks.clear()
        self._discard()


def _begin_worker(numbers: Any, gpus: int) -> None:
    """Ctrl-C is for the one who gives out the work; each worker keeps to its own GPU."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with numbers.get_lock():
        number = numbers.value
        numbers.value += 1
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(number % gpus)


def count_gpus() -> int:
    """NVIDIA GPUs of this machine, 0 where there is none."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return len([n for n in named.split(",") if n.strip() not in ("", "-1")])
    try:
        return len(os.listdir("/proc/driver/nvidia/gpus"))
    except OSError:
        return 0


class RayExecutor:
    """The workers of a Ray cluster (extra `ray`): livepuppet must be installed on its nodes, files need not be there."""

    shares_disk = False

    def __init__(self, address: str) -> None:
        """address: 'ray' (the cluster this machine belongs to, or one started here), or ray://HOST:PORT.

        Raises MissingPartError without the package, RunError where the cluster does not answer.
        """
        try:
            import ray
        except ModuleNotFoundError as error:
            raise MissingPartError("a Ray cluster needs the package ray: pip install 'livepuppet[ray]'", parameter="on") from error
        self._ray = ray
        self._own = not ray.is_initialized()
        self._tickets = 0
        self._running: dict[Any, int] = {}
        if self._own:
            self._connect(address)
        self.size = max(1, int(ray.cluster_resources().get("CPU", 1)))

    def _connect(self, address: str) -> None:
        quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
        try:
            if address != "ray":
                self._ray.init(address=address, **quiet)
                return
            try:
                self._ray.init(address="auto", **quiet)
            except ConnectionError:
                log.info("no Ray cluster is running: starting one on this machine")
                self._ray.init(include_dashboard=False, **quiet)
        except Exception as error:  # Ray raises whatever its layers raise
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise RunError(f"the Ray cluster at {address} does not answer: {reason}") from error

    def share(self, data: bytes) -> Any:
        return self._ray.put(data)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> int:
        self._tickets += 1
        remote = self._ray.remote(num_cpus=1, max_retries=ATTEMPTS - 1)(function)
        self._running[remote.remote(*arguments)] = self._tickets
        return self._tickets

    def wait(self, seconds: float) -> list[TaskResult]:
        if not self._running:
            return []
        done, _ = self._ray.wait(list(self._running), num_returns=1, timeout=seconds)
        outcomes = []
        for reference in done:
            ticket = self._running.pop(reference)
            try:
                outcomes.append(TaskResult(ticket, self._ray.get(reference)))
            except self._ray.exceptions.RayTaskError as error:
                cause = error.cause if isinstance(error.cause, Exception) else RunError(str(error.cause))
                outcomes.append(TaskResult(ticket, error=cause))
            except self._ray.exceptions.RayError as error:
                reason = str(error).strip().splitlines()[0]
                outcomes.append(TaskResult(ticket, error=RunError(f"its worker died {ATTEMPTS} times: {reason}")))
        return outcomes

    def close(self) -> None:
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._running.clear()
        if self._own:
            self._ray.shutdown()


def open_executor(on: str | None, *, size: int | None = None, gpus: int = 0) -> Executor:
    """This machine for None, else the Ray cluster that `on` names. Raises MissingPartError, RunError."""
    return LocalExecutor(size, gpus) if on is None else RayExecutor(on)
