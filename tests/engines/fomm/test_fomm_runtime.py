"""ONNX Runtime and TorchScript: the same pictures as PyTorch, loud about devices, and safe against prepared models."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from fomm_models import TINY, lively
from onnx import TensorProto, helper

from livepuppet.engines.fomm import model_store as artifacts
from livepuppet.engines.fomm.export import graphs as written
from livepuppet.engines.fomm.export.exporter import ExportResult, export_model, reference_outputs
from livepuppet.engines.fomm.model_store import ModelDirectory
from livepuppet.engines.fomm.networks.keypoints import Keypoints, relative_keypoints
from livepuppet.engines.fomm.runtime import interface as read
from livepuppet.engines.fomm.runtime import onnx as onnx_runtime
from livepuppet.engines.fomm.runtime import providers, torchscript
from livepuppet.engines.fomm.runtime.external_data import external_files
from livepuppet.engines.fomm.runtime.interface import FommRuntime
from livepuppet.engines.fomm.runtime.loading import load_runtime
from livepuppet.engines.fomm.runtime.onnx import OnnxFommRuntime
from livepuppet.errors import ModelError, UsageError
from livepuppet.types import Image


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExportResult]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIVEPUPPET_MODELS", str(tmp_path_factory.mktemp("home")))
        yield export_model(lively(), "tiny", formats=("onnx", "torchscript"))


@pytest.fixture
def copy(exported: ExportResult, tmp_path: Path) -> Path:
    """The model's directory, to be damaged."""
    return Path(shutil.copytree(exported.directory.path, tmp_path / "tiny"))


@pytest.fixture(scope="module", params=["onnx", "torchscript"])
def loaded(request: pytest.FixtureRequest, exported: ExportResult) -> Iterator[FommRuntime]:
    made = load_runtime(exported.directory, request.param, "cpu")
    yield made
    made.close()


def images() -> tuple[Image, Image]:
    rows = np.add.outer(np.arange(64), np.arange(64))
    first = np.stack((rows, rows[::-1], rows[:, ::-1]), -1).astype(np.uint8)
    return first, np.ascontiguousarray(np.rot90(first * 2))


def reseal(path: Path) -> ModelDirectory:
    """A manifest that fits the files as they are now: what someone does who prepares a model."""
    tree = json.loads((path / "model.json").read_text())
    tree["files"] = {file.name: {"bytes": file.stat().st_size, "sha256": artifacts.sha256(file)} for file in path.glob("*.*")}
    tree["files"].pop("model.json")
    (path / "model.json").write_text(json.dumps(tree))
    return artifacts.read_manifest(path)


def test_both_sides_name_the_same_inputs_and_outputs() -> None:
    for name in ("PREPARE_INPUTS", "PREPARE_OUTPUTS", "DETECT_INPUTS", "DETECT_OUTPUTS", "RENDER_INPUTS", "RENDER_OUTPUTS"):
        assert getattr(written, name) == getattr(read, name)


def test_the_export_was_compared_with_pytorch(exported: ExportResult) -> None:
    assert [comparison.artefact for comparison in exported.comparisons] == ["onnx", "torchscript"]
    assert all(comparison.keypoints < 1e-4 and comparison.image <= 1 for comparison in exported.comparisons)


def test_keypoints_and_pictures_are_those_of_pytorch(loaded: FommRuntime) -> None:
    portrait, driving = images()
    expected = reference_outputs(lively(), (torch.from_numpy(portrait), torch.from_numpy(driving)))
    prepared = loaded.prepare(portrait)
    value, jacobian = loaded.detect(driving)
    rendered = loaded.render(prepared, value, jacobian)
    assert np.abs(prepared.value - expected["source_value"]).max() < 1e-4
    assert np.abs(value - expected["driving_value"]).max() < 1e-4
    assert np.abs(jacobian - expected["driving_jacobian"]).max() < 1e-4
    assert np.abs(rendered.image.astype(int) - expected["image"]).max() <= 1
    assert np.abs(rendered.deformation - expected["deformation"]).max() < 1e-4
    assert np.abs(rendered.occlusion - expected["occlusion"]).max() < 1e-4
    assert rendered.finite and rendered.image.dtype == np.uint8 and rendered.image.shape == (64, 64, 3)


