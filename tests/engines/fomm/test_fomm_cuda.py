"""The neural engine on a GPU: what the CPU computes, from many threads, in half precision, without memory, and with NaN."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fomm_models import lively
from gpu_fixtures import accelerator, face_crops, only_on_cuda, psnr, smooth_images

from livepuppet.engines.fomm import FommEngine
from livepuppet.engines.fomm.export.exporter import HALF_KEYPOINT_TOLERANCE, HALF_PSNR_DB, ExportResult, export_model
from livepuppet.engines.fomm.model_store import ModelDirectory
from livepuppet.engines.fomm.networks.checkpoint import load_checkpoint, load_configuration
from livepuppet.engines.fomm.runtime.interface import FommRuntime
from livepuppet.engines.fomm.runtime.loading import load_runtime
from livepuppet.engines.fomm.runtime.providers import load_onnxruntime
from livepuppet.engines.fomm.runtime.torchscript import TorchScriptFommRuntime
from livepuppet.types import Image, Tuning

pytestmark = pytest.mark.cuda

SHIPPED = Path(__file__).parents[3] / "models" / "fomm-synth-256"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        patch.setenv("LIVEPUPPET_MODELS", str(home))
        yield home


@pytest.fixture(scope="module")
def exported(models: Path) -> ExportResult:
    return export_model(lively(), "tiny", formats=("onnx", "torchscript"), target="gpu")


@pytest.fixture(scope="module")
def shipped(models: Path) -> ModelDirectory:
    """The shipped weights as TorchScript."""
    model = load_checkpoint(SHIPPED / "model.pth.tar", configuration=load_configuration(SHIPPED / "model.yaml"))
    return export_model(model, "shipped", formats=("torchscript",), target="gpu").directory


def on_device(directory: ModelDirectory, kind: str) -> FommRuntime:
    device = accelerator()
    if kind == "onnx" and device.type == "cuda" and "CUDAExecutionProvider" not in load_onnxruntime().get_available_providers():
        pytest.skip("the ONNX Runtime here was built without CUDA")
    runtime = load_runtime(directory, kind, device.type)
    assert device.type == "cpu" or not runtime.device.startswith("cpu"), runtime.device
    return runtime


def on_cpu(directory: ModelDirectory) -> FommRuntime:
    return load_runtime(directory, "torchscript", "cpu")


@pytest.mark.parametrize("kind", ["torchscript", "onnx"])
def test_the_gpu_computes_what_the_cpu_does(exported: ExportResult, kind: str) -> None:
    ours, theirs = on_device(exported.directory, kind), on_cpu(exported.directory)
    portrait, *driving = smooth_images(4, 64)
    mine, other = ours.prepare(portrait), theirs.prepare(portrait)
    assert np.abs(mine.value - other.value).max() < HALF_KEYPOINT_TOLERANCE
    start = theirs.detect(driving[0])
    for image in driving:
        seen, known = ours.detect(image), theirs.detect(image)
        assert np.abs(seen[0] - known[0]).max() < HALF_KEYPOINT_TOLERANCE
        shown = ours.render(mine, *known, reference=start, scale=0.9)
        wanted = theirs.render(other, *known, reference=start, scale=0.9)
        assert shown.finite and psnr(shown.image, wanted.image) > HALF_PSNR_DB
        assert np.abs(shown.deformation - wanted.deformation).max() < 3 * HALF_KEYPOINT_TOLERANCE
        assert np.abs(shown.occlusion - wanted.occlusion).max() < 3 * HALF_KEYPOINT_TOLERANCE
    ours.close()
    theirs.close()


def test_half_precision_shows_what_single_does(shipped: ModelDirectory) -> None:
    """The shipped weights on faces: half precision on the GPU against single precision on the CPU."""
    ours, theirs = on_device(shipped, "torchscript"), on_cpu(shipped)
    portrait, *driving = face_crops(256)[:5]
    mine, other = ours.prepare(portrait), theirs.prepare(portrait)
    for image in driving:
        seen, known = ours.detect(image), theirs.detect(image)
        assert np.abs(seen[0] - known[0]).max() < HALF_KEYPOINT_TOLERANCE
        assert psnr(ours.render(mine, *seen).image, theirs.render(other, *known).image) > HALF_PSNR_DB
    ours.close()
    theirs.close()


@pytest.mark.parametrize("kind", ["torchscript", "onnx"])
def test_many_threads_get_what_one_would(exported: ExportResult, kind: str) -> None:
    """Other motions in every thread, and two portraits in turn: a CUDA graph has one set of buffers."""
    runtime = on_device(exported.directory, kind)
    images = smooth_images(4, 64)
    sources = [runtime.prepare(image) for image in images[:2]]
    value, jacobian = runtime.detect(images[2])
    work = [(sources[i % 2], value + np.float32(0.02 * i)) for i in range(32)]
    alone = [runtime.render(source, moved, jacobian).image for source, moved in work]
    seen = [runtime.detect(image)[0] for image in images]
    assert not np.array_equal(alone[0], alone[2])
    with ThreadPoolExecutor(8) as pool:
        pictures = pool.map(lambda one: runtime.render(one[0], one[1], jacobian).image, work)
        points = pool.map(lambda i: runtime.detect(images[i % 4])[0], range(32))
        together, found = list(pictures), list(points)
    assert all(psnr(one, other) > 50 for one, other in zip(alone, together, strict=True))  # a GPU may add in another order
    assert all(np.abs(found[i] - seen[i % 4]).max() < 1e-3 for i in range(32))
    runtime.close()


def body_model(directory: ModelDirectory, folder: Path) -> str:
    """The model as one that is shown the whole picture: it needs no face, and so no MediaPipe."""
    shutil.copytree(directory.path, folder)
    (folder / "model.json").write_text(replace(directory.manifest, crop="none", name="whole").text())
    return f"{folder}@torchscript"


def film(engine: FommEngine, portrait: Image, driving: list[Image], threads: int) -> list[Image]:
    """As `livepuppet render` does it: observed in order, drawn by several threads at once."""
    avatar = engine.prepare(portrait)
    motions = [motion for image in driving if (motion := engine.observe(image)) is not None]
    moved = [engine.transfer(avatar, motions[0], motion, Tuning()) for motion in motions]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda motion: engine.render(avatar, motion, Tuning()), moved))


def test_a_film_drawn_by_several_threads(shipped: ModelDirectory, tmp_path: Path) -> None:
    device = accelerator()
    model = body_model(shipped, tmp_path / "whole")
    portrait, *driving = face_crops(256)
    films = {}
    for name, threads in ((device.type, 1), (device.type, 4), ("cpu", 1)):
        engine = FommEngine(name, model)
        films[name, threads] = film(engine, portrait, driving, threads)
        engine.close()
    alone, together, wanted = films[device.type, 1], films[device.type, 4], films["cpu", 1]
    assert len(alone) == len(driving) and not np.array_equal(alone[-1], portrait)
    assert all(psnr(one, other) > 50 for one, other in zip(alone, together, strict=True))
    assert all(psnr(one, other) > HALF_PSNR_DB for one, other in zip(alone, wanted, strict=True))


@pytest.mark.parametrize("kind", ["torchscript", "onnx"])
def test_nan_is_noticed_and_gone_with_the_next_frame(exported: ExportResult, kind: str) -> None:
    runtime = on_device(exported.directory, kind)
    portrait, driving = smooth_images(2, 64)
    prepared = runtime.prepare(portrait)
    value, jacobian = runtime.detect(driving)
    good = runtime.render(prepared, value, jacobian)
    assert not runtime.render(prepared, value * np.float32("nan"), jacobian).finite
    again = runtime.render(prepared, value, jacobian)
    assert good.finite and again.finite and psnr(good.image, again.image) > 50
    runtime.close()


def test_without_memory_the_cpu_goes_on(exported: ExportResult, caplog: pytest.LogCaptureFixture) -> None:
    """PyTorch is allowed next to nothing of the GPU: the first CUDA graph cannot be recorded."""
    only_on_cuda()
    runtime = load_runtime(exported.directory, "torchscript", "cuda")
    assert isinstance(runtime, TorchScriptFommRuntime)
    theirs = on_cpu(exported.directory)
    portrait, driving = smooth_images(2, 64)
    prepared, known = runtime.prepare(portrait), theirs.detect(driving)
    wanted = theirs.render(theirs.prepare(portrait), *known)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-6)
    try:
        shown = runtime.render(prepared, *known)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert np.abs(shown.image.astype(int) - wanted.image).max() <= 1
    assert runtime.device.startswith("cpu")
    assert [message for message in caplog.messages if "no memory left: computing on the CPU from here on" in message]
    runtime.close()
    theirs.close()
