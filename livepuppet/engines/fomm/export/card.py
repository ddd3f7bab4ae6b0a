"""The card of a model: what it is, what it costs and where it comes from, for people, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from livepuppet.engines.fomm.export.graphs import Animate, Prepare
from livepuppet.engines.fomm.model_store import Manifest
from livepuppet.engines.fomm.networks.checkpoint import FommModel, build_model


def model_card(model: FommModel, manifest: Manifest, comparisons: Sequence[str], about: str = "") -> str:
    """The text of CARD.md.

    Args:
        about: paragraphs that whoever imports the model adds.
    """
    parameters = sum(p.numel() for network in (model.detector, model.generator) for p in network.parameters())
    once, frame = model_cost(model)
    shown = "the face, cut out with its surroundings" if manifest.crop == "face" else "the whole picture"
    lines = [
        f"# {manifest.name}",
        "",
        "First Order Motion Model (Siarohin et al., NeurIPS 2019), imported by livepuppet.",
        "",
        *([f"**Experimental.** {manifest.experimental}", ""] if manifest.experimental else []),
        f"* picture: {manifest.size} by {manifest.size} pixels; it is shown {shown}",
        f"* {manifest.keypoints} keypoints, {'with' if model.configuration.jacobian else 'without'} local affine frames",
        f"* {parameters / 1e6:.2f} million parameters, stored as {manifest.precision}",
        f"* {once:.1f} GFLOP per portrait, {frame:.1f} GFLOP per frame (convolutions, as published)",
        f"* grid_sample with align_corners={manifest.align_corners}",
        f"* graphs: {', '.join(manifest.graphs)}; compared with PyTorch when it was made:",
        *(f"  * {comparison}" for comparison in comparisons),
        f"* licence: {manifest.licence or 'not stated; weights carry the terms of those who trained them'}",
        "",
        *([about.strip(), ""] if about.strip() else []),
        "Made from:",
        *(f"* {key}: {value}" for key, value in manifest.provenance.items()),
        "",
    ]
    return "\n".join(lines)


def model_cost(model: FommModel) -> tuple[float, float]:
    """GFLOP (two per multiplication) of the convolutions, once per portrait and per frame, in the form the paper gives."""
    with torch.device("meta"):  # shapes without numbers: the published models take seconds otherwise
        model = build_model(model.configuration, align_corners=model.align_corners)
        image = torch.zeros(model.configuration.size, model.configuration.size, 3, dtype=torch.uint8)
    counted: list[int] = []

    def count(module: nn.Module, _: object, output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        taps = module.kernel_size[0] * module.kernel_size[1] * module.in_channels // module.groups
        counted.append(2 * output.numel() * taps)

    prepare, animate = Prepare(model), Animate(model)
    convolutions = [m for part in (model.detector, model.generator) for m in part.modules() if isinstance(m, nn.Conv2d)]
    hooks = [convolution.register_forward_hook(count) for convolution in convolutions]
    try:
        with torch.no_grad():
            prepared = prepare(image)
            once = sum(counted)
            counted.clear()
            value, jacobian = animate.detect(image)
            features, small, *points = prepared
            animate.render(features, small, points[0], points[1], points[0], points[1], torch.ones((), device="meta"), value, jacobian)
    finally:
        for hook in hooks:
            hook.remove()
    return once / 1e9, sum(counted) / 1e9
