"""Nothing leaves the machine: the commands run where there is no network, and open no socket that could reach one.

Every system call about sockets of the command, its threads and its workers is watched (strace), in a network namespace without routes.
Sockets within the machine (AF_UNIX, loopback) and questions to the kernel itself (AF_NETLINK) are nobody else's.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rendering_fixtures import write_opening

ROOT = Path(__file__).parents[1]
ADA = str(ROOT / "livepuppet" / "assets" / "avatars" / "ada.jpg")
WITHIN = re.compile(r"AF_UNIX|AF_NETLINK|inet_addr\(\"127\.|\"::1\"")
"""What a call says that stays on this machine."""
OUTSIDE = re.compile(r"^\d+ +(socket|connect|bind|sendto|sendmsg|sendmmsg)\((.*)")


@pytest.fixture(scope="module")
def fence() -> list[str]:
    """The words before a command that put it where no network is, and watch it."""
    for program, package in (("unshare", "util-linux"), ("strace", "strace")):
        if shutil.which(program) is None:
            pytest.skip(f"no {program}: apt-get install {package}")
    for namespace in (["unshare", "-n"], ["unshare", "-U", "-r", "-n"]):
        if subprocess.run([*namespace, "strace", "-f", "-e", "trace=network", "true"], capture_output=True).returncode == 0:
            return namespace
    pytest.skip("neither a network namespace nor tracing is allowed here")


def calls_outside(fence: list[str], words: list[str], folder: Path, codes: tuple[int, ...] = (0,)) -> list[str]:
    """Run a program as for a person who has never run it; the socket calls that could leave the machine.

    Args:
        codes: with which it may end.
    """
    log = folder / "calls"
    environment = {name: value for name, value in os.environ.items() if name not in {"CI", "ORT_DISABLE_TELEMETRY"}}
    home = str(folder / "home")
    environment |= {"HOME": home, "XDG_CONFIG_HOME": home, "XDG_DATA_HOME": home, "XDG_CACHE_HOME": home}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    watched = ["strace", "-f", "-qq", "-e", "trace=network", "-e", "signal=none", "-o", str(log)]
    ended = subprocess.run([*fence, *watched, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode in codes, ended.stderr
    assert log.is_file()
    return [line for line in log.read_text().splitlines() if (call := OUTSIDE.match(line)) and reaches_out(call[1], call[2])]


def reaches_out(call: str, what: str) -> bool:
    """Whether a call makes a socket for the network, or names an address that is not this machine's."""
    if call == "socket":
        return not what.startswith(("AF_UNIX", "AF_NETLINK"))
    return "sa_family" in what and WITHIN.search(what) is None


def test_the_watch_sees_what_it_should(fence: list[str], tmp_path: Path) -> None:
    program = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect_ex(('192.0.2.1', 9))"
    found = calls_outside(fence, [sys.executable, "-c", program], tmp_path)
    assert [line.split("(")[0].split()[-1] for line in found] == ["socket", "connect"]


COMMANDS = {
    "live": ["--camera", "demo", "--output", "none", "--seconds", "2"],
    "live with a neural model": ["--camera", "demo", "--output", "none", "--seconds", "1", "--engine", "fomm"],
    "a recording": ["--camera", "demo", "--output", "a.mp4", "--seconds", "1", "--avatar", ADA],
    "render": ["render", "--avatar", ADA, "--driving", "talk.mp4", "--end", "0.2", "--output", "a.mp4", "--size", "128x128"],
    "workers": ["render", "--jobs", "jobs.csv", "--workers", "2", "--size", "128x128", "--end", "0.1"],
    "models": ["models", "verify", "fomm-synth-256"],
    "about": ["about"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_reaches_out(name: str, fence: list[str], tmp_path: Path) -> None:
    write_opening(tmp_path / "talk.mp4", 0.3)
    (tmp_path / "jobs.csv").write_text("avatar,driving,output\n" + "".join(f"{ADA},talk.mp4,o{i}.mp4\n" for i in range(2)))
    assert calls_outside(fence, [sys.executable, "-m", "livepuppet", *COMMANDS[name]], tmp_path) == []


@pytest.mark.parametrize(("words", "codes"), [(["doctor"], (0, 1)), (["verify", ADA], (3,))], ids=["doctor", "verify"])
def test_what_says_in_its_exit_code_what_it_found(words: list[str], codes: tuple[int, ...], fence: list[str], tmp_path: Path) -> None:
    assert calls_outside(fence, [sys.executable, "-m", "livepuppet", *words], tmp_path, codes) == []
