"""The house keeps its floors: imports point down, parts never import each other, every public name has one home."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "livepuppet"

FLOORS = {
    "errors": 0, "version": 0, "types": 0,
    "registry": 1, "files": 1,
    "video": 2, "vision": 2, "devices": 2,
    "provenance": 3,
    "speech": 3,
    "engines": 4, "sources": 4, "sinks": 4,
    "factory": 5,
    "live": 6,
    "rendering": 7, "protection": 7, "synthetic": 7,
    "training": 8, "models": 8, "evidence": 8,
    "diagnostics": 9,
    "__init__": 10, "studio": 10,
    "cli": 11, "__main__": 11,
}  # fmt: skip
"""Folder, or module at the top of the package -> its floor. It imports from lower floors only."""

PARTS = {"engines", "sources", "sinks"}
SAME_FLOOR = {("types", "errors"), ("files", "registry"), ("__main__", "cli")}
"""The only pairs on one floor of which the first may import the second."""

LIVE_PATH = ("live", "factory", "sources", "sinks", "vision", "video", "engines.landmark", "engines.fomm")
LEARNING = ("engines.fomm.networks", "engines.fomm.export", "training", "synthetic", "protection")
MAX_LINES = 400
MAX_ROOT_MODULES = 9


@lru_cache
def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name below it: 'errors', 'engines.fomm.crop', '__init__', 'live' for live/__init__.py."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    """A file parsed: once, for all the questions that are asked about it."""
    return ast.parse(path.read_text("utf-8"))


@lru_cache
def imported(name: str) -> frozenset[str]:
    """The package's modules that a module imports, also inside functions."""
    found = set()
    for node in ast.walk(tree(modules()[name])):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {full.removeprefix("livepuppet.") for full in names if full.startswith("livepuppet.")}
    return frozenset(module_of(full) for full in found)


def module_of(name: str) -> str:
    """'video.reader.VideoReader' -> 'video.reader'; a public name of the package itself -> '__init__'."""
    while name not in modules() and "." in name:
        name = name.rpartition(".")[0]
    return name if name in modules() else "__init__"


def folder(name: str) -> str:
    return name.partition(".")[0]


def test_every_folder_has_a_floor() -> None:
    assert {folder(name) for name in modules()} <= set(FLOORS)


@pytest.mark.parametrize("name", modules())
def test_imports_point_down(name: str) -> None:
    here = folder(name)
    for other in map(folder, imported(name)):
        lower = FLOORS[other] < FLOORS[here] or (here, other) in SAME_FLOOR
        assert other == here or lower, f"{name} (floor {FLOORS[here]}) imports {other} (floor {FLOORS[other]})"


def test_there_is_no_circle_between_modules() -> None:
    """Only imports that run when a module is loaded can go round in a circle."""
    below: dict[str, set[str]] = defaultdict(set)
    for name, path in modules().items():
        for node in top_level(tree(path).body):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("livepuppet."):
                below[name] |= {module_of(f"{node.module}.{alias.name}".removeprefix("livepuppet.")) for alias in node.names} - {name}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, f"a circle: {' -> '.join([*way[way.index(name) :], name])}"
        if name not in done:
            for other in sorted(below[name]):
                visit(other, (*way, name))
            done.add(name)

    for name in modules():
        visit(name, ())