def test_relative_motion_and_scale_are_inside_the_graph(loaded: FommRuntime) -> None:
    portrait, driving = images()
    prepared = loaded.prepare(portrait)
    start, now = loaded.detect(driving), loaded.detect(np.ascontiguousarray(driving[::-1]))
    source, initial, moved = (Keypoints(*map(torch.from_numpy, pair)) for pair in ((prepared.value, prepared.jacobian), start, now))
    target = relative_keypoints(source, initial, moved, torch.tensor(0.7))
    inside = loaded.render(prepared, *now, reference=start, scale=0.7)
    outside = loaded.render(prepared, target.value.numpy(), target.jacobian.numpy())
    assert np.abs(inside.image.astype(int) - outside.image).max() <= 1
    assert np.abs(inside.image.astype(int) - loaded.render(prepared, *now).image).max() > 2


def test_no_number_is_noticed(loaded: FommRuntime) -> None:
    prepared = loaded.prepare(images()[0])
    assert not loaded.render(prepared, prepared.value * np.float32("nan"), prepared.jacobian).finite


def test_a_portrait_prepared_by_another_session_is_prepared_again(exported: ExportResult, loaded: FommRuntime) -> None:
    other = load_runtime(exported.directory, "onnx", "cpu")
    portrait, driving = images()
    points = loaded.detect(driving)
    foreign = other.prepare(portrait)
    assert np.array_equal(loaded.render(foreign, *points).image, loaded.render(loaded.prepare(portrait), *points).image)
    other.close()
    other.close()


def test_the_device_is_said_as_it_is(loaded: FommRuntime) -> None:
    assert loaded.device.startswith("cpu, float32")


@pytest.mark.parametrize("kind", ["onnx", "torchscript"])
@pytest.mark.skipif(providers.nvidia_driver(), reason="this machine has an NVIDIA driver")
def test_a_missing_gpu_is_said_aloud(kind: str, exported: ExportResult, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "livepuppet"):
        made = load_runtime(exported.directory, kind, "cuda")
    assert made.device.startswith("cpu")
    assert len(caplog.messages) == 1 and "not on cuda: " in caplog.text and ("driver" in caplog.text or "CUDA" in caplog.text)
    made.close()


