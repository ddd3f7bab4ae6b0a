"""An int8 form of a model's picture-making graph for CPUs: several times the speed, at the price of a little noise.

Convolutions compute with 8-bit numbers, their ranges measured on real pictures (calibration). What decides *where* things are stays in
float32: keypoints, grids, the mask, and the last layer that makes the colours.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import onnx
from numpy.typing import NDArray

from livepuppet.engines.fomm.runtime.providers import load_onnxruntime

Feed: TypeAlias = dict[str, NDArray[Any]]

SMALLEST_KERNELS = 16
"""Convolutions with fewer outputs stay float32: the last layer and the heads, where 8 bits are seen and nothing is gained."""


def quantise(source: Path, target: Path, calibration: Sequence[Feed]) -> None:
    """Write `source` (a `render` graph in float32) with 8-bit convolutions.

    Args:
        calibration: inputs it will meet, a dozen or more.
    """
    load_onnxruntime()
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._feeds: Iterator[Feed] = iter(calibration)

        def get_next(self) -> Feed | None:
            return next(self._feeds, None)

    model = onnx.load(source)
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    left_out = [node.name for node in model.graph.node if node.op_type == "Conv" and shapes.get(node.input[1], (0,))[0] < SMALLEST_KERNELS]
    quiet = logging.getLogger()
    level = quiet.level
    quiet.setLevel(logging.ERROR)  # it suggests a preparation that is of no use here
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            quantize_static(
                str(source),
                str(target),
                Reader(),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "AveragePool", "Concat", "Slice", "Reshape", "Transpose"],
                nodes_to_exclude=left_out,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
            )
    finally:
        quiet.setLevel(level)
