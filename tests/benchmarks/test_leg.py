"""The pieces of a leg on a lent GPU: the schedule by the clock, checkpoints that come back, and what a cut run has told."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fomm_models import lively

from benchmarks.gpu.collect import outcomes
from benchmarks.gpu.train import LARGEST_CHECKPOINT_BYTES, MOTION_FIRST, by_the_clock, half_checkpoint, leg_recipe, newest
from livepuppet.engines.fomm.networks.checkpoint import build_model, load_checkpoint
from livepuppet.errors import RunError
from livepuppet.training.recipe import RECIPES
from livepuppet.training.trainer import Trainer

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("pace", [1, 7, 400])
def test_phases_follow_the_clock_whatever_the_pace(pace: int) -> None:
    """At a tenth of the time motion learns alone, at nine tenths the adversary takes part, on slow and quick machines."""
    recipe = replace(RECIPES["tiny-64"], own=replace(RECIPES["tiny-64"].own, motion_first=0.4, adversarial_from=0.8))
    trainer = Trainer(recipe, 1, torch.device("cpu"))
    phases = []
    for tenth in range(1, 10):
        trainer.step_number = tenth * 10 * pace
        trainer.recipe = by_the_clock(recipe, trainer.step_number, tenth / 10)
        phases.append((trainer.motion_only, trainer.adversarial))
    assert phases == [(True, False)] * 3 + [(False, False)] * 4 + [(False, True)] * 2
    rates = [by_the_clock(recipe, 100 * pace, share / 10).rate(100 * pace, 1) for share in range(4, 11)]
    assert rates == sorted(rates, reverse=True) and rates[-1] < 0.05


def test_the_very_first_step_has_a_schedule() -> None:
    assert by_the_clock(RECIPES["face-256"], 0, 0.0).steps(1) == 1


def test_face_256_comes_back_from_the_machine() -> None:
    content = half_checkpoint(build_model(RECIPES["face-256"].model), 3)
    assert len(content) <= LARGEST_CHECKPOINT_BYTES


def test_a_model_that_would_not_come_back_is_refused() -> None:
    with pytest.raises(RunError, match="take a smaller model"):
        half_checkpoint(build_model(RECIPES["vox-256"].model), 0)


def test_a_half_checkpoint_loads_as_any_other(tmp_path: Path) -> None:
    model = lively()
    path = tmp_path / "model.pth.tar"
    path.write_bytes(half_checkpoint(model, 7))
    found = load_checkpoint(path, configuration=model.configuration)
    for name, value in model.generator.state_dict().items():
        assert torch.allclose(found.generator.state_dict()[name].float(), value.float(), rtol=1e-3, atol=1e-6), name


def options(folder: Path) -> Namespace:
    return Namespace(out=folder / "out", carried=folder / "carried", config="face-256", batch=64, adversarial_from=1.0)


def test_a_leg_goes_on_from_its_own_checkpoint_then_from_the_carried_one(tmp_path: Path) -> None:
    asked = options(tmp_path)
    assert newest(asked) is None
    assert leg_recipe(asked, None).own.motion_first == MOTION_FIRST
    for folder, name in ((asked.carried, "start.pth.tar"), (asked.out, "model.pth.tar")):
        folder.mkdir()
        (folder / name).touch()
        assert newest(asked) == folder / name
    later = leg_recipe(asked, newest(asked))
    assert later.own.motion_first == 0 and later.batch_size == 64 and later.model == RECIPES["face-256"].model


LOG = """
tests/a/test_x_cuda.py::test_one PASSED                                  [ 33%]
tests/a/test_x_cuda.py::test_two[onnx] SKIPPED (no CUDA here)            [ 66%]
tests/a/test_x_cuda.py::test_three FAILED                                [100%]
SKIPPED [1] tests/gpu_fixtures.py:22: no CUDA here
"""


def test_the_outcome_of_tests_is_read_from_their_log() -> None:
    found = outcomes(LOG)
    assert found["counts"] == {"passed": 1, "skipped": 1, "failed": 1}
    assert found["skipped_because"] == ["no CUDA here"]


def collect(*words: str | Path) -> int:
    return subprocess.run([sys.executable, "-m", "benchmarks.gpu.collect", *map(str, words)], cwd=ROOT, check=False).returncode


def test_a_step_that_was_cut_short_has_told_what_it_knew(tmp_path: Path) -> None:
    check, log, result = tmp_path / "check.json", tmp_path / "log", tmp_path / "engine.json"
    log.write_text(LOG)
    result.write_text('{"forms": {"original": 11.4}}')
    assert collect(check, "tests", "--code", "0", "--log", log) == 0
    assert collect(check, "engine", "--code", "124", "--seconds", "70", "--limit", "70", "--result", result) == 0
    steps = json.loads(check.read_text())
    assert steps["engine"]["cut_short"] and steps["engine"]["result"]["forms"]["original"] == 11.4
    assert steps["tests"]["counts"]["failed"] == 1
    assert collect(check, "--show") == 1


BARE = """
import importlib, sys
for name in ("mediapipe", "av", "pyvirtualcam", "platformdirs", "loky", "c2pa", "cryptography", "anny", "accelerate"):
    sys.modules[name] = None
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def test_all_of_it_imports_on_a_bare_machine() -> None:
    """No MediaPipe, no PyAV, no platformdirs: what trains, renders people and runs models must not ask for them."""
    modules = ("benchmarks.gpu.train", "benchmarks.gpu.people", "benchmarks.training", "livepuppet.engines.fomm.engine")
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", BARE, *modules], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
