"""An exported ONNX graph computed by PyTorch, node by node, so that gradients run through the very model that is installed.

Rounding to whole levels is passed straight through (Bengio et al. 2013), since it has no useful gradient. Only the operators that
`livepuppet.engines.fomm.export.exporter` leaves in a graph are known; see the ONNX operator reference, opset 17, for what each means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor
from torch.nn import functional

from livepuppet.errors import ModelError

Values: TypeAlias = dict[str, Tensor]
Attributes: TypeAlias = Mapping[str, Any]
Operator: TypeAlias = Callable[[Sequence[Any], Attributes], Tensor]

DTYPES = {1: torch.float32, 6: torch.int32, 7: torch.int64, 9: torch.bool, 10: torch.float16}
UINT8 = 2


class Replay:
    """One graph, or one branch of its conditions. Weights are held in float32 on the device; nodes that depend on them alone run once."""

    def __init__(self, path: Path, device: torch.device, branch: str | None = None) -> None:
        """branch: the switch input that turns a part of the graph on; None takes the whole graph. Raises ModelError."""
        try:
            graph = onnx.load(str(path)).graph
        except Exception as error:  # protobuf's own errors share no base class
            raise ModelError(f"{path} is no readable ONNX graph: import the model again") from error
        self._device = device
        known = {tensor.name: self._weight(tensor) for tensor in graph.initializer}
        self._prefix = ""
        if branch is not None:
            chosen = [node for node in graph.node if node.op_type == "If" and list(node.input) == [branch]]
            if not chosen:
                raise ModelError(f"{path} has no part that '{branch}' turns on: import the model again")
            graph = next(attribute.g for attribute in chosen[0].attribute if attribute.name == "then_branch")
            known |= {tensor.name: self._weight(tensor) for tensor in graph.initializer}
            self._prefix = f"{branch}/"
        self.outputs = tuple(output.name for output in graph.output)
        self._nodes: list[onnx.NodeProto] = []
        for node in graph.node:
            if node.op_type not in OPERATORS:
                raise ModelError(
                    f"cannot compute gradients through {path}: it uses {node.op_type}; give the model's checkpoint instead",
                    parameter="checkpoint",
                )
            if all(name in known or not name for name in node.input):
                known[node.output[0]] = self._compute(node, known).detach()
            else:
                self._nodes.append(node)
        self._known: Values = known

    def run(self, **inputs: Tensor) -> Values:
        """The graph's outputs by name, without the branch's prefix. Pictures go in as float, 0 … 255, and come out so."""
        values = self._known | inputs
        for node in self._nodes:
            values[node.output[0]] = self._compute(node, values)
        return {name.removeprefix(self._prefix): values[name] for name in self.outputs}

    def _compute(self, node: onnx.NodeProto, values: Values) -> Tensor:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Constant":
            return self._weight(attributes["value"])
        return OPERATORS[node.op_type]([values[name] if name else None for name in node.input], attributes)

    def _weight(self, tensor: onnx.TensorProto) -> Tensor:
        value = torch.from_numpy(numpy_helper.to_array(tensor).copy())
        return (value.float() if value.is_floating_point() else value).to(self._device)


def integer_values(tensor: Tensor) -> list[int]:
    return [int(value) for value in tensor.reshape(-1).tolist()]


def same_both_sides(attributes: Attributes) -> list[int]:
    pads = list(attributes.get("pads", [0, 0, 0, 0]))
    if pads[:2] != pads[2:] or attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise ModelError(
            f"cannot compute gradients through a graph with padding {pads}: give the model's checkpoint instead", parameter="checkpoint"
        )
    return pads[:2]


def op_cast(x: Sequence[Any], attributes: Attributes) -> Tensor:
    kind = attributes["to"]
    if kind == UINT8 or x[0].requires_grad:
        return torch.as_tensor(x[0])
    wanted = DTYPES[kind]
    return torch.as_tensor(x[0]).to(torch.float32 if wanted == torch.float16 else wanted)


def op_conv(x: Sequence[Any], attributes: Attributes) -> Tensor:
    return functional.conv2d(
        x[0], x[1], x[2] if len(x) > 2 else None, stride=tuple(attributes.get("strides", (1, 1))), padding=same_both_sides(attributes),
        dilation=tuple(attributes.get("dilations", (1, 1))), groups=attributes.get("group", 1),
    )  # fmt: skip


def op_conv_transpose(x: Sequence[Any], attributes: Attributes) -> Tensor:
    return functional.conv_transpose2d(
        x[0], x[1], x[2] if len(x) > 2 else None, stride=tuple(attributes.get("strides", (1, 1))), padding=same_both_sides(attributes),
        dilation=tuple(attributes.get("dilations", (1, 1))), groups=attributes.get("group", 1),
    )  # fmt: skip


def op_average_pool(x: Sequence[Any], attributes: Attributes) -> Tensor:
    return functional.avg_pool2d(
        x[0], list(attributes["kernel_shape"]), list(attributes.get("strides", (1, 1))), same_both_sides(attributes),
        count_include_pad=bool(attributes.get("count_include_pad", 0)),
    )  # fmt: skip


def op_slice(x: Sequence[Any], attributes: Attributes) -> Tensor:
    starts, ends = integer_values(x[1]), integer_values(x[2])
    axes = integer_values(x[3]) if len(x) > 3 and x[3] is not None else list(range(len(starts)))
    steps = integer_values(x[4]) if len(x) > 4 else [1] * len(starts)
    places = [slice(None)] * x[0].dim()
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        places[axis] = slice(start, end, step)
    return torch.as_tensor(x[0][tuple(places)])


def op_gather(x: Sequence[Any], attributes: Attributes) -> Tensor:
    axis = attributes.get("axis", 0)
    if x[1].dim() == 0:
        return torch.as_tensor(x[0].select(axis, int(x[1])))
    return torch.as_tensor(x[0].index_select(axis, x[1].reshape(-1)).unflatten(axis, tuple(x[1].shape)))


def op_reshape(x: Sequence[Any], attributes: Attributes) -> Tensor:
    shape = [x[0].shape[place] if size == 0 else size for place, size in enumerate(integer_values(x[1]))]
    return torch.as_tensor(x[0].reshape(shape))


def op_unsqueeze(x: Sequence[Any], attributes: Attributes) -> Tensor:
    axes = integer_values(x[1])
    rank = x[0].dim() + len(axes)
    value = x[0]
    for axis in sorted(axis % rank for axis in axes):
        value = value.unsqueeze(axis)
    return torch.as_tensor(value)


def op_squeeze(x: Sequence[Any], attributes: Attributes) -> Tensor:
    return torch.as_tensor(x[0].squeeze(tuple(integer_values(x[1])) if len(x) > 1 else tuple(range(x[0].dim()))))


def op_reduce_sum(x: Sequence[Any], attributes: Attributes) -> Tensor:
    axes = tuple(integer_values(x[1])) if len(x) > 1 and x[1] is not None else tuple(range(x[0].dim()))
    return torch.as_tensor(x[0].sum(axes, keepdim=bool(attributes.get("keepdims", 1))))


def op_reduce_mean(x: Sequence[Any], attributes: Attributes) -> Tensor:
    axes = tuple(attributes.get("axes", range(x[0].dim())))
    return torch.as_tensor(x[0].mean(axes, keepdim=bool(attributes.get("keepdims", 1))))


def op_constant_of_shape(x: Sequence[Any], attributes: Attributes) -> Tensor:
    value = torch.from_numpy(numpy_helper.to_array(attributes["value"]).copy()) if "value" in attributes else torch.zeros(1)
    value = value.float() if value.is_floating_point() else value
    return value.to(x[0].device).expand(integer_values(x[0])).contiguous()


def op_expand(x: Sequence[Any], attributes: Attributes) -> Tensor:
    return torch.as_tensor(x[0] * torch.ones(integer_values(x[1]), dtype=x[0].dtype, device=x[0].device))


def op_grid_sample(x: Sequence[Any], attributes: Attributes) -> Tensor:
    return functional.grid_sample(
        x[0], x[1], mode=attributes.get("mode", b"bilinear").decode(), padding_mode=attributes.get("padding_mode", b"zeros").decode(),
        align_corners=bool(attributes.get("align_corners", 0)),
    )  # fmt: skip


def op_batch_normalization(x: Sequence[Any], attributes: Attributes) -> Tensor:
    """BatchNormalization as in use: by the stored mean and variance."""
    data, scale, offset, mean, variance = x[:5]
    return functional.batch_norm(data, mean, variance, scale, offset, training=False, eps=attributes.get("epsilon", 1e-5))


def op_depth_to_space(x: Sequence[Any], attributes: Attributes) -> Tensor:
    """(N, C b b, H, W) -> (N, C, H b, W b); the two modes differ in whether the block or the channel counts first."""
    block = attributes["blocksize"]
    if attributes.get("mode", b"DCR") == b"CRD":
        shuffled: Tensor = functional.pixel_shuffle(x[0], block)
        return shuffled
    count, channels, height, width = x[0].shape
    parts: Tensor = x[0].reshape(count, block, block, channels // block**2, height, width)
    return parts.permute(0, 3, 4, 1, 5, 2).reshape(count, channels // block**2, height * block, width * block)


def op_round(x: Sequence[Any], attributes: Attributes) -> Tensor:
    return torch.as_tensor(x[0] + (x[0].round() - x[0]).detach())


def op_clip(x: Sequence[Any], attributes: Attributes) -> Tensor:
    low, high = (float(value) if value is not None else None for value in (*x[1:], None, None)[:2])
    return torch.clamp(x[0], low, high)


OPERATORS: dict[str, Operator] = {
    "Abs": lambda x, a: torch.abs(x[0]),
    "Add": lambda x, a: x[0] + x[1],
    "AveragePool": op_average_pool,
    "BatchNormalization": op_batch_normalization,
    "Cast": op_cast,
    "Clip": op_clip,
    "Concat": lambda x, a: torch.cat(list(x), a["axis"]),
    "Constant": lambda x, a: torch.empty(0),
    "ConstantOfShape": op_constant_of_shape,
    "Conv": op_conv,
    "ConvTranspose": op_conv_transpose,
    "DepthToSpace": op_depth_to_space,
    "Div": lambda x, a: x[0] / x[1] if x[0].is_floating_point() else x[0] // x[1],
    "Equal": lambda x, a: x[0] == x[1],
    "Exp": lambda x, a: torch.exp(x[0]),
    "Expand": op_expand,
    "Gather": op_gather,
    "GridSample": op_grid_sample,
    "Identity": lambda x, a: x[0],
    "Less": lambda x, a: x[0] < x[1],
    "MatMul": lambda x, a: torch.matmul(x[0], x[1]),
    "Mul": lambda x, a: x[0] * x[1],
    "Neg": lambda x, a: -x[0],
    "Reciprocal": lambda x, a: 1 / x[0],
    "ReduceMean": op_reduce_mean,
    "ReduceSum": op_reduce_sum,
    "Relu": lambda x, a: torch.relu(x[0]),
    "Reshape": op_reshape,
    "Round": op_round,
    "Shape": lambda x, a: torch.tensor(x[0].shape, device=x[0].device),
    "Sigmoid": lambda x, a: torch.sigmoid(x[0]),
    "Slice": op_slice,
    "Softmax": lambda x, a: torch.softmax(x[0], a.get("axis", -1)),
    "Squeeze": op_squeeze,
    "Sub": lambda x, a: x[0] - x[1],
    "Transpose": lambda x, a: x[0].permute(tuple(a["perm"])),
    "Unsqueeze": op_unsqueeze,
    "Where": lambda x, a: torch.where(x[0], x[1], x[2]),
}
