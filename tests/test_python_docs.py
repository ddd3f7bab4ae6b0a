"""Every block of docs/python.md and every cell of the notebook runs as it stands."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rendering_fixtures import ADA, frame_times, write_opening

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "python.md"
NOTEBOOK = ROOT / "docs" / "livepuppet.ipynb"
BLOCKS = re.findall(r"^## (.*?)$.*?```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def run(program: str, folder: Path) -> str:
    for name in ("ada", "bruno"):
        shutil.copy(ADA.with_name(f"{name}.jpg"), folder)
    write_opening(folder / "talk.mp4", 3.0)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize(("title", "program"), BLOCKS, ids=[title for title, _ in BLOCKS])
def test_every_block_of_the_page_runs(title: str, program: str, tmp_path: Path) -> None:
    said = run(program, tmp_path)
    if title == "Whole videos":
        assert "30 frames" in said and "Marked as synthetic" in said
    if title == "A source of your own":
        times = frame_times(tmp_path / "sparse.mp4")
        assert len(times) == 10 and float(times[-1] - times[0]) == pytest.approx(0.9, abs=0.01)


def test_the_page_shows_a_part_of_every_kind() -> None:
    assert {f"A {kind} of your own" for kind in ("source", "sink", "screen")} | {"An engine of your own"} <= {title for title, _ in BLOCKS}


def test_every_cell_of_the_notebook_runs(tmp_path: Path) -> None:
    """In one process, one after the other, as Jupyter runs them: lines that talk to the notebook itself (% and !) are left out."""
    cells = [cell for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert len(cells) <= 10
    lines = [line for cell in cells for line in ("".join(cell["source"]) + "\n").splitlines()]
    program = "\n".join(line for line in lines if not line.startswith(("%", "!")))
    run("class Shown:\n    def __call__(self, *a, **k): pass\n" + program, tmp_path)
    assert len(frame_times(tmp_path / "talking.mp4")) > 20
