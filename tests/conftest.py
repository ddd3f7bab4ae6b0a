"""What every test may use. Hardware and shared media that are absent are skipped with a reason, never silently."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def pytest_configure() -> None:
    """A runner in the background has Ctrl-C ignored, and what it starts inherits that; tests press Ctrl-C and expect an answer."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


SHARED = Path(__file__).parents[2] / "shared"


def shared_path(relative: str) -> Path:
    """A file or folder beside the checkout that is not part of the project; skips the test where it is not there."""
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f"no ../shared/{relative} beside the checkout")
    return path


@pytest.fixture(autouse=True)
def no_error_goes_unseen(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """An ERROR in the log fails the test, unless the test looked at it and cleared it."""
    yield
    errors = [record.getMessage() for record in caplog.get_records("call") if record.levelname == "ERROR"]
    assert not errors, f"logged errors: {errors}"


@pytest.fixture(autouse=True)
def the_log_is_as_before() -> Iterator[None]:
    """Running a command in the test's own process redirects the package's log; the next test starts from scratch."""
    logger = logging.getLogger("livepuppet")
    before = list(logger.handlers), logger.propagate, logger.level
    yield
    logger.handlers, logger.propagate = before[:2]
    logger.setLevel(before[2])


@contextmanager
def x_server() -> Iterator[str]:
    """A bare X server; its name for DISPLAY."""
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1400x900x24", "-nolisten", "tcp"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    with os.fdopen(reading) as pipe:
        number = pipe.readline().strip()
    try:
        yield f":{number}"
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(scope="session")
def x_screen() -> Iterator[str]:
    """One screen for all tests: Qt connects once per process, and does not survive its server."""
    if not (sys.platform.startswith("linux") and shutil.which("Xvfb")):
        pytest.skip("no Xvfb: a window needs a screen")
    with x_server() as name:
        yield name


@pytest.fixture
def screen(x_screen: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A screen of 1400 x 900, for as long as the test runs; its name for DISPLAY."""
    monkeypatch.setenv("DISPLAY", x_screen)
    return x_screen


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """What a full disk does: writing past `size` bytes fails with OSError."""
    import resource  # Unix only

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
