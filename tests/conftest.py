"""What every test may use. Hardware and shared media that are absent are skipped with a reason, never silently."""

from __future__ import annotations

import logging
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from studio_fixtures import RunningStudio

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))  # tools/ is not installed; last, so that an installed livepuppet stays the one that is tested


def pytest_configure() -> None:
    """A runner in the background has Ctrl-C ignored, and what it starts inherits that; tests press Ctrl-C and expect an answer."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.fixture(scope="session")
def x_screen() -> Iterator[str]:
    """One screen for all tests: Qt connects once per process, and does not survive its server."""
    if not (sys.platform.startswith("linux") and shutil.which("Xvfb")):
        pytest.skip("no Xvfb: a window needs a screen")
    from media import x_server  # here, since it brings the video library, which a machine for GPU tests may lack

    with x_server() as name:
        yield name


@pytest.fixture
def screen(x_screen: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A screen of 1400 x 900, for as long as the test runs; its name for DISPLAY."""
    monkeypatch.setenv("DISPLAY", x_screen)
    return x_screen


@pytest.fixture
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of the user's is read or written by this process; the folder in which it happens instead."""
    monkeypatch.setenv("LIVEPUPPET_RUNTIME", str(tmp_path / "runtime"))
    monkeypatch.setenv("LIVEPUPPET_CONFIG", str(tmp_path / "config"))
    for module in ("studio.gallery", "provenance.consent"):
        monkeypatch.setattr(f"livepuppet.{module}.data_folder", lambda: tmp_path / "data")
    return tmp_path


@pytest.fixture
def studio(own_folders: Path) -> Iterator[RunningStudio]:
    """A session that runs, and the server in front of it."""
    from studio_fixtures import running_studio

    with running_studio(own_folders) as running:
        yield running
