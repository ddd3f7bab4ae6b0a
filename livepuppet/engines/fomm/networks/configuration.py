"""What a First Order Motion Model is made of: the numbers from which its networks are built.

Read from the original project's YAML, inferred from a checkpoint's tensor shapes, or written out by hand:

    Configuration()                                the published 256-pixel models (vox, taichi, fashion, bair, nemo)
    Configuration.parse(yaml.safe_load(text))      the `model_params` of a YAML file
    Configuration.infer(shapes)                    the tensor shapes of a checkpoint, for what YAML is missing

Source of the layout: Siarohin et al., "First Order Motion Model for Image Animation", NeurIPS 2019, sections 3 and B (supplement).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from livepuppet.errors import ModelError

Shapes = Mapping[str, tuple[int, ...]]
"""Tensor name -> shape; names start with `generator.` or `kp_detector.`."""

SCALES = (1.0, 0.5, 0.25, 0.125)
"""Working sizes that a network may have, as parts of the picture's size."""


def blur_width(scale: float) -> int:
    """The anti-aliasing Gaussian's kernel size for shrinking to `scale`: four standard deviations of (1/scale - 1) / 2 each way."""
    return 2 * round((1 / scale - 1) / 2 * 4) + 1


LARGEST_SIZE = 4096
LARGEST_WIDTH = 1 << 14
DEEPEST = 12
"""Sides of pictures, channels, and blocks or halvings that a network may have."""


def within(**numbers: tuple[int, int]) -> None:
    """Raises ValueError, naming it, where a number is not from 1 to its limit."""
    for name, (number, limit) in numbers.items():
        if not 1 <= number <= limit:
            raise ValueError(f"{name} is {str(number)[:20]}, not 1 to {limit}")


@dataclass(frozen=True, slots=True)
class Hourglass:
    """A U-shaped network: widths double from `block_expansion` up to `max_features` over `blocks` halvings, at `scale` of the picture."""

    block_expansion: int
    max_features: int
    blocks: int
    scale: float

    def __post_init__(self) -> None:
        """Raises ValueError for numbers of which no network can be built."""
        within(block_expansion=(self.block_expansion, LARGEST_WIDTH), max_features=(self.max_features, LARGEST_WIDTH))
        within(num_blocks=(self.blocks, DEEPEST))

    def width(self, depth: int) -> int:
        """Channels after `depth` halvings."""
        return min(self.max_features, self.block_expansion << depth)


