"""Who does the work of many videos: processes on this machine, or a Ray cluster. Both do the tasks of a dead worker again.

A task is a function of a module with arguments that can be sent to another process; its future gives the result, or raises what it raised.
"""

from __future__ import annotations

import logging
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Protocol

from livepuppet.errors import MissingPartError, RunError

log = logging.getLogger(__name__)

PARENT_POLL_S = 0.5

ATTEMPTS = 4
"""How often a task is tried when its worker dies under it."""


class Executor(Protocol):
    """Workers. `submit` may be called from any thread."""

    size: int
    """How many tasks run at once."""

    shares_disk: bool
    """Whether workers see this machine's files under the same names."""

    def share(self, data: bytes) -> Any:
        """Something large that many tasks take as an argument; send what this returns."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Give out a task."""

    def close(self) -> None:
        """Stop everything, finished or not. May be called twice."""


class LocalExecutor:
    """One process per core (or per GPU, for engines that compute there)."""

    shares_disk = True

    def __init__(self, size: int | None = None, gpus: int = 0) -> None:
        """Start no process yet.

        Args:
            size: processes; None takes one per GPU, or per core.
            gpus: each worker is given one of this process's so many GPUs; 0 leaves them as they are.
        """
        self.size = size or gpus or os.cpu_count() or 1
        self._devices = visible_gpus(gpus)
        self._lock = threading.RLock()
        self._pool: Any = None
        self._seats: tempfile.TemporaryDirectory[str] | None = None
        self._closed = False

    def share(self, data: bytes) -> Any:
        return data

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        task: Future[Any] = Future()
        self._start(task, function, arguments, 1)
        return task

    def _start(self, task: Future[Any], function: Callable[..., Any], arguments: tuple[Any, ...], attempt: int) -> None:
        with self._lock:
            if self._closed:
                task.cancel()
                return
            try:
                pool = self._open()
                attempted = pool.submit(function, *arguments)
            except (BrokenProcessPool, RuntimeError):  # a worker has died, and its tasks' futures have not been told yet
                self._pool = None
                pool = self._open()
                attempted = pool.submit(function, *arguments)

        def finished(one: Future[Any]) -> None:
            error = None if one.cancelled() else one.exception()
            if one.cancelled():
                task.cancel()
            elif not isinstance(error, BrokenProcessPool):
                if not task.done():
                    task.set_exception(error) if error is not None else task.set_result(one.result())
            elif attempt >= ATTEMPTS:
                task.set_exception(RunError(f"its worker died {ATTEMPTS} times (out of memory?)"))
            else:  # the death of one worker breaks the pool and takes the tasks of all others with it
                with self._lock:
                    if self._pool is pool:
                        self._pool = None
                log.warning("a worker died: a task begins again")
                self._start(task, function, arguments, attempt + 1)

        attempted.add_done_callback(finished)

    def _open(self) -> Any:
        if self._pool is None:
            from loky import ProcessPoolExecutor

            if self._seats is None:
                self._seats = tempfile.TemporaryDirectory(prefix="livepuppet-workers-")
            seats = tempfile.mkdtemp(dir=self._seats.name)
            told = (seats, self._devices, os.getpid())
            self._pool = ProcessPoolExecutor(self.size, timeout=None, initializer=_begin_worker, initargs=told)
        return self._pool

    def close(self) -> None:
        with self._lock:
            self._closed = True
            pool, self._pool = self._pool, None
            seats, self._seats = self._seats, None
        if pool is not None:
            pool.shutdown(wait=True, kill_workers=True)
        if seats is not None:
            seats.cleanup()


def _begin_worker(seats: str, devices: list[str], parent: int) -> None:
    """In a worker: Ctrl-C is for the one who gives out the work, each worker keeps to a GPU of its own, and none outlives its parent.

    Args:
        seats: a folder in which every worker takes the first free number.
        parent: the process that gives out the work.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), name="livepuppet-parent", daemon=True).start()
    if not devices:
        return
    number = 0
    while True:
        try:
            os.close(os.open(Path(seats, str(number)), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            break
        except FileExistsError:
            number += 1
    os.environ["CUDA_VISIBLE_DEVICES"] = devices[number % len(devices)]


def _end_with(parent: int) -> None:
    """End this process when its parent has ended without ending it: nobody waits for its work, and it holds the video's place."""
    while os.name != "posix" or os.getppid() == parent:  # elsewhere a dead parent's number stays
        time.sleep(PARENT_POLL_S)
    os._exit(1)


def visible_gpus(count: int) -> list[str]:
    """The first `count` NVIDIA GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them (numbers, or UUIDs)."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    own = [str(number) for number in range(count)] if named is None else [name.strip() for name in named.split(",") if name.strip()]
    return own[:count]


def count_gpus() -> int:
    """NVIDIA GPUs that this process may use, 0 where there is none."""
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
        """Connect.

        Args:
            address: 'ray' (the cluster this machine belongs to, or one started here), or ray://HOST:PORT.

        Raises:
            MissingPartError: the package is not installed.
            RunError: the cluster does not answer.
        """
        try:
            import ray
        except ModuleNotFoundError as error:
            raise MissingPartError("a Ray cluster needs the package ray: pip install 'livepuppet[ray]'", parameter="on") from error
        self._ray = ray
        self._own = not ray.is_initialized()
        self._running: set[Any] = set()
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
            raise RunError(f"the Ray cluster at {address} does not answer: {reason}", parameter="on") from error

    def share(self, data: bytes) -> Any:
        return self._ray.put(data)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        task: Future[Any] = Future()
        remote = self._ray.remote(num_cpus=1, max_retries=ATTEMPTS - 1)(function)
        reference = remote.remote(*arguments)
        self._running.add(reference)

        def finished(one: Future[Any]) -> None:
            self._running.discard(reference)
            if task.cancelled() or task.done():
                return
            error = one.exception()
            if error is None:
                task.set_result(one.result())
            else:
                task.set_exception(self._in_our_words(error))

        reference.future().add_done_callback(finished)
        return task

    def _in_our_words(self, error: BaseException) -> Exception:
        if isinstance(error, self._ray.exceptions.RayTaskError):
            cause = getattr(error, "cause", error)
            return cause if isinstance(cause, Exception) else RunError(str(cause))
        if isinstance(error, self._ray.exceptions.RayError):
            return RunError(f"its worker died {ATTEMPTS} times: {str(error).strip().splitlines()[0]}")
        return error if isinstance(error, Exception) else RunError(str(error))

    def close(self) -> None:
        for reference in list(self._running):
            self._ray.cancel(reference, force=True)
        self._running.clear()
        if self._own:
            self._ray.shutdown()


def open_executor(on: str | None, *, size: int | None = None, gpus: int = 0) -> Executor:
    """This machine for None, else the Ray cluster that `on` names.

    Raises:
        MissingPartError, RunError: its message says what is wrong.
    """
    return LocalExecutor(size, gpus) if on is None else RayExecutor(on)
