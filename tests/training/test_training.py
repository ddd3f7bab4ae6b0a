"""Whole runs: they learn, go on exactly, stop cleanly, and leave models that others can load."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from media import files_no_larger_than, shared_path
from training_fixtures import SMALL_RECIPE, moving_pattern, sliding_clip, write_frames_as_images, write_frames_as_video

from livepuppet.cli import COMMANDS, main
from livepuppet.engines.fomm import model_store as artifacts
from livepuppet.engines.fomm.networks import checkpoint as model_files
from livepuppet.engines.fomm.networks.checkpoint import FommModel
from livepuppet.engines.fomm.networks.configuration import Hourglass
from livepuppet.engines.fomm.networks.keypoints import Keypoints
from livepuppet.engines.fomm.networks.layers import coordinate_grid
from livepuppet.errors import RunError, UsageError
from livepuppet.training import checkpoint
from livepuppet.training.dataset import TrainingClip, gather_dataset
from livepuppet.training.evaluation import evaluate, rebuild
from livepuppet.training.pairs import Pairs, collate
from livepuppet.training.recipe import RECIPES, Recipe
from livepuppet.training.run import TrainConfig, beside, train
from livepuppet.training.settings import ThinPlateWarp
from livepuppet.training.trainer import NotFinite, Trainer

"""All losses within six steps of a few milliseconds each."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    write_frames_as_video(folder / "slide.mp4", moving_pattern(6, 48, 64))
    write_frames_as_images(folder / "pictures", moving_pattern(4, 40, 40, seed=2))
    sliding_clip(shift=4, size=32).save(folder / "clip-000000.npz")
    return folder


def order(data: Path, out: Path, recipe: Recipe = SMALL_RECIPE, **changes: object) -> TrainConfig:
    plain = TrainConfig(str(data), recipe, out, say_every=1, save_every=2, sheet_every=100)
    return replace(plain, **changes)  # type: ignore[arg-type]


def weights(model: FommModel) -> dict[str, torch.Tensor]:
    parts = {"detector": model.detector, "generator": model.generator}
    return {f"{part}.{name}": value for part, network in parts.items() for name, value in network.state_dict().items()}


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def lines(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "losses.jsonl").read_text().splitlines()]


def test_a_run_uses_every_loss_and_leaves_everything_behind(data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="livepuppet.train")
    out = tmp_path / "run"
    trainer = train(order(data, out, sheet_every=3))
    assert trainer.step_number == 6
    names = set().union(*(line.keys() for line in lines(out)))
    assert names >= {
        "pattern", "equivariance_value", "equivariance_jacobian", "landmarks", "frames", "flow", "visibility", "shown", "detail",
        "generator_gan", "feature_matching", "discriminator", "pairs_per_second",
    }  # fmt: skip
    first, last = lines(out)[0], lines(out)[-1]
    assert "discriminator" not in first and "discriminator" in last  # adversarial last
    assert [path.name for path in checkpoint.states(out)] == ["step-00000004.pt", "step-00000006.pt"]  # two are kept
    sheet = cv2.imread(str(out / "sheets" / "step-00000003.png"))
    assert sheet.shape == (6 * 32, 5 * 32, 3)
    assert find_spec("tensorboard") is None or any((out / "tensorboard").iterdir())
    assert (out / "skipped.txt").read_text() == ""
    assert "patterns at several scales (no VGG-19 weights on disk)" in caplog.text or "VGG-19 features" in caplog.text
    assert Recipe.read(str(out / "recipe.yaml")) == replace(SMALL_RECIPE, name="recipe")