def top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run on import, also inside `if` (but not `if TYPE_CHECKING`) and `try`."""
    for node in body:
        if isinstance(node, ast.If):
            if "TYPE_CHECKING" not in ast.unparse(node.test):
                yield from top_level([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            yield from top_level(node.body)
        else:
            yield node


@pytest.mark.parametrize("kind", sorted(PARTS))
def test_parts_never_import_each_other(kind: str) -> None:
    for name in modules():
        if folder(name) != kind or name == kind:
            continue
        for other in imported(name):
            if folder(other) in PARTS:
                assert other.split(".")[:2] == name.split(".")[:2], f"{name} imports the part {other}"


@pytest.mark.parametrize("name", ["live"])
def test_the_loop_knows_no_part(name: str) -> None:
    for module in modules():
        if folder(module) == name:
            assert not {other for other in imported(module) if folder(other) in PARTS}, f"{module} knows a part"


def test_networks_stay_out_of_the_live_path() -> None:
    def within(name: str, folders: tuple[str, ...]) -> bool:
        return any(name == f or name.startswith(f + ".") for f in folders)

    for name in modules():
        if within(name, LIVE_PATH) and not within(name, LEARNING):
            heavy = {other for other in imported(name) if within(other, LEARNING)}
            assert not heavy, f"{name} imports what only training needs: {heavy}"


def test_the_server_s_packages_stay_in_the_studio() -> None:
    """Also there, what a shell needs to find a session works without them."""
    server = {"fastapi", "uvicorn", "starlette", "pydantic", "websockets", "aiortc"}
    for name, path in modules().items():
        nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
        names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
        found = server & {full.partition(".")[0] for full in names}
        assert folder(name) == "studio" or not found, f"{name} imports {found}"
    program = "import sys, livepuppet.studio.remote, livepuppet.studio.assembly, livepuppet.cli.control; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert not server & set(loaded)


def test_no_command_imports_another() -> None:
    commands = {name for name, path in modules().items() if folder(name) == "cli" and "def add_arguments(parser" in path.read_text("utf-8")}
    for name in commands:
        assert not commands & imported(name) - {name}, f"{name} imports another command"


def test_the_top_of_the_package_is_small() -> None:
    top = [path.name for path in PACKAGE.glob("*.py")]
    assert len(top) <= MAX_ROOT_MODULES, f"a folder says what its files are for: {top}"


def test_every_public_name_has_one_home() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for name, path in modules().items():
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
                if folder(name) == "cli" and node.name in ("run", "add_arguments"):  # what every command has
                    continue
                homes[node.name].append(name)
    twice = {name: places for name, places in homes.items() if len(set(places)) > 1}
    assert not twice, f"defined in more than one module: {twice}"


FLAG = re.compile(r"(?<![\w-])--[a-z]")
OTHER_PROGRAMS = re.compile(r"\b(pip|pacman|zypper|akmods|mokutil|brew) ")
"""Their options are theirs."""


def test_messages_of_the_library_name_parameters_and_not_options_of_the_command_line() -> None:
    """Errors carry `parameter`, and cli/ turns it into an option. The doctor's findings (diagnostics/) are advice for the command line."""
    for name, path in modules().items():
        if folder(name) in {"cli", "__main__", "diagnostics"}:
            continue
        whole = tree(path)
        documentation = {id(node.value) for node in ast.walk(whole) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}
        for node in ast.walk(whole):
            text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation else ""
            named = FLAG.search(text) and not OTHER_PROGRAMS.search(text)
            assert not named, f"{path}:{getattr(node, 'lineno', 0)} names an option of the command line: {text!r}"


def test_no_vague_names() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "manager", "wrapper", "misc"}
    for path in modules().values():
        assert not vague & set(path.stem.split("_")), f"{path}: name it after what it does"


def test_no_file_is_too_long() -> None:
    too_long = {name: lines for name, path in modules().items() if (lines := len(path.read_text("utf-8").splitlines())) > MAX_LINES}
    assert not too_long, f"a file has one subject, {MAX_LINES} lines at most: {too_long}"


def test_tests_mirror_the_package_and_never_import_each_other() -> None:
    known = {path.name for path in PACKAGE.iterdir() if path.is_dir()} | {"golden", "cases", "machine", "tools", "benchmarks"}
    assert {path.name for path in TESTS.iterdir() if path.is_dir() and path.name != "__pycache__"} <= known
    tests = {path.stem for path in TESTS.rglob("test_*.py")}
    for path in TESTS.rglob("*.py"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ImportFrom):
                assert node.module not in tests | {"conftest"}, f"{path.name} imports {node.module}: what tests share is in tests/media.py"


def test_import_is_light() -> None:
    """Importing the package loads none of the heavy packages and changes nothing in the process."""
    program = (
        "import os, sys, threading, logging\n"
        "before = (dict(os.environ), threading.active_count(), list(logging.getLogger().handlers))\n"
        "import livepuppet\n"
        "heavy = {'torch', 'mediapipe', 'onnxruntime', 'cv2', 'av', 'matplotlib', 'pyvirtualcam', 'fastapi'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert before == (dict(os.environ), threading.active_count(), list(logging.getLogger().handlers))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