@pytest.mark.parametrize(
    ("build", "driver", "says"), [(None, True, "without CUDA"), ("13.0", False, "driver answers"), ("13.0", True, "does not fit")]
)
def test_pytorch_says_why_it_has_no_gpu(build: str | None, driver: bool, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.version.cuda", build)
    monkeypatch.setattr(torchscript, "nvidia_driver", lambda: driver)
    assert says in torchscript.why_no_cuda()


@pytest.mark.skipif(providers.nvidia_driver(), reason="this machine has an NVIDIA driver")
def test_automatic_without_a_gpu_is_quiet(exported: ExportResult, caplog: pytest.LogCaptureFixture) -> None:
    load_runtime(exported.directory, None, "auto").close()
    assert caplog.messages == []


def test_providers_by_preference(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = [*providers.PROVIDERS.values()]
    monkeypatch.setattr(providers, "nvidia_driver", lambda: True)
    assert providers.candidates("auto", everything) == [providers.PROVIDERS[name] for name in ("cuda", "directml", "coreml", "cpu")]
    assert providers.candidates("tensorrt", everything)[0] == "TensorrtExecutionProvider"
    assert providers.candidates("cpu", everything) == [providers.CPU]
    assert "pip install 'livepuppet[cuda]'" in providers.why_not("cuda", everything)
    assert "pip install onnxruntime-gpu" in providers.why_not("cuda", [providers.CPU])
    monkeypatch.setattr(providers, "nvidia_driver", lambda: False)
    assert "CUDAExecutionProvider" not in providers.candidates("auto", everything)
    assert "driver" in providers.why_not("cuda", everything)


def test_unknown_device_and_form(exported: ExportResult) -> None:
    with pytest.raises(UsageError, match="no device named 'gpu': choose one of auto, cpu"):
        load_runtime(exported.directory, None, "gpu")
    with pytest.raises(UsageError, match="has no onnx-int8 graphs, only onnx, torchscript"):
        load_runtime(exported.directory, "onnx-int8", "cpu")


class Exhausted:
    """A session on a GPU whose memory is gone: what ONNX Runtime raises then, without a GPU at hand."""

    def io_binding(self) -> Any:
        raise RuntimeError("CUDA failure 2: out of memory ; GPU=0 ; hostname=here")

    def run(self, *_: object) -> Any:
        return self.io_binding()


def test_out_of_memory_goes_on_with_the_cpu(exported: ExportResult, caplog: pytest.LogCaptureFixture) -> None:
    made = OnnxFommRuntime(exported.directory, "onnx", "cpu")
    portrait, driving = images()
    prepared = made.prepare(portrait)
    expected = made.render(prepared, *made.detect(driving)).image
    assert made._sessions is not None
    made._sessions = replace(made._sessions, animate=Exhausted(), provider="CUDAExecutionProvider", on_device=True)
    assert np.array_equal(made.render(prepared, *made.detect(driving)).image, expected)
    assert made.device.startswith("cpu")
    assert caplog.messages == ["cuda has no memory left: computing on the CPU from here on"]


class ExhaustedGraph:
    """A CUDA graph on a GPU whose memory is gone."""

    def replay(self, *_: object) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")


def without_memory(runtime: FommRuntime) -> None:
    """Make the next calls find a GPU that has no memory left."""
    if isinstance(runtime, OnnxFommRuntime):
        assert runtime._sessions is not None
        runtime._sessions = replace(runtime._sessions, animate=Exhausted(), provider="CUDAExecutionProvider", on_device=True)
    else:
        assert isinstance(runtime, torchscript.TorchScriptFommRuntime) and runtime._modules is not None
        spent: Any = ExhaustedGraph()
        runtime._modules = replace(runtime._modules, device=torch.device("cuda"), graphs={"detect": spent, "render": spent})


@pytest.mark.parametrize("memory", [True, False], ids=["enough memory", "no memory"])
@pytest.mark.parametrize("kind", ["onnx", "torchscript"])
def test_many_threads_get_what_one_would(exported: ExportResult, kind: str, memory: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Other motions in every thread, and two portraits in turn; without memory all threads find the device gone at once."""
    runtime = load_runtime(exported.directory, kind, "cpu")
    portrait, driving = images()
    sources = [runtime.prepare(portrait), runtime.prepare(driving)]
    value, jacobian = runtime.detect(driving)
    work = [(sources[i % 2], value + np.float32(0.02 * i)) for i in range(16)]
    alone = [runtime.render(source, moved, jacobian).image for source, moved in work]
    assert not np.array_equal(alone[0], alone[2])
    if not memory:
        without_memory(runtime)
        owner = runtime._sessions if isinstance(runtime, OnnxFommRuntime) else getattr(runtime, "_modules", None)
        work = [(replace(source, owner=owner), moved) for source, moved in work]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda one: runtime.render(one[0], one[1], jacobian).image, work))
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))
    assert len(caplog.messages) == (0 if memory else 1)
    runtime.close()


def test_nothing_is_reported_to_anybody(tmp_path: Path) -> None:
    """ONNX Runtime 1.31 keeps a device id and events for its maker in the user's folders, unless it was told not to before its import."""
    program = "from livepuppet.factory import open_engine; open_engine('fomm', 'cpu').close()"
    home = {name: str(tmp_path) for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")}
    kept = {name: value for name, value in os.environ.items() if name not in {"CI", "ORT_DISABLE_TELEMETRY"}}
    root = str(Path(__file__).parents[3])
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], env=kept | home | {"PYTHONPATH": root}, check=True, timeout=120)
    assert list(tmp_path.rglob("*")) == []


def test_other_failures_are_one_line(exported: ExportResult) -> None:
    made = OnnxFommRuntime(exported.directory, "onnx", "cpu")
    with pytest.raises(ModelError, match="ONNX Runtime failed"):
        made.detect(np.zeros((3, 3, 3), np.uint8))
    scripted = load_runtime(exported.directory, "torchscript", "cpu")
    scripted.close()
    made.close()


def test_a_damaged_file_is_not_loaded(copy: Path) -> None:
    (copy / "animate.onnx").write_bytes((copy / "animate.onnx").read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"animate\.onnx has \d+ bytes instead of"):
        load_runtime(artifacts.read_manifest(copy), "onnx", "cpu")


@pytest.mark.parametrize("kind", ["onnx", "torchscript"])
@pytest.mark.parametrize("content", [b"", b"no graph", b"\x08\x07", b"\xff" * 64])
def test_graphs_that_are_none(kind: str, content: bytes, copy: Path) -> None:
    (copy / f"animate.{kind}").write_bytes(content)
    with pytest.raises(ModelError, match=r"no ONNX file|cannot load") as refusal:
        load_runtime(reseal(copy), kind, "cpu")
    assert "\n" not in str(refusal.value)


def test_a_graph_with_other_input_names(copy: Path) -> None:
    model = onnx.load(copy / "animate.onnx")
    next(value for value in model.graph.input if value.name == "scale").name = "zoom"
    for node in model.graph.node:
        for attribute in node.attribute:
            for inner in attribute.g.node:
                inner.input[:] = ["zoom" if name == "scale" else name for name in inner.input]
    onnx.save(model, copy / "animate.onnx")
    with pytest.raises(ModelError, match=r"not a graph for livepuppet: its inputs are .*'zoom'.* should be .*'scale'"):
        load_runtime(reseal(copy), "onnx", "cpu")


def test_a_torchscript_of_something_else(copy: Path) -> None:
    shutil.copy(copy / "prepare.torchscript", copy / "animate.torchscript")
    with pytest.raises(ModelError, match="lacks the method detect"):
        load_runtime(reseal(copy), "torchscript", "cpu")


def test_a_graph_of_another_size(copy: Path) -> None:
    tree = json.loads((copy / "model.json").read_text())
    (copy / "model.json").write_text(json.dumps({**tree, "size": 128}))
    with pytest.raises(ModelError, match=r"the input portrait is \(64, 64, 3\), it should be \(128, 128, 3\)"):
        load_runtime(artifacts.read_manifest(copy), "onnx", "cpu")


def external(location: str, depth: int = 0) -> onnx.ModelProto:
    """A model whose one tensor says that its data lies in a file; inside `depth` branches of an If."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    graph = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "g", [], [output], [tensor])
    for level in range(depth):
        switch = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
        node = helper.make_node("If", ["c"], [f"y{level}"], then_branch=graph, else_branch=graph)
        graph = helper.make_graph([node], f"g{level}", [switch], [helper.make_tensor_value_info(f"y{level}", TensorProto.FLOAT, [4])])
    return helper.make_model(graph)


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_external_data_is_found(depth: int, tmp_path: Path) -> None:
    onnx.save_model(external("weights.bin", depth), tmp_path / "m.onnx")
    assert external_files(tmp_path / "m.onnx") == {"weights.bin"}


def test_graphs_without_external_data(exported: ExportResult) -> None:
    assert external_files(exported.directory.path / "animate.onnx") == set()


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hostname", "unlisted.bin"])
def test_external_data_cannot_leave_the_directory(location: str, copy: Path) -> None:
    (copy.parent / "secret.bin").write_bytes(b"0" * 16)
    onnx.save_model(external(location, 1), copy / "animate.onnx")
    directory = reseal(copy)
    (copy / "unlisted.bin").write_bytes(b"0" * 16)
    with pytest.raises(ModelError, match="which is not a listed file of its directory"):
        load_runtime(directory, "onnx", "cpu")


def test_external_data_behind_a_link_cannot_leave_either(copy: Path) -> None:
    (copy.parent / "secret.bin").write_bytes(b"0" * 16)
    (copy / "weights.bin").symlink_to(copy.parent / "secret.bin")
    onnx.save_model(external("weights.bin"), copy / "animate.onnx")
    with pytest.raises(ModelError, match="lies outside its directory"):
        load_runtime(reseal(copy), "onnx", "cpu")


def test_external_data_within_the_directory_is_read(copy: Path) -> None:
    model = onnx.load(copy / "prepare.onnx")
    onnx.save_model(model, copy / "prepare.onnx", save_as_external_data=True, location="prepare.data", size_threshold=1024)
    assert external_files(copy / "prepare.onnx") == {"prepare.data"}
    made = load_runtime(reseal(copy), "onnx", "cpu")
    assert made.prepare(images()[0]).value.shape == (1, TINY.keypoints, 2)
    made.close()


def test_sessions_do_not_spin(exported: ExportResult) -> None:
    session = onnx_runtime.open_onnx_session(exported.directory.path / "animate.onnx", [providers.CPU])
    assert session.get_session_options().get_session_config_entry("session.intra_op.allow_spinning") == "0"
