"""The First Order Motion Model networks: golden values of the original, strict layouts, properties of the equations."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fomm_models import TINY, layout, lively, write_checkpoint
from media import shared_path
from torch import Tensor

from livepuppet.engines.fomm.networks import checkpoint
from livepuppet.engines.fomm.networks.configuration import Configuration
from livepuppet.engines.fomm.networks.generator import resize_map
from livepuppet.engines.fomm.networks.keypoints import Keypoints, inverse_jacobians, jacobian_product, relative_keypoints
from livepuppet.engines.fomm.networks.layers import coordinate_grid, grid_sample
from livepuppet.errors import ModelError

GOLDEN = Path(__file__).parents[2] / "golden"
SHAPES = json.loads((GOLDEN / "fomm_shapes.json").read_text())
PUBLISHED = sorted(SHAPES["models"])
TOLERANCE = 1e-4


def published_shapes(name: str) -> dict[str, tuple[int, ...]]:
    merged = {**SHAPES["tensors"], **SHAPES["models"][name]["other_shapes"]}
    return {key: tuple(shape) for key, shape in merged.items()}


def shapes_of(model: checkpoint.FommModel) -> dict[str, tuple[int, ...]]:
    networks = {"generator": model.generator, "kp_detector": model.detector}
    return {f"{part}.{name}": tuple(t.shape) for part, network in networks.items() for name, t in network.state_dict().items()}


def test_eight_models_are_known() -> None:
    assert len(PUBLISHED) == 8


@pytest.mark.parametrize("name", PUBLISHED)
def test_layout_of_published_models(name: str) -> None:
    """Every tensor of the published checkpoint has its place, and there is no place without a tensor."""
    with torch.device("meta"):
        model = checkpoint.build_model(Configuration.parse(SHAPES["models"][name]))
    assert shapes_of(model) == published_shapes(name)


@pytest.mark.parametrize("name", PUBLISHED)
def test_configuration_is_inferred_from_shapes(name: str) -> None:
    inferred = Configuration.infer(published_shapes(name))
    parsed = Configuration.parse(SHAPES["models"][name])
    with torch.device("meta"):
        assert shapes_of(checkpoint.build_model(inferred)) == published_shapes(name)
    assert inferred.single_jacobian == parsed.single_jacobian
    assert (inferred.temperature, inferred.size, inferred.keypoints) == (parsed.temperature, parsed.size, parsed.keypoints)


@pytest.mark.parametrize("name", PUBLISHED)
def test_shapes_agree_with_the_original_list(name: str) -> None:
    theirs = json.loads(shared_path("golden/fomm/state_dict_shapes.json").read_text())[name]
    assert published_shapes(name) == {f"{part}.{key}": tuple(s) for part in checkpoint.PARTS for key, s in theirs[part].items()}


def hull_area(value: Tensor) -> float:
    import cv2

    return float(cv2.contourArea(cv2.convexHull(value[0].numpy())))


@pytest.mark.parametrize("align_corners", [True, False], ids=["aligned", "unaligned"])
@pytest.mark.parametrize("name", ["vox-256-tiny", "bair-256-tiny", "mgif-256-tiny"])
def test_parity_with_the_original(name: str, align_corners: bool) -> None:
    """Keypoints, jacobians, masks, occlusion, deformed source and prediction within 1e-4, absolute, relative and adapted.

    The deformed source is compared from the original's own keypoints. A keypoint's rounding, 1e-6 to 4e-5 by processor (the original's
    differ from exact arithmetic by 1e-5), times the steepness of the test pictures would decide it otherwise.
    """
    folder = shared_path("golden/fomm")
    golden = {key: torch.from_numpy(value) for key, value in np.load(folder / f"{name}.npz").items()}
    configuration = checkpoint.load_configuration(folder / f"{name}.yaml")
    model = checkpoint.load_checkpoint(folder / f"{name}-cpk.pth.tar", configuration=configuration, align_corners=align_corners)
    compared = set()

    def same(key: str, tensor: Tensor) -> None:
        assert (tensor - golden[key]).abs().max() < TOLERANCE, key
        compared.add(key)

    with torch.no_grad():
        source, initial, driving = (model.detector(golden[key]) for key in ("source", "initial", "driving"))
        scale = (hull_area(source.value) / hull_area(initial.value)) ** 0.5
        for label, points in (("kp_source", source), ("kp_initial", initial), ("kp_driving", driving)):
            same(f"{label}.value", points.value)
            same(f"{label}.jacobian", points.jacobian)
        modes = {
            "absolute": driving,
            "relative": relative_keypoints(source, initial, driving, torch.tensor(1.0)),
            "relative_adapt": relative_keypoints(source, initial, driving, torch.tensor(scale)),
        }
        for mode, points in modes.items():
            same(f"{mode}.kp.value", points.value)
            same(f"{mode}.kp.jacobian", points.jacobian)
            generated = model.generator(golden["source"], source, points)
            prefix = f"{mode}.align_{str(align_corners).lower()}"
            same(f"{prefix}.prediction", generated.prediction)
            if mode == "relative":
                same(f"{prefix}.mask", generated.motion.mask)
                same(f"{prefix}.occlusion_map", generated.motion.occlusion)
                size = (golden["source"].shape[2], golden["source"].shape[3])
                theirs = [Keypoints(golden[f"{label}.value"], golden[f"{label}.jacobian"]) for label in ("kp_source", f"{mode}.kp")]
                deformation = model.generator(golden["source"], *theirs).motion.deformation
                flow = resize_map(deformation.permute(0, 3, 1, 2), size).permute(0, 2, 3, 1)
                same(f"{prefix}.deformed", grid_sample(golden["source"], flow, align_corners))
    other = f"align_{str(not align_corners).lower()}"
    assert compared == {key for key in golden if key not in {"source", "initial", "driving"} and other not in key}


def golden_motion() -> dict[str, Keypoints]:
    numbers: dict[str, list[float]] = json.loads((GOLDEN / "fomm_motion.json").read_text())
    return {
        name: Keypoints(torch.tensor(numbers[f"{name}.value"]).view(1, -1, 2), torch.tensor(numbers[f"{name}.jacobian"]).view(1, -1, 2, 2))
        for name in ("kp_source", "kp_initial", "kp_driving", "relative.kp", "relative_adapt.kp")
    }


@pytest.mark.parametrize("mode", ["relative", "relative_adapt"])
def test_relative_motion_golden(mode: str) -> None:
    golden = golden_motion()
    source, initial = golden["kp_source"], golden["kp_initial"]
    scale = (hull_area(source.value) / hull_area(initial.value)) ** 0.5 if mode == "relative_adapt" else 1.0
    moved = relative_keypoints(source, initial, golden["kp_driving"], torch.tensor(scale))
    assert torch.allclose(moved.value, golden[f"{mode}.kp"].value, atol=1e-5)
    assert torch.allclose(moved.jacobian, golden[f"{mode}.kp"].jacobian, atol=1e-5)


def test_absolute_motion_is_relative_to_the_source() -> None:
    golden = golden_motion()
    moved = relative_keypoints(golden["kp_source"], golden["kp_source"], golden["kp_driving"], torch.tensor(1.0))
    assert torch.allclose(moved.value, golden["kp_driving"].value, atol=1e-6)
    assert torch.allclose(moved.jacobian, golden["kp_driving"].jacobian, atol=1e-5)


def test_inverse_and_product() -> None:
    torch.manual_seed(3)
    matrices = torch.randn(5, 7, 2, 2)
    assert torch.allclose(inverse_jacobians(matrices), torch.linalg.inv(matrices), atol=1e-4)
    assert torch.allclose(jacobian_product(matrices, matrices.flip(0)), matrices @ matrices.flip(0), atol=1e-6)


def test_inverse_of_a_singular_matrix_is_finite() -> None:
    assert torch.isfinite(inverse_jacobians(torch.tensor([[[1.0, 2.0], [2.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]]))).all()


def test_grid_has_its_corners_at_one() -> None:
    grid = coordinate_grid(3, 5, torch.device("cpu"))
    assert grid.shape == (3, 5, 2)
    assert grid[0, 0].tolist() == [-1, -1] and grid[2, 4].tolist() == [1, 1] and grid[1, 2].tolist() == [0, 0]


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("align_corners", [True, False], ids=["aligned", "unaligned"])
def test_modules_script_and_agree(align_corners: bool) -> None:
    model = lively(align_corners=align_corners)
    images = torch.rand(2, 3, 64, 64)
    detector, generator = torch.jit.script(model.detector), torch.jit.script(model.generator)
    with torch.no_grad():
        source, driving = model.detector(images), detector(images.flip(0))
        eager = model.generator(images, source, Keypoints(*driving))
        scripted = generator(images, Keypoints(*detector(images)), Keypoints(*driving))
    assert torch.allclose(eager.prediction, scripted[0], atol=1e-6)


def test_modules_hold_no_state() -> None:
    """The same call twice gives the same, whatever came between; nothing but weights is on the module afterwards."""
    model = lively()
    first, second = torch.rand(2, 1, 3, 64, 64)
    with torch.no_grad():
        source = model.detector(first)
        before = model.generator(first, source, source).prediction
        names = set(vars(model.generator)) | set(vars(model.detector))
        model.generator(second, model.detector(second), source)
        assert torch.equal(before, model.generator(first, source, source).prediction)
    assert names == set(vars(model.generator)) | set(vars(model.detector))


@pytest.mark.parametrize("change", [{"jacobian": False}, {"occlusion": False}, {"single_jacobian": True}], ids=str)
def test_variants_are_built_inferred_and_run(change: dict[str, bool], tmp_path: Path) -> None:
    configuration = replace(TINY, **change)  # type: ignore[arg-type]
    path = write_checkpoint(tmp_path, lively(configuration))
    model = checkpoint.load_checkpoint(path)
    assert replace(model.configuration, size=64) == configuration
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        points = model.detector(images)
        prediction = model.generator(images, points, points).prediction
    assert points.jacobian.shape == (1, 6, 2, 2) and prediction.shape == (1, 3, 64, 64)
    if "jacobian" in change:
        assert torch.equal(points.jacobian, torch.eye(2).expand(1, 6, 2, 2))


def test_checkpoint_round_trip(tmp_path: Path) -> None:
    model = lively()
    path = write_checkpoint(tmp_path, model)
    configuration = checkpoint.load_configuration(tmp_path / "tiny.yaml")
    assert configuration == TINY
    loaded = checkpoint.load_checkpoint(path, configuration=configuration, align_corners=False)
    assert not loaded.align_corners and not loaded.generator.training
    for name, tensor in model.generator.state_dict().items():
        assert torch.equal(tensor, loaded.generator.state_dict()[name])


def test_half_precision_checkpoints_load_as_float32(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path)
    content = torch.load(path, weights_only=True)
    for part in checkpoint.PARTS:
        content[part] = {name: t.half() if t.is_floating_point() else t for name, t in content[part].items()}
    torch.save(content, path)
    assert checkpoint.load_checkpoint(path).generator.final.weight.dtype == torch.float32


def test_a_pickle_with_code_is_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (marker,))

    for path, write in ((tmp_path / "a.pth.tar", torch.save), (tmp_path / "b.pth.tar", _plain_pickle)):
        write({"generator": Evil(), "kp_detector": {}}, path)
        with pytest.raises(ModelError, match="not read"):
            checkpoint.load_checkpoint(path)
    assert not marker.exists()


def _plain_pickle(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(content))


@pytest.mark.parametrize("keep", [0.0, 0.2, 0.9, 0.999])
def test_truncated_checkpoints(keep: float, tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(ModelError, match="no readable checkpoint"):
        checkpoint.load_checkpoint(path)


@pytest.mark.parametrize("content", [b"hello", b"\x89PNG\r\n\x1a\n" + b"0" * 400, b"<html>404</html>", b"PK\x03\x04" + b"\0" * 90])
def test_files_that_are_no_checkpoint(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x-cpk.pth.tar"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="no readable checkpoint"):
        checkpoint.load_checkpoint(path)


def test_checkpoints_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    for content, message in (
        ({"state_dict": {}}, "should hold generator and kp_detector"),
        (torch.zeros(3), "should hold generator and kp_detector"),
        ({"generator": {"a": torch.zeros(1)}, "kp_detector": {}}, "lacks the tensor"),
        ({"generator": {"a": 5}, "kp_detector": {}}, "other than named tensors"),
    ):
        torch.save(content, path)
        with pytest.raises(ModelError, match=message):
            checkpoint.load_checkpoint(path)
    with pytest.raises(ModelError, match="no checkpoint at"):
        checkpoint.load_checkpoint(tmp_path / "nowhere.pth.tar")


def test_missing_extra_and_misshapen_tensors(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path)
    good = torch.load(path, weights_only=True)
    name = "bottleneck.r1.conv2.weight"

    def changed(**tensors: Tensor | None) -> None:
        generator = {**good["generator"], **{key.replace("__", "."): t for key, t in tensors.items()}}
        torch.save({**good, "generator": {key: t for key, t in generator.items() if t is not None}}, path)

    changed(**{name.replace(".", "__"): None})
    with pytest.raises(ModelError, match=f"generator lacks {name}"):
        checkpoint.load_checkpoint(path, configuration=TINY)
    changed(**{name.replace(".", "__"): torch.zeros(32, 32, 1, 1)})
    with pytest.raises(ModelError, match=r"r1\.conv2\.weight is \(32, 32, 1, 1\), not \(32, 32, 3, 3\)"):
        checkpoint.load_checkpoint(path)
    changed(surplus=torch.zeros(2))
    with pytest.raises(ModelError, match="also holds surplus"):
        checkpoint.load_checkpoint(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2", "no YAML file"),
        ("just words", "not laid out"),
        ("model_params: {common_params: {num_kp: 3}}", "no entry 'kp_detector_params'"),
        ("model_params: 7", "not laid out"),
        ("!!python/object/apply:os.system ['true']", "no YAML file"),
    ],
)
def test_bad_configurations(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(ModelError, match=message):
        checkpoint.load_configuration(path)


def test_a_strange_scale_is_refused() -> None:
    tree = layout(TINY)
    tree["model_params"]["kp_detector_params"]["scale_factor"] = 0.3
    with pytest.raises(ModelError, match=r"scale_factor 0\.3"):
        Configuration.parse(tree)
