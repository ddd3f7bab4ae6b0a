"""MediaPipe's own lines stay off the terminal; everybody else's stay on it, the last words of a crash above all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = str(Path(__file__).parents[2])

WRITES = """
import os, sys, threading
from livepuppet.vision.native_noise import without_native_noise
os.write(2, b"W0000 00:00:1.5 before: not ours to hide\\n")
with without_native_noise():
    os.write(2, b"W0000 00:00:17957.771 21768 inference_feedback_manager.cc:114] Feedback manager\\n")
    os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\\n")
    print("a line of Python's", file=sys.stderr, flush=True)
    with without_native_noise():
        os.write(2, b"F0000 00:00:1.5 check failed\\n")
    os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\\n")
    {end}
os.write(2, b"after\\n")
"""

ANIMATES = """
import livepuppet
with livepuppet.open_puppet({portrait!r}) as puppet:
    source = livepuppet.open_source("demo", paced=False)
    for _ in range(3):
        puppet.animate(source.read())
    source.close()
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": ROOT}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_only_the_noise_is_left_out() -> None:
    result = run(WRITES.format(end="pass"))
    assert result.returncode == 0
    lines = result.stderr.splitlines()
    assert sorted(lines) == ["F0000 00:00:1.5 check failed", "W0000 00:00:1.5 before: not ours to hide", "a line of Python's", "after"]


@pytest.mark.skipif(sys.platform == "win32", reason="a crash ends otherwise there")
def test_the_last_words_of_a_crashing_library_are_seen() -> None:
    result = run(WRITES.format(end="os.write(2, b'malloc(): corrupted top size'); os.abort()"))
    assert result.returncode == -6 and result.stderr.endswith("malloc(): corrupted top size")


def test_a_closed_stderr_disturbs_nothing() -> None:
    program = "import os; os.close(2)\nfrom livepuppet.vision.native_noise import *\nwith without_native_noise(): print('fine')"
    assert run(program).stdout == "fine\n"


def test_the_library_is_quiet_from_python() -> None:
    result = run(ANIMATES.format(portrait=str(Path(ROOT) / "livepuppet" / "assets" / "avatars" / "ada.jpg")))
    assert result.returncode == 0
    assert result.stderr == ""
