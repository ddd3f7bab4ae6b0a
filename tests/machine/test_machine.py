"""The emulated machine's checks, for `pytest -m machine`: real camera drivers, and real readers of the virtual camera."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECK = Path(__file__).parents[1] / "machine" / "check"
CANNOT_RUN_HERE = 77


JOBS = (
    pytest.param("drivers", marks=pytest.mark.machine),
    pytest.param("program", marks=pytest.mark.browser),
    pytest.param("browser", marks=pytest.mark.browser),
)


@pytest.mark.parametrize("job", JOBS)
def test_in_the_emulated_machine(job: str, request: pytest.FixtureRequest) -> None:
    asked_for = str(request.config.getoption("markexpr"))
    if "machine" not in asked_for and "browser" not in asked_for:
        pytest.skip("boots an emulated machine, minutes long: pytest -m machine, or tests/machine/check")
    done = subprocess.run([str(CHECK), job], env={**os.environ, "PYTHON": sys.executable}, stdout=subprocess.PIPE, text=True)
    print(done.stdout)
    if done.returncode == CANNOT_RUN_HERE:
        pytest.skip(done.stdout.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout[-3000:]
