"""The same function in fewer operations: what is exported. Differs from the networks it is made from by rounding only.

* Batch norm after a convolution becomes part of its weights.
* "Double, then convolve 3 x 3" becomes one transposed convolution 4 x 4: four products per output pixel and channel, not nine.
* The last layer computes four pixels at once, and the mask and the occlusion head become one convolution: vector units work on 8 or 16
  channels at a time, whether so many are wanted or not.
* Wide residual blocks become Winograd convolutions (winograd.py), on request: it pays on CPUs.
"""

from copy import deepcopy
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from livepuppet.engines.fomm.export.winograd import TILE, RowWinograd
from livepuppet.engines.fomm.networks.checkpoint import FommModel
from livepuppet.engines.fomm.networks.dense_motion import DenseMotionNetwork
from livepuppet.engines.fomm.networks.generator import Generator
from livepuppet.engines.fomm.networks.layers import Convolution, Down, HourglassNetwork, Residual, Up

WINOGRAD_WIDTH = 128
"""Channels from which Winograd's form was measured to be faster on a CPU."""


def fold_model(model: FommModel, *, winograd: bool = False, phased: bool = False) -> FommModel:
    """The model for inference, its own weights untouched.

    Args:
        winograd: for pictures of exactly `model.configuration.size`.
        phased: the generator's doublings as plain convolutions, which can be quantised; transposed ones cannot.
    """
    detector, generator = deepcopy(model.detector).eval(), deepcopy(model.generator).eval()
    with torch.no_grad():
        _fold_hourglass(detector.predictor)
        _fold_generator(generator, model.configuration.size >> model.configuration.down_blocks if winograd else 0)
        if phased:
            generator.up_blocks = nn.ModuleList(PhasedUp(block) for block in model.generator.up_blocks)
    for network in (detector, generator):
        network.requires_grad_(False)
    return replace(model, detector=detector, generator=generator)


def _fold_hourglass(hourglass: HourglassNetwork) -> None:
    hourglass.encoder.down_blocks = nn.ModuleList(_folded(block) for block in hourglass.encoder.down_blocks)
    hourglass.decoder.up_blocks = nn.ModuleList(_folded(block) for block in hourglass.decoder.up_blocks)


def _fold_generator(generator: Generator, winograd_width: int) -> None:
    _fold_hourglass(generator.dense_motion_network.hourglass)
    if generator.dense_motion_network.has_occlusion:
        generator.dense_motion_network = OneHead(generator.dense_motion_network)
    generator.first = _folded(generator.first)  # type: ignore[assignment]
    generator.final = FourAtOnce(generator.final)  # type: ignore[assignment]
    generator.down_blocks = nn.ModuleList(_folded(block) for block in generator.down_blocks)
    generator.up_blocks = nn.ModuleList(_folded(block) for block in generator.up_blocks)
    for name, block in list(generator.bottleneck.named_children()):
        assert isinstance(block, Residual)
        setattr(generator.bottleneck, name, FoldedResidual(block, winograd_width))


def _folded(block: nn.Module) -> nn.Module:
    if isinstance(block, Up):
        return FoldedUp(block)
    if isinstance(block, Down):
        return FoldedDown(block)
    assert isinstance(block, Convolution), block
    return FoldedConvolution(block)