def test_the_model_loads_strictly_with_its_yaml_and_is_the_average(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    trainer = train(order(data, out))
    model = model_files.load_checkpoint(out / "model.pth.tar", configuration=model_files.load_configuration(out / "model.yaml"))
    assert model.configuration == SMALL_RECIPE.model
    assert_equal(weights(model), weights(trainer.averaged))
    raw = torch.load(out / "model.pth.tar", weights_only=True)
    assert set(raw) == {"generator", "kp_detector", "epoch"}
    picture = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        keypoints = model.detector(picture)
        assert model.generator(picture, keypoints, keypoints).prediction.shape == (1, 3, 32, 32)


@pytest.mark.skipif("models" not in COMMANDS, reason="livepuppet models is not there yet")
def test_the_model_is_taken_by_models_import(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "run"
    train(order(data, out, replace(SMALL_RECIPE, model=replace(SMALL_RECIPE.model, size=64), own=replace(SMALL_RECIPE.own, steps=1))))
    monkeypatch.setenv("LIVEPUPPET_MODELS", str(tmp_path / "models"))
    assert main(["models", "import", str(out / "model.pth.tar"), "--config", str(out / "model.yaml"), "--name", "own"]) == 0
    assert (tmp_path / "models" / "own" / "model.json").is_file()


def test_going_on_is_exact(data: Path, tmp_path: Path) -> None:
    """Six steps at once, or three, a fresh process's state, and three more: the same weights to the last bit."""
    whole = train(order(data, tmp_path / "whole"))
    halves = tmp_path / "halves"
    clips = gather_dataset(data, tmp_path / "frames", 32)
    first = Trainer(SMALL_RECIPE, len(clips.training), torch.device("cpu"))
    pairs = Pairs(clips.training, SMALL_RECIPE, 0)
    for step in range(3):
        first.step(collate([pairs[step * 2], pairs[step * 2 + 1]]))
    checkpoint.save_run(halves, first)
    second = train(order(data, halves))
    assert second.step_number == whole.step_number == 6
    assert_equal(weights(second.model), weights(whole.model))
    assert_equal(weights(second.averaged), weights(whole.averaged))
    assert_equal(second.discriminator.state_dict(), whole.discriminator.state_dict())
    assert [line["step"] for line in lines(halves)] == [4, 5, 6]
    before = (halves / "model.pth.tar").read_bytes()
    train(order(data, halves))  # nothing left to do
    assert (halves / "model.pth.tar").read_bytes() == before


def test_the_average_is_an_exponential_one(data: Path, tmp_path: Path) -> None:
    clips = gather_dataset(data, tmp_path / "frames", 32).training
    recipe = replace(SMALL_RECIPE, own=replace(SMALL_RECIPE.own, ema=0.5))
    trainer = Trainer(recipe, len(clips), torch.device("cpu"))
    pairs = Pairs(clips, recipe, 0)
    expected = {name: value.clone().double() for name, value in weights(trainer.model).items()}
    for step in range(3):
        trainer.step(collate([pairs[2 * step], pairs[2 * step + 1]]))
        decay = min(0.5, (step + 1) / (step + 10))
        for name, value in weights(trainer.model).items():
            expected[name] = decay * expected[name] + (1 - decay) * value.double() if value.is_floating_point() else value.double()
    for name, value in weights(trainer.averaged).items():
        assert torch.allclose(value.double(), expected[name], atol=1e-5), name


def test_it_learns(data: Path, tmp_path: Path) -> None:
    recipe = replace(SMALL_RECIPE, own=replace(SMALL_RECIPE.own, steps=60, adversarial_from=1.0), lr_generator=2e-3, lr_kp_detector=2e-3)
    train(order(data, tmp_path / "run", recipe, say_every=10, save_every=60))
    first, *_, last = (line for line in lines(tmp_path / "run") if "pattern" in line)
    assert last["pattern"] < 0.95 * first["pattern"]
    assert last["landmarks"] < 0.5 * first["landmarks"]


def test_motion_learns_first_and_pictures_afterwards(data: Path, tmp_path: Path) -> None:
    """While motion learns alone the part that makes pictures keeps its weights, and no loss compares pictures."""
    first = replace(SMALL_RECIPE, own=replace(SMALL_RECIPE.own, motion_first=0.5, adversarial_from=0.0, teacher_forcing=0.0))
    trainer = Trainer(first, 1, torch.device("cpu"))
    known = tuple(clip for clip in gather_dataset(data, tmp_path / "frames", 32).training if clip.synthetic)
    pairs = Pairs(known, first, 0)
    batch = collate([pairs[number] for number in range(4)])
    before = {name: value.clone() for name, value in weights(trainer.model).items()}
    assert trainer.motion_only and not trainer.adversarial
    losses = trainer.step(batch)
    assert set(losses) == {"equivariance_value", "equivariance_jacobian", "landmarks", "frames", "flow", "visibility"}
    after = weights(trainer.model)
    painting = [name for name in after if name.startswith("generator.") and "dense_motion" not in name]
    assert painting and all(torch.equal(before[name], after[name]) for name in painting)
    assert not torch.equal(before["generator.dense_motion_network.mask.weight"], after["generator.dense_motion_network.mask.weight"])
    assert not torch.equal(before["detector.kp.weight"], after["detector.kp.weight"])
    trainer.step(batch)
    trainer.step(batch)
    assert not trainer.motion_only and trainer.adversarial
    assert {"pattern", "discriminator", "flow"} <= set(trainer.step(batch))
    assert not torch.equal(before["generator.final.weight"], weights(trainer.model)["generator.final.weight"])


def test_clips_that_do_not_know_their_flow_have_pictures_from_the_first_step(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="livepuppet.train")
    (data / "clip-000000.npz").unlink()
    train(order(data, tmp_path / "run", replace(SMALL_RECIPE, own=replace(SMALL_RECIPE.own, motion_first=0.5))))
    assert "these clips do not know their flow" in caplog.text
    assert "pattern" in lines(tmp_path / "run")[0]


@pytest.mark.slow
def test_a_compiled_run_learns_the_same(data: Path, tmp_path: Path) -> None:
    """In processes of their own: torch warns about itself while it compiles."""
    if shutil.which("c++") is None and shutil.which("g++") is None:
        pytest.skip("no C++ compiler, which torch.compile wants on a CPU")
    least = Hourglass(block_expansion=4, max_features=8, blocks=1, scale=0.5)  # seconds to compile, and every kind of layer
    tree = replace(
        SMALL_RECIPE,
        model=replace(SMALL_RECIPE.model, detector=least, dense_motion=least, block_expansion=4, max_features=8, down_blocks=1),
        weights=replace(SMALL_RECIPE.weights, equivariance_value=0.0, equivariance_jacobian=0.0),
        own=replace(SMALL_RECIPE.own, steps=2, adversarial_from=1.0),
    ).tree()
    (tmp_path / "least.yaml").write_text(yaml.safe_dump(tree))
    own = ["--config", str(tmp_path / "least.yaml"), "--say-every", "1"]
    command = [sys.executable, "-m", "livepuppet", "train", "--data", str(data), *own]
    runs = []
    for name, more in (("plain", []), ("compiled", ["--compile"])):
        result = subprocess.run([*command, "--out", str(tmp_path / name), *more], capture_output=True, text=True, timeout=600)
        assert result.returncode == 0, result.stderr[-2000:]
        runs.append([{key: value for key, value in line.items() if key != "pairs_per_second"} for line in lines(tmp_path / name)])
    assert len(runs[0]) == 2
    for one, other in zip(*runs, strict=True):
        assert one == pytest.approx(other, rel=2e-3)


def test_without_a_compiler_a_compiled_run_is_one_clear_line(data: Path, tmp_path: Path) -> None:
    """In a process of its own: torch remembers the compiler that it found."""
    environment = {**os.environ, "CXX": str(tmp_path / "none"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "livepuppet", "train", "--data", str(data), "--config", "tiny-64", "--out", str(tmp_path / "run")]
    result = subprocess.run([*command, "--steps", "1", "--compile"], env=environment, capture_output=True, text=True, timeout=300)
    said = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 1 and said.startswith("livepuppet: torch.compile does not work here"), result.stderr
    assert said.endswith("train without it (see --compile)")


def test_too_little_memory_is_one_clear_line(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is CUDA's own, raised by hand: there is no card here to fill."""

    def full(self: Trainer, *anything: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(Trainer, "step", full)
    with pytest.raises(RunError, match="too little memory for 2 pairs at once: take fewer"):
        train(order(data, tmp_path / "run"))


def test_half_precision_trains_too(data: Path, tmp_path: Path) -> None:
    trainer = train(order(data, tmp_path / "run", half=True))
    assert all(torch.isfinite(value.float()).all() for value in weights(trainer.model).values())
    assert next(trainer.model.generator.parameters()).dtype == torch.float32


def test_half_precision_leaves_coordinates_exact(data: Path, tmp_path: Path) -> None:
    """Convolutions round to bfloat16; where a keypoint's motion carries a pixel does not."""
    trainer = Trainer(SMALL_RECIPE, 3, torch.device("cpu"), half=True)
    generator = trainer.model.generator
    assert generator.first.conv(torch.rand(1, 3, 8, 8)).dtype == torch.bfloat16
    with torch.no_grad():
        for name, parameter in generator.dense_motion_network.mask.named_parameters():
            parameter.zero_()
            if name == "bias":
                parameter[1] = 100.0  # the first keypoint moves everything
    source = Keypoints(torch.full((1, 16, 2), 0.123), torch.eye(2).expand(1, 16, 2, 2))
    driving = Keypoints(source.value + 0.0371, source.jacobian)
    with torch.no_grad():
        motion = generator.dense_motion_network(torch.rand(1, 3, 32, 32), source, driving)
    expected = coordinate_grid(8, 8, torch.device("cpu")) - 0.0371
    assert float((motion.deformation[0] - expected).abs().max()) < 1e-5
    assert next(trainer.averaged.generator.parameters()).dtype == torch.float32
    assert trainer.averaged.generator.first.conv(torch.rand(1, 3, 8, 8)).dtype == torch.float32


def test_a_model_without_jacobians_or_truth_trains_too(tmp_path: Path) -> None:
    write_frames_as_images(tmp_path / "data" / "a", moving_pattern(4, 40, 40))
    recipe = replace(SMALL_RECIPE, model=replace(SMALL_RECIPE.model, jacobian=False, keypoints=5, occlusion=False))
    train(order(tmp_path / "data", tmp_path / "run", recipe))
    names = set().union(*(line.keys() for line in lines(tmp_path / "run")))
    assert "equivariance_value" in names and not names & {"equivariance_jacobian", "landmarks", "flow"}


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    wild = replace(SMALL_RECIPE, warp=ThinPlateWarp(sigma_affine=float("inf")))
    with pytest.raises(RunError, match="is NaN at step 0; no checkpoint was saved yet"):
        train(order(data, out, wild))
    assert not checkpoint.states(out)

    clips = gather_dataset(data, tmp_path / "frames", 32).training
    trainer, pairs = Trainer(SMALL_RECIPE, len(clips), torch.device("cpu")), Pairs(clips, SMALL_RECIPE, 0)
    good = tmp_path / "good"
    trainer.step(collate([pairs[0], pairs[1]]))
    kept = checkpoint.save_run(good, trainer)
    before = {name: value.clone() for name, value in weights(trainer.model).items() if "running" not in name and "num_batches" not in name}
    poisoned = collate([pairs[2], pairs[3]])
    poisoned.driving[0, 0, 0, 0] = float("nan")
    with pytest.raises(NotFinite, match="the loss '"):
        trainer.step(poisoned)
    after = weights(trainer.model)
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    state = checkpoint.read_run(kept)
    assert state is not None and state["step"] == 1


def test_a_full_disk_never_damages_what_was_saved(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    clips = gather_dataset(data, tmp_path / "frames", 32).training
    trainer, pairs = Trainer(SMALL_RECIPE, len(clips), torch.device("cpu")), Pairs(clips, SMALL_RECIPE, 0)
    trainer.step(collate([pairs[0], pairs[1]]))
    kept = checkpoint.save_run(out, trainer)
    files = {path: path.read_bytes() for path in (kept, out / "model.pth.tar", out / "model.yaml")}
    trainer.step(collate([pairs[2], pairs[3]]))
    with files_no_larger_than(20_000), pytest.raises(RunError, match=r"cannot write .*untouched"):
        checkpoint.save_run(out, trainer)
    with files_no_larger_than(20_000), pytest.raises(RunError, match=r"cannot write .*model\.pth\.tar"):
        checkpoint.write_model(out, trainer)
    assert {path: path.read_bytes() for path in files} == files
    assert sorted(path.name for path in out.rglob("*") if path.is_file()) == ["model.pth.tar", "model.yaml", "step-00000001.pt"]


def test_a_damaged_newest_state_falls_back_to_the_one_before(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train(order(data, out))
    newest = checkpoint.states(out)[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    clips = gather_dataset(data, tmp_path / "frames", 32).training
    assert checkpoint.restore_run(out, Trainer(SMALL_RECIPE, len(clips), torch.device("cpu"))) == 4


def test_checkpoints_of_another_configuration_are_refused(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train(order(data, out))
    other = replace(SMALL_RECIPE, model=replace(SMALL_RECIPE.model, keypoints=7))
    with pytest.raises(UsageError, match="num_kp: 16 there, 7 here"):
        train(order(data, out, other))
    with pytest.raises(UsageError, match=r"another configuration: keypoints 16 \(here 7\)"):
        train(order(data, tmp_path / "new", other, start=out / "model.pth.tar"))
    started = train(
        order(data, tmp_path / "same", replace(SMALL_RECIPE, lr_generator=0.0, lr_kp_detector=0.0), start=out / "model.pth.tar")
    )
    loaded = weights(model_files.load_checkpoint(out / "model.pth.tar"))
    trained = {
        name: value for name, value in weights(started.model).items() if not name.endswith(("running_mean", "running_var", "tracked"))
    }
    assert_equal(trained, {name: loaded[name] for name in trained})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_saves_and_goes_on(data: Path, tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "run"
    long = replace(SMALL_RECIPE, own=replace(SMALL_RECIPE.own, steps=100_000))

    def interrupt() -> None:
        for _ in range(600):
            if (out / "losses.jsonl").exists() and len(lines(out)) >= 2:
                break
            time.sleep(0.05)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        train(order(data, out, long, save_every=100_000))
    thread.join()
    (kept,) = checkpoint.states(out)
    state = checkpoint.read_run(kept)
    assert state is not None and state["step"] >= 2
    assert signal.getsignal(signal.SIGTERM) in (signal.SIG_DFL, signal.Handlers.SIG_DFL)


def test_the_command_line(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    arguments = ["train", "--data", str(data), "--config", "tiny-64", "--out", str(out), "--steps", "2", "--batch", "2"]
    assert main(arguments) == 0
    said = capsys.readouterr().err
    assert "3 clips to train on, 0 held out, 0 skipped" in said and "step 2 of 2" in said
    assert main(arguments) == 0
    assert "nothing to do: all 2 steps are done" in capsys.readouterr().err
    assert main([*arguments[:-4], "--steps", "3", "--batch", "2"]) == 2
    assert "steps: 2 there, 3 here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--config", "vox-1024"], 2, "choose one of vox-256"),
        (["--data", "/nowhere"], 2, "no folder at /nowhere"),
        (["--steps", "0"], 2, "--steps must be at least 1"),
        (["--workers", "-1"], 2, "--workers must not be negative"),
        (["--device", "warp9"], 2, "no device 'warp9'"),
        (["--vgg", "/nowhere.pth"], 1, "no VGG-19 weights at /nowhere.pth"),
        (["--from", "/nowhere.pth.tar"], 1, "no checkpoint at /nowhere.pth.tar"),
    ],
)
def test_bad_requests_are_one_clear_line(
    arguments: list[str], code: int, said: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = ["train", "--data", str(data), "--config", "tiny-64", "--out", str(tmp_path / "run"), "--steps", "1"]
    assert main([*plain, *arguments]) == code
    assert said in capsys.readouterr().err.strip().splitlines()[-1]


def test_figures_of_a_model(data: Path, tmp_path: Path) -> None:
    """Without a face in them clips give L1 alone; `still` is what leaving the first frame would give."""
    trainer = train(order(data, tmp_path / "run"))
    clips = [clip for clip in gather_dataset(data, tmp_path / "frames", 32).training if not clip.synthetic]
    figures = evaluate(trainer.averaged, clips, 32, frames=3)
    assert figures.frames == 4 and figures.found == 0 and np.isnan(figures.akd) and np.isnan(figures.identity)
    assert figures.l1 > 0 and figures.still > 0.01
    same = rebuild(trainer.averaged, [np.zeros((32, 32, 3), np.uint8)] * 2)
    assert len(same) == 1 and same[0].shape == (32, 32, 3)


def test_our_first_model_can_be_gone_on_from(tmp_path: Path) -> None:
    """The experiment's checkpoint fits face-256-small."""
    path = shared_path("models/fomm-synth-256/fomm-synth-256.pth.tar")
    model = model_files.load_checkpoint(path, configuration=model_files.load_configuration(path.parent / "fomm-synth-256.yaml"))
    trainer = Trainer(RECIPES["face-256-small"], 1, torch.device("cpu"))
    trainer.start_from(model)
    assert_equal(weights(trainer.averaged), weights(model))


def test_the_shipped_model_can_be_gone_on_from() -> None:
    """Its checkpoint lies in the repository, is the one that the shipped graphs were made from, and fits the recipe for processors."""
    path = Path(__file__).parents[2] / "models" / "fomm-synth-256" / "model.pth.tar"
    manifest = artifacts.read_manifest(path.parent).manifest
    assert artifacts.sha256(path) == manifest.provenance["sha256"] and beside(path) == RECIPES["face-256-cpu"].model
    model = model_files.load_checkpoint(path, configuration=beside(path))
    trainer = Trainer(RECIPES["face-256-cpu"], 1, torch.device("cpu"))
    trainer.start_from(model)
    assert_equal(weights(trainer.averaged), weights(model))


@pytest.mark.slow
def test_faces_are_compared_on_a_real_clip(tmp_path: Path) -> None:
    path = shared_path("models/fomm-synth-256/fomm-synth-256.pth.tar")
    clip = shared_path("assets/performance.mp4")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "clip.mp4").symlink_to(clip)
    (footage,) = gather_dataset(tmp_path / "data", tmp_path / "frames", 256).training
    assert isinstance(footage, TrainingClip)
    figures = evaluate(model_files.load_checkpoint(path), [footage], 256, frames=4)
    assert figures.found == 3 and 0 < figures.akd < 15 and 0 < figures.identity < 1


@pytest.mark.slow
def test_people_who_do_not_exist_train_a_model_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    arguments = ["train", "--data", "synthetic", "--config", "tiny-64", "--out", str(out), "--people", "2", "--steps", "2"]
    code = main(arguments)
    said = capsys.readouterr().err
    if "geometry" in said and code == 2:
        pytest.skip(said.strip())
    assert code == 0 and len(list((out / "people").glob("clip-*.npz"))) == 2
    assert {"landmarks", "flow", "visibility"} <= set(lines(out)[-1])


@pytest.mark.slow
def test_two_processes_train_as_one(data: Path, tmp_path: Path) -> None:
    """Each sees other pairs, accelerate averages their gradients, and both end with the same weights."""
    pytest.importorskip("accelerate")
    program = (
        "import sys, torch\n"
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "from livepuppet.training.run import TrainConfig, train\n"
        "from training_fixtures import SMALL_RECIPE\n"
        "import os\n"
        f"trainer = train(TrainConfig({str(data)!r}, SMALL_RECIPE, Path({str(tmp_path / 'run')!r}), say_every=1))\n"
        f"torch.save(trainer.model.generator.state_dict(), Path({str(tmp_path)!r}) / ('rank' + os.environ['RANK'] + '.pt'))\n"
    )
    (tmp_path / "program.py").write_text(program)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "29713"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, Path(__file__).parents[1:3])), "OMP_NUM_THREADS": "1"}
    result = subprocess.run([*launcher, str(tmp_path / "program.py")], env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-2000:]
    one, other = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in range(2))
    trained = [name for name in one if not name.endswith(("running_mean", "running_var"))]
    assert all(torch.equal(one[name], other[name]) for name in trained)
    assert len(lines(tmp_path / "run")) == 6
