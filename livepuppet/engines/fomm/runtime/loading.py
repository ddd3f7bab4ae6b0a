"""A model directory -> a loaded model: files verified first, then the runtime that suits the device."""

from __future__ import annotations

import logging
from importlib.util import find_spec

from livepuppet.engines.fomm.model_store import ModelDirectory
from livepuppet.engines.fomm.runtime.interface import FommRuntime
from livepuppet.errors import ModelError, UsageError

log = logging.getLogger("livepuppet.engines.fomm.runtime")

DEVICES = ("auto", "cpu", "cuda", "tensorrt", "directml", "coreml")


def load_runtime(directory: ModelDirectory, kind: str | None = None, device: str = "auto") -> FommRuntime:
    """Check every file of the model, then load it.

    Args:
        kind: 'onnx', 'onnx-int8' or 'torchscript'; None takes TorchScript where that computes on a GPU, else ONNX.
        device: one of DEVICES.

    Raises:
        ModelError: for a damaged model.
        UsageError: for a device or kind that there is not.
    """
    if device not in DEVICES:
        raise UsageError(f"no device named '{device}': choose one of {', '.join(DEVICES)}")
    directory.verify()
    graphs = directory.manifest.graphs
    chosen = kind or _preferred(directory, device)
    if chosen not in graphs:
        has = ", ".join(graphs) or "none"
        raise UsageError(f"the model '{directory.manifest.name}' has no {chosen} graphs, only {has}: import it again")
    if missing := {"prepare", "animate"} - set(graphs[chosen]):
        raise ModelError(f"{directory.path}: its {chosen} form lacks the graph {min(missing)}: import the model again")
    if chosen == "torchscript":
        from livepuppet.engines.fomm.runtime.torchscript import TorchScriptFommRuntime

        return TorchScriptFommRuntime(directory, device)
    from livepuppet.engines.fomm.runtime.onnx import OnnxFommRuntime

    return OnnxFommRuntime(directory, chosen, device)


def _preferred(directory: ModelDirectory, device: str) -> str:
    """TorchScript replays CUDA graphs in half precision; on everything else ONNX Runtime is as fast or faster, and lighter."""
    graphs = directory.manifest.graphs
    if "torchscript" in graphs and ("onnx" not in graphs or (device in {"auto", "cuda"} and _torch_sees_cuda())):
        return "torchscript"
    return "onnx"


def _torch_sees_cuda() -> bool:
    if find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())
