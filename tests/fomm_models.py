"""A First Order Motion Model small enough for tests, made by the project's own networks: random weights, real layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from livepuppet.engines.fomm.networks.checkpoint import FommModel, build_model, save_checkpoint
from livepuppet.engines.fomm.networks.configuration import Configuration, Hourglass

torch.set_num_threads(1)  # networks this small lose more to waiting for each other's threads than they gain

TINY = Configuration(
    keypoints=6,
    size=64,
    detector=Hourglass(block_expansion=8, max_features=32, blocks=2, scale=0.25),
    dense_motion=Hourglass(block_expansion=8, max_features=32, blocks=2, scale=0.25),
    block_expansion=8,
    max_features=32,
    down_blocks=2,
    bottleneck_blocks=2,
)


def lively(configuration: Configuration = TINY, *, align_corners: bool = True, seed: int = 0) -> FommModel:
    """Networks whose batch norms, keypoints and jacobians are all different from their neutral start, in eval mode."""
    torch.manual_seed(seed)
    model = build_model(configuration, align_corners=align_corners)
    for network in (model.detector, model.generator):
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None
                nn.init.normal_(module.running_mean, 0, 0.1)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
                nn.init.uniform_(module.weight, 0.8, 1.4)
                nn.init.normal_(module.bias, 0, 0.1)
        network.eval()
    with torch.no_grad():
        model.generator.final.weight.mul_(20)  # ... and its pictures grey
        model.detector.kp.weight.mul_(20)  # a random head is flat: its keypoints would all sit in the middle
        if configuration.jacobian:
            head = model.detector.jacobian
            assert isinstance(head, nn.Conv2d)
            head.weight.normal_(0, 0.01)
    return model


def layout(configuration: Configuration) -> dict[str, Any]:
    """The configuration as the original project's YAML lays it out."""

    def hourglass(shape: Hourglass) -> dict[str, Any]:
        return {
            "block_expansion": shape.block_expansion,
            "max_features": shape.max_features,
            "num_blocks": shape.blocks,
            "scale_factor": shape.scale,
        }

    c = configuration
    return {
        "dataset_params": {"frame_shape": [c.size, c.size, c.channels]},
        "model_params": {
            "common_params": {"num_kp": c.keypoints, "num_channels": c.channels, "estimate_jacobian": c.jacobian},
            "kp_detector_params": {
                **hourglass(c.detector),
                "temperature": c.temperature,
                "single_jacobian_map": c.single_jacobian,
            },
            "generator_params": {
                "block_expansion": c.block_expansion,
                "max_features": c.max_features,
                "num_down_blocks": c.down_blocks,
                "num_bottleneck_blocks": c.bottleneck_blocks,
                "estimate_occlusion_map": c.occlusion,
                "dense_motion_params": hourglass(c.dense_motion),
            },
        },
    }


def write_checkpoint(folder: Path, model: FommModel | None = None, name: str = "tiny") -> Path:
    """`NAME-cpk.pth.tar` and `NAME.yaml` in `folder`; returns the checkpoint's path."""
    model = model or lively()
    path = folder / f"{name}-cpk.pth.tar"
    save_checkpoint(path, model, epoch=1)
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(layout(model.configuration)))
    return path
