"""From a checkpoint to a model directory: exported, run, compared with the networks it came from, and described.

    export(model, "my-model", formats=("onnx",), half=True, provenance={...})

Nothing is left behind unless every artefact gave the same pictures as PyTorch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from livepuppet.engines.fomm.export.card import model_card
from livepuppet.engines.fomm.export.folding import fold_model
from livepuppet.engines.fomm.export.graphs import (
    ANIMATE_INPUTS,
    ANIMATE_OUTPUTS,
    DETECT_INPUTS,
    DETECT_OUTPUTS,
    PREPARE_INPUTS,
    PREPARE_OUTPUTS,
    RENDER_INPUTS,
    RENDER_OUTPUTS,
    Animate,
    Prepare,
)
from livepuppet.engines.fomm.export.onnx_files import Method, compact_graph, convert_to_half, join_graphs
from livepuppet.engines.fomm.export.onnx_files import export_onnx as export_onnx
from livepuppet.engines.fomm.export.quantisation import quantise
from livepuppet.engines.fomm.model_store import (
    MANIFEST,
    CropKind,
    Manifest,
    ModelDirectory,
    create_model_directory,
    file_entry,
    models_folder,
    read_manifest,
)
from livepuppet.engines.fomm.networks.checkpoint import FommModel
from livepuppet.errors import ModelError
from livepuppet.types import Image

Target = Literal["cpu", "gpu"]
Format = Literal["onnx", "torchscript"]
Arrays: TypeAlias = dict[str, NDArray[Any]]

CARD = "CARD.md"
RANGES = {"portrait": (0.0, 255.0), "driving": (0.0, 255.0), "image": (0.0, 255.0), "keypoints": (-1.0, 1.0)}
KEYPOINT_TOLERANCE = 2e-4
PICTURE_TOLERANCE = 2.0
"""Levels of 255: exact arithmetic differs by one where rounding falls the other way."""
HALF_KEYPOINT_TOLERANCE = 2e-2
INT8 = "onnx-int8"
INT8_PSNR_DB = 22.0
"""Below this it is not noise but a mistake."""
HALF_PSNR_DB = 35.0
"""Half-precision weights change the picture a little, by design: this little."""


@dataclass(frozen=True)
class Comparison:
    """How an artefact differs from PyTorch on the same pictures.

    Attributes:
        keypoints: largest difference, -1 … 1. picture: levels of 255.
    """

    artefact: str
    keypoints: float
    image: float
    psnr_db: float

    def __str__(self) -> str:
        return f"{self.artefact}: keypoints within {self.keypoints:.1e}, picture within {self.image:.0f} of 255 ({self.psnr_db:.0f} dB)"


@dataclass(frozen=True)
class ExportResult:
    """What came of it."""

    directory: ModelDirectory
    comparisons: tuple[Comparison, ...]


def export_model(
    model: FommModel,
    name: str,
    *,
    formats: Sequence[Format] = ("onnx",),
    half: bool = False,
    target: Target = "cpu",
    crop: CropKind = "face",
    margin: float = 1.9,
    provenance: Mapping[str, str] | None = None,
    licence: str = "",
    about: str = "",
    experimental: str = "",
    calibration: Sequence[Image] = (),
    replace: bool = False,
) -> ExportResult:
    """Make the model directory `name` among the person's own models.

    Args:
        calibration: pictures as the model will see them, uint8 (size, size, 3), two or more: then there is an int8 form for CPUs besides.
        half: store weights as float16.
        target: what the ONNX graphs are shaped for; Winograd's form pays on CPUs, GPU libraries have their own.

    Raises:
        ModelError: where an artefact disagrees with PyTorch.
    """
    examples = _examples(model.configuration.size)
    with create_model_directory(name, replace=replace) as folder:
        graphs: dict[str, dict[str, str]] = {}
        for kind in formats:
            folded = fold_model(model, winograd=target == "cpu" and kind == "onnx")
            prepare, animate = Prepare(folded).eval(), Animate(folded).eval()
            if kind == "onnx":
                graphs[kind] = _write_onnx(folder, prepare, animate, examples, half)
            else:
                graphs[kind] = _write_torchscript(folder, prepare, animate, half)
        if calibration:
            graphs[INT8] = _write_int8(folder, model, graphs.get("onnx"), calibration)
        files = {path.name: file_entry(path) for path in sorted(folder.iterdir())}
        manifest = Manifest(
            name=name,
            size=model.configuration.size,
            keypoints=model.configuration.keypoints,
            channels=model.configuration.channels,
            align_corners=model.align_corners,
            crop=crop,
            margin=margin,
            graphs=graphs,
            files=files,
            precision="float16" if half else "float32",
            ranges=RANGES,
            provenance=dict(provenance or {}),
            licence=licence,
            experimental=experimental,
        )
        # The int8 form is only good for pictures like those that it was calibrated on, so it is judged on two of those.
        shown = {kind: _pair(calibration) if kind == INT8 else examples for kind in graphs}
        comparisons = tuple(
            compare_artefacts(folder, manifest, kind, shown[kind], reference_outputs(model, shown[kind])) for kind in graphs
        )
        text = model_card(model, manifest, [str(comparison) for comparison in comparisons], about)
        (folder / CARD).write_text(text, encoding="utf-8")
        described = dataclasses.replace(manifest, files={**files, CARD: file_entry(folder / CARD)})
        (folder / MANIFEST).write_text(described.text(), encoding="utf-8")
    return ExportResult(read_manifest(models_folder() / name), comparisons)


def reference_outputs(model: FommModel, examples: Sequence[Tensor]) -> Arrays:
    """What the networks as they were loaded, unfolded, say of the example portrait and driving picture."""
    plain = FommModel(model.configuration, model.align_corners, model.detector.eval(), model.generator.eval())
    with torch.no_grad():
        prepared = Prepare(plain)(examples[0])
        animate = Animate(plain)
        motion = animate.detect(examples[1])
        outputs = animate(*_animate_inputs(examples[1], prepared, motion))
    return {key: tensor.numpy() for key, tensor in zip((*PREPARE_OUTPUTS, *ANIMATE_OUTPUTS), (*prepared, *outputs), strict=True)}


def compare_artefacts(folder: Path, manifest: Manifest, kind: str, examples: Sequence[Tensor], expected: Arrays) -> Comparison:
    """Run an artefact as the live path does and hold it against PyTorch.

    Raises:
        ModelError: where they differ too much.
    """
    from livepuppet.engines.fomm.runtime.loading import load_runtime

    graphs = load_runtime(ModelDirectory(folder, manifest), kind, "cpu")
    try:
        prepared = graphs.prepare(examples[0].numpy())
        value, jacobian = graphs.detect(examples[1].numpy())
        rendered = graphs.render(prepared, value, jacobian)
    finally:
        graphs.close()
    pairs = (
        (prepared.value, expected["source_value"]),
        (prepared.jacobian, expected["source_jacobian"]),
        (value, expected["driving_value"]),
        (jacobian, expected["driving_jacobian"]),
    )
    keypoints = max(float(np.abs(found - wanted).max()) for found, wanted in pairs)
    difference = rendered.image.astype(np.float64) - expected["image"].astype(np.float64)
    error = float((difference**2).mean())
    psnr = 10 * float(np.log10(255.0**2 / error)) if error else 99.0
    result = Comparison(kind, keypoints, float(np.abs(difference).max()), psnr)
    if kind == INT8:
        good = keypoints <= HALF_KEYPOINT_TOLERANCE and psnr >= INT8_PSNR_DB
    elif manifest.precision == "float32":
        good = keypoints <= KEYPOINT_TOLERANCE and result.image <= PICTURE_TOLERANCE
    else:
        good = keypoints <= HALF_KEYPOINT_TOLERANCE and psnr >= HALF_PSNR_DB
    if not (good and np.isfinite(keypoints)):
        raise ModelError(f"the exported model does not do what the checkpoint does ({result}): nothing was written")
    return result


def file_digests(path: Path) -> dict[str, str]:
    """Name, size, sha256 and md5 of the checkpoint, for the record (md5 because that is what people find published)."""
    content = path.read_bytes()
    return {
        "checkpoint": path.name,
        "bytes": str(len(content)),
        "sha256": hashlib.sha256(content).hexdigest(),
        "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
    }


def _examples(size: int) -> tuple[Tensor, Tensor]:
    """Two smooth pictures, reproducible: noise at a sixteenth of the size, enlarged. (A network need not be sane on white noise.)"""
    generator = torch.Generator().manual_seed(7)
    coarse = torch.rand(2, 3, max(2, size // 16), max(2, size // 16), generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False).clamp(0, 1)
    images = (smooth * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    return images[0], images[1]


def _pair(images: Sequence[Image]) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(images[0]), torch.from_numpy(images[len(images) // 2])


def _animate_inputs(driving: Tensor, prepared: Sequence[Tensor], motion: Sequence[Tensor]) -> tuple[Tensor, ...]:
    source = tuple(prepared[2:])
    return (driving, *prepared, *source, torch.tensor(1.0), *motion)


def _write_onnx(folder: Path, prepare: Prepare, animate: Animate, examples: Sequence[Tensor], half: bool) -> dict[str, str]:
    with torch.no_grad():
        prepared = prepare(examples[0])
        inputs = dict(zip(ANIMATE_INPUTS, _animate_inputs(examples[1], prepared, animate.detect(examples[1])), strict=True))
    export_onnx(prepare, (examples[0],), PREPARE_INPUTS, PREPARE_OUTPUTS, folder / "prepare.onnx")
    parts = []
    for method, switch, names, outputs in (
        ("detect", "detecting", DETECT_INPUTS, DETECT_OUTPUTS),
        ("render", "rendering", RENDER_INPUTS, RENDER_OUTPUTS),
    ):
        path = folder / f"{method}.onnx"
        export_onnx(Method(animate, method), [inputs[key] for key in names], names, outputs, path)
        part = onnx.load(path)
        compact_graph(part)
        if half:
            convert_to_half(part)
        parts.append((switch, part))
        path.unlink()
    onnx.save(join_graphs(parts, "animate"), folder / "animate.onnx")
    first = onnx.load(folder / "prepare.onnx")
    compact_graph(first)
    if half:
        convert_to_half(first)
    onnx.save(first, folder / "prepare.onnx")
    return {"prepare": "prepare.onnx", "animate": "animate.onnx"}


def _write_int8(folder: Path, model: FommModel, exact: dict[str, str] | None, images: Sequence[Image]) -> dict[str, str]:
    """The picture-making end with 8-bit convolutions, beside the exact keypoint end. Portraits and drivers: neighbours in `pictures`."""
    folded = fold_model(model, phased=True)
    prepare, animate = Prepare(folded).eval(), Animate(folded).eval()
    feeds = []
    with torch.no_grad():
        for portrait, driving in zip(images, [*images[1:], images[0]], strict=True):
            prepared = prepare(torch.from_numpy(portrait))
            inputs = _animate_inputs(torch.from_numpy(driving), prepared, animate.detect(torch.from_numpy(driving)))
            feeds.append({key: tensor for key, tensor in zip(ANIMATE_INPUTS, inputs, strict=True)})
    if exact is None:
        export_onnx(prepare, (feeds[0]["driving"],), PREPARE_INPUTS, PREPARE_OUTPUTS, folder / "prepare.onnx")
    for method, names, outputs in (("detect", DETECT_INPUTS, DETECT_OUTPUTS), ("render", RENDER_INPUTS, RENDER_OUTPUTS)):
        export_onnx(Method(animate, method), [feeds[0][key] for key in names], names, outputs, folder / f"{method}.onnx")
    quantise(folder / "render.onnx", folder / "int8.onnx", [{key: feed[key].numpy() for key in RENDER_INPUTS} for feed in feeds])
    detecting, rendering = onnx.load(folder / "detect.onnx"), onnx.load(folder / "int8.onnx")
    onnx.save(join_graphs((("detecting", detecting), ("rendering", rendering)), "animate"), folder / "animate-int8.onnx")
    for name in ("detect.onnx", "render.onnx", "int8.onnx"):
        (folder / name).unlink()
    return {"prepare": "prepare.onnx", "animate": "animate-int8.onnx"}


def _write_torchscript(folder: Path, prepare: Prepare, animate: Animate, half: bool) -> dict[str, str]:
    names = {}
    for part, module in (("prepare", prepare), ("animate", animate)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit is frozen, not gone; what replaces it cannot be loaded without the classes
            scripted = torch.jit.script(module)
            if half:
                scripted = scripted.half()
            names[part] = f"{part}.torchscript"
            torch.jit.save(scripted, str(folder / names[part]))
    return names