def absorb_batch_norm(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """One convolution for `norm(conv(x))`, in evaluation mode."""
    scale, shift = batch_norm_affine(norm)
    merged = deepcopy(conv)
    bias = torch.zeros_like(shift) if conv.bias is None else conv.bias
    merged.weight = nn.Parameter(conv.weight * scale[:, None, None, None])
    merged.bias = nn.Parameter(bias * scale + shift)
    return merged


def batch_norm_affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """The scale and shift per channel that the norm amounts to in evaluation mode."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


class FoldedConvolution(nn.Module):
    def __init__(self, block: Convolution) -> None:
        super().__init__()
        self.conv = absorb_batch_norm(block.conv, block.norm)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x))


class FoldedDown(nn.Module):
    def __init__(self, block: Down) -> None:
        super().__init__()
        self.conv = absorb_batch_norm(block.conv, block.norm)

    def forward(self, x: Tensor) -> Tensor:
        return functional.avg_pool2d(torch.relu(self.conv(x)), kernel_size=2)


class FoldedUp(nn.Module):
    """Doubling a picture is a transposed convolution with 2 x 2 ones; followed by a 3 x 3 convolution it is one with 4 x 4."""

    def __init__(self, block: Up) -> None:
        super().__init__()
        conv = absorb_batch_norm(block.conv, block.norm)
        outputs, inputs = conv.weight.shape[:2]
        kernel = (conv.weight.transpose(0, 1).reshape(inputs, outputs, 9) @ doubling()).reshape(inputs, outputs, 4, 4)
        self.conv = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
        self.conv.weight = nn.Parameter(kernel)
        self.conv.bias = conv.bias

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x))


class PhasedUp(nn.Module):
    """The same as four 2 x 2 convolutions in one, each for the pixels of one parity: it sees the rows and columns next to them."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        assert isinstance(block, Up)
        conv = absorb_batch_norm(block.conv, block.norm)
        self.outputs, inputs = conv.weight.shape[:2]
        rows = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]], [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])
        kernels = torch.einsum("pak,qbl,oikl->pqoiab", rows, rows, conv.weight).reshape(4 * self.outputs, inputs, 2, 2)
        self.conv = nn.Conv2d(inputs, 4 * self.outputs, 2, padding=1)
        assert conv.bias is not None
        self.conv.weight, self.conv.bias = nn.Parameter(kernels), nn.Parameter(conv.bias.repeat(4))

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width, n = x.shape[0], x.shape[2], x.shape[3], self.outputs
        y = torch.relu(self.conv(x))  # one row and column more than x: each phase takes its own corner
        corners = (y[:, :n, :-1, :-1], y[:, n : 2 * n, :-1, 1:], y[:, 2 * n : 3 * n, 1:, :-1], y[:, 3 * n :, 1:, 1:])
        phases = torch.cat(corners, dim=1).view(batch, 2, 2, n, height, width)
        return phases.permute(0, 3, 4, 1, 5, 2).reshape(batch, n, 2 * height, 2 * width)


def doubling() -> Tensor:
    """(9, 16): a 3 x 3 kernel, as a row of numbers, times this is the 4 x 4 kernel of the transposed convolution."""
    taps = torch.eye(9).reshape(9, 1, 3, 3).flip(2, 3)
    return functional.conv_transpose2d(taps, torch.ones(1, 1, 2, 2)).reshape(9, 16)


class FourAtOnce(nn.Module):
    """A 7 x 7 convolution to three channels as one of 8 x 8 in steps of two, to twelve: the pixels of each 2 x 2 block at once.

    Vector units compute 8 or 16 channels whether they are wanted or not: this wastes 4 of 16 instead of 13.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        outputs, inputs = conv.weight.shape[:2]
        kernel = torch.zeros(outputs, 2, 2, inputs, 8, 8)
        for row in range(2):
            for column in range(2):
                kernel[:, row, column, :, row : row + 7, column : column + 7] = conv.weight
        self.conv = nn.Conv2d(inputs, 4 * outputs, 8, stride=2, padding=3)
        assert conv.bias is not None
        self.conv.weight = nn.Parameter(kernel.reshape(4 * outputs, inputs, 8, 8))
        self.conv.bias = nn.Parameter(conv.bias.repeat_interleave(4))

    def forward(self, x: Tensor) -> Tensor:
        return functional.pixel_shuffle(self.conv(x), 2)


class FoldedResidual(nn.Module):
    """The first norm stands before a ReLU and stays; the second goes into the first convolution."""

    def __init__(self, block: Residual, winograd_width: int) -> None:
        super().__init__()
        self.norm1 = block.norm1
        self.conv1 = _wide(absorb_batch_norm(block.conv1, block.norm2), winograd_width)
        self.conv2 = _wide(block.conv2, winograd_width)

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.conv2(torch.relu(self.conv1(torch.relu(self.norm1(x)))))
        return x + change


def _wide(conv: nn.Conv2d, winograd_width: int) -> nn.Module:
    fits = winograd_width and winograd_width % TILE == 0 and conv.in_channels >= WINOGRAD_WIDTH
    return RowWinograd(conv, winograd_width) if fits else conv


class OneHead(DenseMotionNetwork):
    """The dense motion network with one convolution for mask and occlusion."""

    def __init__(self, original: DenseMotionNetwork) -> None:
        nn.Module.__init__(self)
        mask, occlusion = original.mask, original.occlusion
        assert isinstance(occlusion, nn.Conv2d) and mask.bias is not None and occlusion.bias is not None
        self.hourglass = original.hourglass
        self.mask = nn.Conv2d(mask.in_channels, mask.out_channels + 1, 7, padding=3)
        self.mask.weight = nn.Parameter(torch.cat((mask.weight, occlusion.weight)))
        self.mask.bias = nn.Parameter(torch.cat((mask.bias, occlusion.bias)))
        self.has_occlusion = True
        self.down = original.down
        self.align_corners = original.align_corners

    def heads(self, features: Tensor) -> tuple[Tensor, Tensor]:
        both = self.mask(features)
        return both[:, :-1], both[:, -1:]
