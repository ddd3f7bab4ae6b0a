"""What every test may use. Hardware and shared media that are absent are skipped with a reason, never silently."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

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