@dataclass(frozen=True, slots=True)
class Configuration:
    """The sizes of all three networks.

    Attributes:
        keypoints: how many.
        channels: of the picture.
        size: side of the square picture in pixels, the networks take others too.
        jacobian: whether local affine frames are estimated; False moves by translation only.
        single_jacobian: one map for all keypoints.
        temperature: of the softmax that turns a score map into a keypoint.
        occlusion: whether a map of disoccluded places is estimated.
        block_expansion, max_features, down_blocks, bottleneck_blocks: the generator's own.
    """

    keypoints: int = 10
    channels: int = 3
    size: int = 256
    jacobian: bool = True
    single_jacobian: bool = False
    temperature: float = 0.1
    detector: Hourglass = field(default=Hourglass(block_expansion=32, max_features=1024, blocks=5, scale=0.25))
    dense_motion: Hourglass = field(default=Hourglass(block_expansion=64, max_features=1024, blocks=5, scale=0.25))
    occlusion: bool = True
    block_expansion: int = 64
    max_features: int = 512
    down_blocks: int = 2
    bottleneck_blocks: int = 6

    def __post_init__(self) -> None:
        """Raises ValueError for numbers of which no network can be built."""
        within(num_kp=(self.keypoints, 1000), num_channels=(self.channels, 4), frame_shape=(self.size, LARGEST_SIZE))
        within(block_expansion=(self.block_expansion, LARGEST_WIDTH), max_features=(self.max_features, LARGEST_WIDTH))
        within(num_down_blocks=(self.down_blocks, DEEPEST), num_bottleneck_blocks=(self.bottleneck_blocks, 256))
        if not 0 < self.temperature < 1e6:
            raise ValueError(f"temperature is {self.temperature}, not a number above 0")

    def width(self, depth: int) -> int:
        """Channels of the generator after `depth` halvings."""
        return min(self.max_features, self.block_expansion << depth)

    @classmethod
    def parse(cls, tree: Mapping[str, Any]) -> Configuration:
        """From the original project's YAML, already read.

        Raises:
            ModelError: naming the entry that is missing or strange.
        """
        try:
            parameters = tree["model_params"]
            common, detector, generator = (parameters[f"{name}_params"] for name in ("common", "kp_detector", "generator"))
            dense_motion = generator["dense_motion_params"]
            frame = (tree.get("dataset_params") or {}).get("frame_shape") or (256, 256, 3)
            return cls(
                keypoints=int(common["num_kp"]),
                channels=int(common["num_channels"]),
                size=int(frame[0]),
                jacobian=bool(common.get("estimate_jacobian", False)),
                single_jacobian=bool(detector.get("single_jacobian_map", False)),
                temperature=float(detector["temperature"]),
                detector=_hourglass(detector),
                dense_motion=_hourglass(dense_motion),
                occlusion=bool(generator.get("estimate_occlusion_map", False)),
                block_expansion=int(generator["block_expansion"]),
                max_features=int(generator["max_features"]),
                down_blocks=int(generator["num_down_blocks"]),
                bottleneck_blocks=int(generator["num_bottleneck_blocks"]),
            )
        except KeyError as error:
            raise ModelError(f"the configuration has no entry {error}: it should be a YAML file of the original project") from error
        except (TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
            raise ModelError(f"the configuration is not laid out as the original project's YAML files are ({error})") from error

    @classmethod
    def infer(cls, shapes: Shapes) -> Configuration:
        """From tensor shapes alone. The softmax temperature and the picture's size leave no trace: 0.1 and 256 px, as published.

        Raises:
            ModelError: where the shapes are not those of such a model.
        """
        try:
            head = shapes["kp_detector.kp.weight"]
            jacobian = shapes.get("kp_detector.jacobian.weight")
            first = shapes["generator.first.conv.weight"]
            downs = _count(shapes, "generator.down_blocks.{}.conv.weight")
            widths = [shapes[f"generator.down_blocks.{index}.conv.weight"][0] for index in range(downs)]
            return cls(
                keypoints=head[0],
                channels=first[1],
                jacobian=jacobian is not None,
                single_jacobian=jacobian is not None and jacobian[0] == 4 and head[0] > 1,
                detector=_inferred_hourglass(shapes, "kp_detector.predictor", "kp_detector.down.weight"),
                dense_motion=_inferred_hourglass(
                    shapes, "generator.dense_motion_network.hourglass", "generator.dense_motion_network.down.weight"
                ),
                occlusion="generator.dense_motion_network.occlusion.weight" in shapes,
                block_expansion=first[0],
                max_features=max([first[0], *widths]),
                down_blocks=downs,
                bottleneck_blocks=_count(shapes, "generator.bottleneck.r{}.conv1.weight"),
            )
        except (KeyError, IndexError) as error:
            raise ModelError(f"this is no First Order Motion Model: the checkpoint lacks the tensor {error}") from error
        except ValueError as error:
            raise ModelError(f"this is no First Order Motion Model: {error}") from error


LARGEST_TEXT = 1 << 20
MOST_BRACKETS = 64
"""How deep brackets may lie in each other: PyYAML takes minutes for a few thousand."""


def read_tree(path: Path) -> dict[str, Any]:
    """What a YAML file of such a configuration says, unchecked.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no YAML file, or not one with names at its top.
    """
    import yaml

    with path.open("rb") as file:
        text = file.read(LARGEST_TEXT + 1).decode("utf-8")
    depth = deepest = 0
    for sign in text:
        depth += (sign in "[{") - (sign in "]}")
        deepest = max(deepest, depth)
    if len(text) > LARGEST_TEXT or deepest > MOST_BRACKETS:
        raise ValueError("it is longer or deeper than any configuration")
    try:
        tree = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError("it is no YAML") from error
    if not isinstance(tree, dict):
        raise ValueError("it holds no entries with names")
    return tree


def _hourglass(tree: Mapping[str, Any]) -> Hourglass:
    scale = float(tree.get("scale_factor", 1))
    if scale not in SCALES:
        raise ValueError(f"scale_factor {scale} is none of {SCALES}")
    return Hourglass(int(tree["block_expansion"]), int(tree["max_features"]), int(tree["num_blocks"]), scale)


def _inferred_hourglass(shapes: Shapes, prefix: str, blur: str) -> Hourglass:
    blocks = _count(shapes, prefix + ".encoder.down_blocks.{}.conv.weight")
    widths = [shapes[f"{prefix}.encoder.down_blocks.{index}.conv.weight"][0] for index in range(blocks)]
    last = shapes[f"{prefix}.decoder.up_blocks.{blocks - 1}.conv.weight"][0]
    kernel = shapes[blur][-1] if blur in shapes else 1
    scales = [scale for scale in SCALES if blur_width(scale) == kernel]
    if not scales:
        raise ModelError(f"this is no First Order Motion Model: {blur} has a kernel of {kernel}, no known scale leads to it")
    return Hourglass(block_expansion=last, max_features=max(widths), blocks=blocks, scale=scales[0])


def _count(shapes: Shapes, pattern: str) -> int:
    index = 0
    while pattern.format(index) in shapes:
        index += 1
    return index
