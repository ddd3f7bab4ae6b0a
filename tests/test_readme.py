"""What the README shows works as shown."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import av
import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


def text() -> str:
    if not README.exists():
        pytest.skip("no README.md beside the tests")
    return README.read_text()


def test_two_commands_do_all_the_set_up() -> None:
    assert re.search(r"^    pip install \. && livepuppet .+$", text(), re.MULTILINE)
    assert re.search(r'^    pip install "\.\[test\]" && pytest$', text(), re.MULTILINE)


def test_the_check_runs_the_test_command_as_shown() -> None:
    """`.ci/run` installs and runs the tests with the same words, under coverage."""
    found = re.search(r"^    (pip install .*) && (pytest)$", text(), re.MULTILINE)
    assert found is not None
    script = (ROOT / ".ci" / "run").read_text()
    lines = [line.strip() for line in script.splitlines()]
    assert f'[ -n "$installed" ] || {found[1]}' in lines
    assert any(line.startswith(f'tests coverage run "$(command -v {found[2]})"') for line in lines)
    assert "eval" not in script.split()


def test_the_python_example_runs_and_makes_the_film(tmp_path: Path) -> None:
    program = re.search(r"```python\n(.*?)```", text(), re.DOTALL)
    assert program is not None
    code = program[1]
    assert len(code.strip().splitlines()) <= 12
    (tmp_path / "livepuppet").mkdir()
    (tmp_path / "livepuppet" / "assets").symlink_to(ROOT / "livepuppet" / "assets")
    script = f"import sys; sys.path[:] = [p for p in sys.path if p]; sys.path.insert(0, {str(ROOT)!r})\n{code}"
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], cwd=tmp_path, check=True, timeout=120)
    with av.open(str(tmp_path / "talking.mp4")) as film:
        assert sum(1 for _ in film.decode(video=0)) == 90


def test_pictures_it_shows_are_there() -> None:
    for path in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text()):
        assert (ROOT / path).is_file(), path
