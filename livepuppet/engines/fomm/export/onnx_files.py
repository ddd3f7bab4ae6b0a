"""ONNX files from PyTorch modules: exported, stored in half precision, and two graphs joined to one that runs either.

Both ends of `Animate` share a file, each inside an `If` of its own: a call asks for keypoints, for a picture, or for both, and what is
not asked for costs nothing. One session means one thread pool. Measured on two cores in one run, keypoints + picture of fomm-synth-256
per frame: two sessions 77 ms, their idle threads spinning against each other; two sessions without spinning 45; one session 44.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from livepuppet.engines.fomm.export.folding import doubling

OPSET = 17
IR_VERSION = 8
"""Old enough for ONNX Runtime 1.14 and everything since."""

SMALLEST_HALVED = 16
"""Tensors with fewer numbers stay float32: shapes, scales, small matrices; halving them saves nothing and costs accuracy."""


class Method(nn.Module):
    """One method of a module as a module of its own, as export wants it."""

    def __init__(self, module: nn.Module, name: str) -> None:
        super().__init__()
        self.module = module
        self.name = name

    def forward(self, *inputs: Tensor) -> Any:
        return getattr(self.module, self.name)(*inputs)


def export_onnx(module: nn.Module, inputs: Sequence[Tensor], names: Sequence[str], outputs: Sequence[str], path: Path) -> None:
    """Write the module as traced with `inputs`."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing warns of every shape that becomes a constant: here all shapes are
        torch.onnx.export(
            module,
            tuple(inputs),
            str(path),
            input_names=list(names),
            output_names=list(outputs),
            opset_version=OPSET,
            dynamo=False,
        )


def convert_to_half(model: onnx.ModelProto) -> None:
    """Store the weights as float16, each followed by a cast to float32: half the file, the same arithmetic.

    Runtimes fold the casts when they load. Weights beyond float16's range stay as they are.
    """
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or int(np.prod(tensor.dims)) < SMALLEST_HALVED:
            continue
        values = numpy_helper.to_array(tensor)
        if not np.isfinite(values).all() or np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], name=f"{name}.cast", to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def compact_graph(model: onnx.ModelProto) -> None:
    """Store the kernels of doubling convolutions as the nine numbers they are made of; runtimes make sixteen of them when they load."""
    graph = model.graph
    ups = {node.input[1] for node in graph.node if node.op_type == "ConvTranspose"}
    made, basis = [], doubling().numpy()
    for tensor in list(graph.initializer):
        if tensor.name not in ups or tuple(tensor.dims[2:]) != (4, 4):
            continue
        name, shape = tensor.name, list(tensor.dims)
        kernels = numpy_helper.to_array(tensor).reshape(-1, 16).astype(np.float64)
        nine = kernels @ np.linalg.pinv(basis.astype(np.float64))
        if np.abs(nine @ basis - kernels).max() > 1e-5 * np.abs(kernels).max():
            continue  # some other transposed convolution
        tensor.CopyFrom(numpy_helper.from_array(nine.astype(np.float32), f"{name}.nine"))
        made.append(helper.make_node("MatMul", [f"{name}.nine", "doubling"], [f"{name}.flat"], name=f"{name}.double"))
        made.append(helper.make_node("Reshape", [f"{name}.flat", f"{name}.shape"], [name], name=f"{name}.reshape"))
        graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), f"{name}.shape"))
    if made:
        graph.initializer.append(numpy_helper.from_array(basis, "doubling"))
    nodes = [*made, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def join_graphs(parts: Sequence[tuple[str, onnx.ModelProto]], name: str) -> onnx.ModelProto:
    """One model with the inputs and outputs of all `parts`, each part run only when the boolean input of its name says so.

    Args:
        parts: (switch, model). Outputs of a part that is switched off are zeros.
    """
    inputs, outputs, nodes = [], [], []
    for switch, model in parts:
        inputs.append(helper.make_tensor_value_info(switch, TensorProto.BOOL, []))
        inputs.extend(model.graph.input)
        outputs.extend(model.graph.output)
        nodes.append(
            helper.make_node(
                "If",
                [switch],
                [output.name for output in model.graph.output],
                name=switch,
                then_branch=_branch(model.graph, f"{switch}/"),
                else_branch=_zeros(model.graph.output, f"{switch}/off/"),
            )
        )
    graph = helper.make_graph(nodes, name, inputs, outputs)
    joined = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="livepuppet")
    onnx.checker.check_model(joined)
    return joined


def _branch(original: onnx.GraphProto, prefix: str) -> onnx.GraphProto:
    """The graph as a branch: inputs come from around it, all else has names of its own."""
    graph = onnx.GraphProto()
    graph.CopyFrom(original)
    outer = {value.name for value in graph.input} | {""}

    def own(name: str) -> str:
        return name if name in outer else prefix + name

    for node in graph.node:
        node.name = prefix + node.name
        node.input[:] = [own(value) for value in node.input]
        node.output[:] = [own(value) for value in node.output]
    for tensor in graph.initializer:
        tensor.name = prefix + tensor.name
    for value in graph.output:
        value.name = prefix + value.name
    del graph.input[:]
    del graph.value_info[:]
    graph.name = prefix
    return graph


def _zeros(outputs: Sequence[onnx.ValueInfoProto], prefix: str) -> onnx.GraphProto:
    nodes, values = [], []
    for output in outputs:
        kind = output.type.tensor_type
        shape = [dimension.dim_value for dimension in kind.shape.dim]
        name = prefix + output.name
        sizes = helper.make_tensor(f"{name}.sizes", TensorProto.INT64, [len(shape)], shape)
        zero = helper.make_tensor(f"{name}.zero", kind.elem_type, [1], [0])
        nodes.append(helper.make_node("Constant", [], [f"{name}.shape"], value=sizes))
        nodes.append(helper.make_node("ConstantOfShape", [f"{name}.shape"], [name], value=zero))
        values.append(helper.make_tensor_value_info(name, kind.elem_type, shape))
    return helper.make_graph(nodes, prefix, [], values)
