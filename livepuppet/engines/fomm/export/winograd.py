"""A 3 x 3 convolution with half the multiplications, exact but for rounding: Winograd's F(4, 3) along the rows.

Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, applied in one dimension: a row of W pixels becomes six
rows of W/4, each convolved down the columns with its own 3 x 1 kernels, then brought back. Both changes of basis are one matrix
product along the row, which CPUs do at full speed; the two-dimensional form spends what it saves on moving memory.

Worth it on CPUs for wide layers only: two thirds of the time at 256 channels (ONNX Runtime, AVX-512). GPU libraries do this themselves.
"""

from fractions import Fraction

import torch
from torch import Tensor, nn
from torch.nn import functional

TILE = 4
TAPS = 3
POSITIONS = TILE + TAPS - 1
POINTS = (Fraction(0), Fraction(1), Fraction(-1), Fraction(2), Fraction(-2))  # and infinity

Matrix = list[list[Fraction]]


def bases() -> tuple[Tensor, Tensor, Tensor]:
    """(output (4, 6), kernel (6, 3), input (6, 6)), float64: y = output @ ((kernel @ g) * (input @ d)), Toom-Cook at POINTS."""

    def monic(roots: list[Fraction]) -> list[Fraction]:
        coefficients = [Fraction(1)]
        for root in roots:
            shifted = [Fraction(0), *coefficients]
            coefficients = [high - root * low for high, low in zip(shifted, [*coefficients, Fraction(0)], strict=True)]
        return coefficients

    def infinity(size: int) -> list[Fraction]:
        return [Fraction(int(index == size - 1)) for index in range(size)]

    kernel: Matrix = []
    change: Matrix = []
    for point in POINTS:
        others = [other for other in POINTS if other != point]
        norm = Fraction(1)
        for other in others:
            norm *= point - other
        kernel.append([point**tap / norm for tap in range(TAPS)])
        change.append([*monic(others), Fraction(0)])
    kernel.append(infinity(TAPS))
    change.append(monic(list(POINTS)))
    output = [[*(point**row for point in POINTS), infinity(TILE)[row]] for row in range(TILE)]
    return _tensor(output), _tensor(kernel), _tensor(change)


def _tensor(matrix: Matrix) -> Tensor:
    return torch.tensor([[float(entry) for entry in row] for row in matrix], dtype=torch.float64)


class RowWinograd(nn.Module):
    """Stands for `conv` (3 x 3, padding 1) on maps of `width` columns, a multiple of 4: (B, in, H, width) -> (B, out, H, width)."""

    there: Tensor
    back: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, conv: nn.Conv2d, width: int) -> None:
        super().__init__()
        if width % TILE or conv.kernel_size != (3, 3) or conv.padding != (1, 1) or conv.stride != (1, 1):
            raise ValueError(f"F(4, 3) stands for 3 x 3 convolutions on widths divisible by 4, not {conv} on {width}")
        output, kernel, change = bases()
        tiles = width // TILE
        there = torch.zeros(POSITIONS, width, tiles, dtype=torch.float64)
        back = torch.zeros(POSITIONS, tiles, width, dtype=torch.float64)
        for tile in range(tiles):
            start = tile * TILE
            for offset in range(POSITIONS):
                column = start + offset - 1  # the padding of 1 lies at the rows' ends, where the matrix simply has nothing
                if 0 <= column < width:
                    there[:, column, tile] = change[:, offset]
            back[:, tile, start : start + TILE] = output.T
        weight = conv.weight.detach().double()
        self.outputs, self.inputs = weight.shape[0], weight.shape[1]
        taps = torch.einsum("pk,oihk->poih", kernel, weight).reshape(POSITIONS * self.outputs, self.inputs, 3, 1)
        self.register_buffer("there", there.float())
        self.register_buffer("back", back.reshape(POSITIONS * tiles, width).float())
        self.register_buffer("weight", taps.float())
        # The point 1 contributes equally to all four outputs: a bias given to its convolution is the bias of the whole, for nothing.
        bias = torch.zeros(POSITIONS, self.outputs)
        if conv.bias is not None:
            bias[POINTS.index(Fraction(1))] = conv.bias.detach()
        self.register_buffer("bias", bias.flatten())

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width = x.shape[0], x.shape[2], x.shape[3]
        tiles = width // 4
        rows = torch.matmul(x.reshape(batch, 1, self.inputs * height, width), self.there)
        rows = rows.reshape(batch, 6 * self.inputs, height, tiles)
        rows = functional.conv2d(rows, self.weight, self.bias, padding=(1, 0), groups=6)
        rows = rows.reshape(batch, 6, self.outputs * height, tiles).transpose(1, 2).reshape(batch, self.outputs * height, 6 * tiles)
        return torch.matmul(rows, self.back).reshape(batch, self.outputs, height, width)
