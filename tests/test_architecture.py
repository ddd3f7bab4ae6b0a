"""The floors of the house hold: imports point down, parts never import each other, heavy packages stay out of `import livepuppet`."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "livepuppet"
GROUND = {"errors", "interfaces", "version"}
FLOOR_1 = {
    "channel", "devices", "meter", "framing", "smoothing", "face", "artifacts", "parts", "portraits", "film", "fitting",
    "watermark", "label", "marking", "credentials", "identity", "verification", "consent", "protection",
    "playback", "encoding", "machine",
    "soundtrack", "audio_packets", "container", "tone_mapping",
    "stills", "cutout",
    "crew",
}  # fmt: skip
PARTS = {"engines", "sources", "sinks"}
PART_FREE = {"session", "puppet", "desk"}  # floors that work through protocols and must not know any part
LINES_AT_MOST = 400


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    """The first name below the package: 'errors', 'engines', 'cli' ..."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def floor(name: str) -> float:
    if name in GROUND:
        return 0
    if name in FLOOR_1:
        return 1
    floors = {"runtimes": 2, "networks": 3, "engines": 3, "sources": 3, "sinks": 3, "puppet": 3, "session": 4}
    if name in floors:
        return floors[name]
    if name in {"__init__"}:
        return 5
    if name in {"cli", "__main__"}:
        return 6
    return EXTRA_FLOORS[name]


EXTRA_FLOORS: dict[str, float] = {
    "people": 1.6,  # films
    "film_job": 1.9,  # films
    "pieces": 4.2, "jobs": 4.5,  # films
    "footage": 1.8, "unfinished": 1.7,  # films
    "performance": 1.5, "acting": 1.6, "motion_file": 1.6, "rendering": 2,  # films
    "reference": 1, "synthetic": 2, "training": 4, "gallery": 3, "controls": 3, "desk": 3.5, "opening": 4,
}  # fmt: skip
"""Rooms that came later, each with its floor."""


def imports(path: Path) -> set[str]:
    """Full dotted names of all that the file imports from the package, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == "livepuppet"}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    here = room(path)
    for name in imports(path):
        below = name.split(".")[1]
        if below == here or here in {"__init__", "__main__"} or below == "__version__":
            continue
        assert floor(below) <= floor(here), f"{path.name} (floor {floor(here)}) imports {name} (floor {floor(below)})"
        if floor(below) == floor(here):
            assert floor(here) <= 1 or here == below, f"{path.name} imports its neighbour {name}"


@pytest.mark.parametrize("kind", sorted(PARTS))
def test_parts_never_import_each_other(kind: str) -> None:
    for path in (PACKAGE / kind).rglob("*.py"):
        own = path.relative_to(PACKAGE / kind).parts[0].removesuffix(".py")
        for name in imports(path):
            pieces = name.split(".")
            if pieces[1] in PARTS:
                assert pieces[1] == kind and len(pieces) > 2 and pieces[2] == own, f"{path} imports the part {name}"


@pytest.mark.parametrize("name", sorted(PART_FREE))
def test_the_loop_knows_no_part(name: str) -> None:
    path = PACKAGE / f"{name}.py"
    assert not {found for found in imports(path) if found.split(".")[1] in PARTS}


def test_networks_stay_out_of_the_live_path() -> None:
    learning = {"networks", "synthetic", "training"}
    for path in modules():
        if room(path) in {*learning, "cli"}:
            continue
        assert not {n for n in imports(path) if n.split(".")[1] in learning}, f"{path} imports what only training needs"


def test_no_vague_names() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "manager", "wrapper", "misc"}
    for path in modules():
        assert not vague & set(path.stem.split("_")), f"{path}: name it after what it does"


def test_no_room_is_too_long() -> None:
    too_long = {str(p.relative_to(PACKAGE)): n for p in modules() if (n := len(p.read_text().splitlines())) > LINES_AT_MOST}
    assert not too_long, f"a file is a noun of the task, {LINES_AT_MOST} lines at most: {too_long}"


def test_import_is_light() -> None:
    """Importing the package loads none of the heavy packages and changes nothing in the process."""
    program = (
        "import os, sys, threading, logging\n"
        "before = (dict(os.environ), threading.active_count(), list(logging.getLogger().handlers))\n"
        "import livepuppet\n"
        "heavy = {'torch', 'mediapipe', 'onnxruntime', 'cv2', 'av', 'matplotlib', 'pyvirtualcam'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert before == (dict(os.environ), threading.active_count(), list(logging.getLogger().handlers))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
