"""How alike two pictures look: by the features of VGG-19 where its weights are on disk, else by patterns at several scales."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import torch
from torch import Tensor, nn

from livepuppet.engines.fomm.networks.layers import Shrink
from livepuppet.errors import ModelError
from livepuppet.training.recipe import Recipe

VGG_FILE = "vgg19-dcbb9e9d.pth"
"""As torchvision publishes it; the eight digits begin its sha256."""
VGG_WIDTHS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512)
"""Of VGG-19's convolutions up to relu5_1; 0 is a halving."""
VGG_TAPS = (1, 6, 11, 20, 29)
"""relu1_1, relu2_1, relu3_1, relu4_1, relu5_1."""


class Vgg(nn.Module):
    """Five feature maps of a picture in 0 … 1. Frozen. (Simonyan, Zisserman, ICLR 2015; Johnson et al., ECCV 2016.)"""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in VGG_WIDTHS:
            if width:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
        self.requires_grad_(False)
        self.eval()

    def forward(self, picture: Tensor) -> list[Tensor]:
        x = (picture - self.mean) / self.deviation
        taps = []
        for index, layer in enumerate(self.features):
            if min(x.shape[2:]) < 2 and isinstance(layer, nn.MaxPool2d):
                break  # the smallest scales of small pictures have nothing left to halve
            x = layer(x)
            if index in VGG_TAPS:
                taps.append(x)
        return taps

    @classmethod
    def load(cls, path: Path) -> Vgg:
        """From torchvision's file.

        Raises:
            ModelError: its message says what is wrong.
        """
        wanted = path.stem.rpartition("-")[2]
        try:
            if path.name == VGG_FILE and not hashlib.sha256(path.read_bytes()).hexdigest().startswith(wanted):
                raise ModelError(f"{path} is damaged: its sha256 does not begin with {wanted}; delete it and fetch it again")
            state = torch.load(path, map_location="cpu", weights_only=True)
            network = cls()
            known = {name for name, _ in network.named_parameters()}
            network.load_state_dict({name: value for name, value in state.items() if name in known}, strict=False)
        except ModelError:
            raise
        except Exception as error:  # torch has many ways of saying that a file is none of its own
            raise ModelError(f"{path} holds no VGG-19 weights: {str(error).splitlines()[0] if str(error) else error!r}") from error
        if missing := known - set(state):
            raise ModelError(f"{path} holds no VGG-19 weights: {min(missing)} is missing")
        return network


def find_vgg(asked: Path | None) -> Path | None:
    """The weights' file: the one asked for (ModelError when absent), or torchvision's where torch's cache has it."""
    if asked is not None:
        if not asked.is_file():
            raise ModelError(f"no VGG-19 weights at {asked}")
        return asked
    cache = Path(os.environ.get("TORCH_HOME", Path.home() / ".cache" / "torch")) / "hub" / "checkpoints" / VGG_FILE
    return cache if cache.is_file() else None


class AppearanceLoss(nn.Module):
    """Distance of pictures (B, 3, H, W) in 0 … 1 over a pyramid of scales; `name` says which kind it is."""

    def __init__(self, recipe: Recipe, vgg: Vgg | None) -> None:
        super().__init__()
        self.shrinks = nn.ModuleList(Shrink(3, scale) if scale != 1 else nn.Identity() for scale in recipe.scales)
        self.vgg = vgg
        self.weights = recipe.weights.perceptual
        self.pattern = recipe.weights.pattern
        self.name = "perceptual" if vgg is not None else "pattern"

    def forward(self, made: Tensor, wanted: Tensor) -> Tensor:
        """FOMM, section 3.3: L1 between the features of made and wanted, summed over layers and scales.

        Without VGG, at each scale: L1, L1 of the gradients (edges stay sharp) and 1 - SSIM (structure in spite of brightness).
        """
        total = made.new_zeros(())
        for shrink in self.shrinks:
            one, other = shrink(made), shrink(wanted)
            if self.vgg is not None:
                pairs = zip(self.weights, self.vgg(one), self.vgg(other), strict=False)
                total = total + sum(weight * (a - b.detach()).abs().mean() for weight, a, b in pairs)
            else:
                total = total + self.pattern * pattern_distance(one, other) / len(self.shrinks)
        return total


def pattern_distance(one: Tensor, other: Tensor) -> Tensor:
    """L1 + gradient L1 + 0.15 (1 - SSIM)."""
    across = (one.diff(dim=3) - other.diff(dim=3)).abs().mean()
    down = (one.diff(dim=2) - other.diff(dim=2)).abs().mean()
    return (one - other).abs().mean() + across + down + 0.15 * (1 - structural_similarity(one, other))


def structural_similarity(one: Tensor, other: Tensor, window: int = 7) -> Tensor:
    """Mean SSIM with a box window (Wang et al., IEEE TIP 2004, eq. 13), pictures in 0 … 1."""

    side = min(window, *one.shape[2:])

    def mean(x: Tensor) -> Tensor:  # rows, then columns: a third of the work of a square window
        averaged: Tensor = nn.functional.avg_pool2d(nn.functional.avg_pool2d(x, (1, side), 1), (side, 1), 1)
        return averaged

    a, b = mean(one), mean(other)
    variance_a, variance_b, covariance = mean(one**2) - a**2, mean(other**2) - b**2, mean(one * other) - a * b
    return ((2 * a * b + 1e-4) * (2 * covariance + 9e-4) / ((a**2 + b**2 + 1e-4) * (variance_a + variance_b + 9e-4))).mean()
