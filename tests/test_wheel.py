"""What the wheel would hold, as pyproject.toml says it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from livepuppet.engines.fomm import model_store as artifacts
from livepuppet.engines.fomm.model_store import MANIFEST

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")

ROOT = Path(__file__).parents[1]
MODEL = "fomm-synth-256"


@pytest.fixture(scope="module")
def wheel_files() -> dict[str, str]:
    """Path in the checkout -> path in the wheel, of what is not in the package's own folder."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        target = tomllib.load(file)["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert target["packages"] == ["livepuppet"]
    included: dict[str, str] = target["force-include"]
    return included


def test_the_wheel_has_every_file_of_the_shipped_model_and_no_checkpoint(wheel_files: dict[str, str]) -> None:
    manifest = artifacts.read_manifest(ROOT / "models" / MODEL).manifest
    assert set(wheel_files) == {f"models/{MODEL}/{name}" for name in (MANIFEST, *manifest.files)}
    assert all(place == f"livepuppet/assets/{path}" for path, place in wheel_files.items())
    assert not any("pth" in path for path in wheel_files)


def test_nothing_in_the_package_needs_the_repository_s_tools() -> None:
    for path in (ROOT / "livepuppet").rglob("*.py"):
        lines = path.read_text("utf-8").splitlines()
        assert not [line for line in lines if line.lstrip().startswith(("import tools", "from tools"))], path
