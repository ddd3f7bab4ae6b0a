"""`livepuppet models`, as a person runs it: import, list, verify, remove, and one line for every mistake."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from fomm_models import TINY, lively, write_checkpoint
from media import shared_path

from livepuppet.cli import main
from livepuppet.engines.fomm import model_store as artifacts
from livepuppet.engines.fomm.export.card import model_cost
from livepuppet.engines.fomm.networks.checkpoint import build_model
from livepuppet.engines.fomm.networks.configuration import Configuration
from livepuppet.models import default_name


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIVEPUPPET_MODELS", str(tmp_path / "home"))
    return tmp_path / "home"


def test_import_list_verify_remove(tmp_path: Path, own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_checkpoint(tmp_path)
    arguments = ["models", "import", str(path), "--config", str(tmp_path / "tiny.yaml"), "--format", "onnx,torchscript"]
    assert main(arguments) == 0
    card = capsys.readouterr().out
    assert "# tiny" in card and "onnx: keypoints within" in card and "torchscript: keypoints within" in card
    assert artifacts.sha256(path) in card and "livepuppet --engine fomm --model tiny" in card

    manifest = artifacts.find_model("tiny").manifest
    assert (manifest.size, manifest.keypoints, manifest.channels, manifest.align_corners) == (64, 6, 3, True)
    assert manifest.crop == "face" and manifest.provenance["sha256"] == artifacts.sha256(path)
    assert manifest.ranges["image"] == (0.0, 255.0)
    assert set(manifest.files) == {"prepare.onnx", "animate.onnx", "prepare.torchscript", "animate.torchscript", "CARD.md"}

    assert main(["models", "list"]) == 0
    assert "tiny-cpk.pth.tar" in capsys.readouterr().out
    assert main(["models", "verify", "tiny"]) == 0
    assert "onnx: loads and runs" in capsys.readouterr().out
    assert main(["models", "where"]) == 0
    assert str(own_home) in capsys.readouterr().out
    assert main(["models", "remove", "tiny"]) == 0
    assert list(own_home.iterdir()) == []


def test_what_is_inferred_and_chosen(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path, lively(replace(TINY, size=256)), "taichi-adv")
    assert main(["models", "import", str(path), "--no-align-corners", "--half", "--licence", "CC0-1.0"]) == 0
    manifest = artifacts.find_model("taichi-adv").manifest
    assert (manifest.size, manifest.crop, manifest.align_corners, manifest.precision) == (256, "none", False, "float16")
    assert manifest.licence == "CC0-1.0" and manifest.margin == 1.9


def test_half_precision_is_half_the_size(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path)
    for arguments in (["--name", "whole"], ["--name", "half", "--half"]):
        assert main(["models", "import", str(path), "--config", str(tmp_path / "tiny.yaml"), *arguments]) == 0
    sizes = {name: sum(e.bytes for e in artifacts.find_model(name).manifest.files.values()) for name in ("whole", "half")}
    assert sizes["half"] < 0.62 * sizes["whole"]


@pytest.mark.parametrize("wanted", ["cpu", "gpu"])
def test_graphs_are_shaped_for_their_device(wanted: str, tmp_path: Path) -> None:
    """Wide residual blocks multiply matrices on a CPU; on a GPU they stay the convolutions that its library knows."""
    wide = replace(TINY, block_expansion=32, max_features=128, bottleneck_blocks=1)
    path = write_checkpoint(tmp_path, lively(wide))
    assert main(["models", "import", str(path), "--config", str(tmp_path / "tiny.yaml"), "--for", wanted]) == 0
    graph = onnx.load(artifacts.find_model("tiny").path / "animate.onnx").graph
    rendering = next(attribute.g for attribute in graph.node[1].attribute if attribute.name == "then_branch")
    inner = [node for node in rendering.node if node.op_type == "Conv"]
    grouped = [node for node in inner if any(a.name == "group" and a.i == 6 for a in node.attribute)]
    assert len(grouped) == (2 if wanted == "cpu" else 0)
    assert main(["models", "verify", "tiny"]) == 0


class Evil:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.marker,))


def test_bad_checkpoints_are_one_line_and_leave_nothing(tmp_path: Path, own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = write_checkpoint(tmp_path)
    content = good.read_bytes()
    marker = tmp_path / "ran"
    (tmp_path / "words.tar").write_text("not a checkpoint")
    (tmp_path / "short.pth.tar").write_bytes(content[: len(content) // 2])
    torch.save({"generator": Evil(marker), "kp_detector": {}}, tmp_path / "evil.pth.tar")
    (tmp_path / "plain.pth.tar").write_bytes(pickle.dumps(Evil(marker), protocol=2))
    torch.save({"state_dict": {}}, tmp_path / "other.pth")
    changed = torch.load(good, weights_only=True)
    changed["generator"]["final.weight"] = torch.zeros(3, 9, 7, 7)
    torch.save(changed, tmp_path / "shapes.pth.tar")
    (tmp_path / "bad.yaml").write_text("model_params: 5")
    for arguments, message in (
        ([tmp_path / "words.tar"], "is no readable checkpoint"),
        ([tmp_path / "short.pth.tar"], "cut short while downloading"),
        ([tmp_path / "evil.pth.tar"], "may be code"),
        ([tmp_path / "plain.pth.tar"], "may be code"),
        ([tmp_path / "other.pth"], "it should hold generator and kp_detector"),
        ([tmp_path / "shapes.pth.tar"], "final.weight is (3, 9, 7, 7), not (3, 8, 7, 7)"),
        ([good, "--config", tmp_path / "bad.yaml"], "not laid out"),
        ([good, "--config", tmp_path / "none.yaml"], "cannot read the configuration"),
        ([good, "--name", "../up"], "cannot be a model's name"),
        ([good, "--format", "tflite"], "choose onnx, torchscript"),
        ([tmp_path / "nowhere.pth.tar"], "no checkpoint at"),
    ):
        assert main(["models", "import", *map(str, arguments)]) in {1, 2}
        lines = capsys.readouterr().err.splitlines()
        assert message in lines[-1], lines
        assert not any("Traceback" in line for line in lines)
    assert not marker.exists()
    assert not own_home.exists() or list(own_home.iterdir()) == []


def test_an_artefact_that_disagrees_is_not_kept(
    tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from livepuppet.engines.fomm.export import folding

    monkeypatch.setattr(folding, "doubling", lambda: torch.zeros(9, 16))
    assert main(["models", "import", str(write_checkpoint(tmp_path))]) == 1
    assert "does not do what the checkpoint does" in capsys.readouterr().err
    assert list(own_home.iterdir()) == []


def test_verify_sees_what_was_altered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "import", str(write_checkpoint(tmp_path)), "--config", str(tmp_path / "tiny.yaml")]) == 0
    path = artifacts.find_model("tiny").path / "CARD.md"
    path.write_text(path.read_text().replace("PyTorch", "pytorch"))
    assert main(["models", "verify", "tiny"]) == 1
    assert "CARD.md has been altered" in capsys.readouterr().err


def test_pull_wants_an_address_and_a_hash(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", "something"]) == 2
    assert "--from URL --sha256 HEX" in capsys.readouterr().err


def test_a_known_name_with_another_content_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_checkpoint(tmp_path).rename(tmp_path / "vox-adv-cpk.pth.tar")
    assert main(["models", "import", str(path), "--config", str(tmp_path / "tiny.yaml")]) == 0
    assert "usually has the md5 8a45a24037871c045fbb8a6a8aa95ebc" in capsys.readouterr().err
    assert artifacts.find_model("vox-adv").manifest.crop == "face"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("vox-adv-cpk.pth.tar", "vox-adv"), ("my model (1).pth", "my-model-1"), ("00000099-checkpoint.pth.tar", "00000099-checkpoint")],
)
def test_names_from_file_names(name: str, expected: str) -> None:
    assert default_name(Path(name)) == expected


def test_cost_of_the_published_models() -> None:
    """110 GFLOP per frame when the encoder runs every time, 89 without it."""
    once, frame = model_cost(build_model(Configuration()))
    assert 20 < once - 2.6 < 21.5 and 87 < frame < 91


@pytest.mark.slow
def test_the_synthetic_model_imports(capsys: pytest.CaptureFixture[str]) -> None:
    folder = shared_path("models/fomm-synth-256")
    arguments = ["--config", str(folder / "fomm-synth-256.yaml")]
    assert main(["models", "import", str(folder / "fomm-synth-256.pth.tar"), *arguments]) == 0
    assert "2.20 million parameters" in capsys.readouterr().out
    model = artifacts.find_model("fomm-synth-256")
    assert model.manifest.provenance["sha256"] == "94d43d15d8a3d91ba51bdecece479a3d7259da9146d4e9f4708be85bc9c5e221"
    assert np.isclose(model.manifest.size, 256)


@pytest.mark.slow
def test_an_int8_form_is_made_compared_and_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import cv2

    clip = tmp_path / "clip.avi"
    video = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 10, (96, 96))
    rows = np.add.outer(np.arange(96), np.arange(96))
    for index in range(8):
        video.write(np.stack((rows + 9 * index, rows[::-1] + 5 * index, rows[:, ::-1]), -1).astype(np.uint8))
    video.release()
    path = write_checkpoint(tmp_path, lively(replace(TINY, block_expansion=16)))
    arguments = ["models", "import", str(path), "--config", str(tmp_path / "tiny.yaml"), "--crop", "none", "--int8", str(clip)]
    assert main(arguments) == 0
    assert "onnx-int8: keypoints within" in capsys.readouterr().out
    model = artifacts.find_model("tiny")
    assert model.manifest.graphs["onnx-int8"] == {"prepare": "prepare.onnx", "animate": "animate-int8.onnx"}
    rendering = next(a.g for a in onnx.load(model.path / "animate-int8.onnx").graph.node[1].attribute if a.name == "then_branch")
    assert sum(node.op_type == "QuantizeLinear" for node in rendering.node) > 10
    assert main(["models", "verify", "tiny"]) == 0
    assert "onnx-int8: loads and runs (cpu, int8" in capsys.readouterr().out
    assert main([*arguments[:-1], str(tmp_path / "none.mp4"), "--replace"]) == 2
    assert "no such video" in capsys.readouterr().err
