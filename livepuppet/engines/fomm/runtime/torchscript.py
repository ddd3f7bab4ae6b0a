"""A model in TorchScript: CUDA graphs, channels-last and float16 on NVIDIA GPUs, float32 on the CPU.

A CUDA graph replays some hundred kernels with one launch: at 256 pixels the launches cost more than the arithmetic. It needs every buffer
at a fixed place, so inputs are copied into the graph's own, through page-locked memory. Coordinates stay float32 inside the networks.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from livepuppet.engines.fomm.model_store import ModelDirectory
from livepuppet.engines.fomm.runtime.interface import (
    DETECT_INPUTS,
    DETECT_OUTPUTS,
    RENDER_INPUTS,
    RENDER_OUTPUTS,
    Array,
    PreparedSource,
    RuntimeOutput,
)
from livepuppet.engines.fomm.runtime.providers import NO_DRIVER, nvidia_driver, out_of_memory
from livepuppet.errors import ModelError
from livepuppet.types import Image

log = logging.getLogger("livepuppet.engines.fomm.runtime.torchscript")

WARM_UP_RUNS = 3
"""Before a capture: the first runs choose algorithms and allocate, which a CUDA graph must not contain."""


def why_no_cuda() -> str:
    """Why PyTorch does not compute on an NVIDIA GPU here, after it said that it cannot."""
    if not torch.version.cuda:
        return "this PyTorch was built without CUDA"
    return "its CUDA does not fit the NVIDIA driver, or no GPU is visible to this process" if nvidia_driver() else NO_DRIVER


class TorchScriptFommRuntime:
    """See `Graphs`. device: of loading.DEVICES, of which this runtime knows auto, cpu and cuda."""

    def __init__(self, directory: ModelDirectory, device: str) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._open(self._choose(device))

    def _choose(self, device: str) -> torch.device:
        if device not in {"auto", "cpu", "cuda"}:
            log.warning("computing on the CPU, not on %s: TorchScript runs on cpu and cuda only", device)
        if device in {"auto", "cuda"} and torch.cuda.is_available():
            return torch.device("cuda")
        if device == "cuda":
            log.warning("computing on the CPU, not on cuda: %s", why_no_cuda())
        return torch.device("cpu")

    def _open(self, device: torch.device) -> None:
        self._device = device
        self._dtype = torch.float16 if device.type == "cuda" else torch.float32
        names = self._directory.manifest.graphs["torchscript"]
        self._prepare = self._load(self._directory.file(names["prepare"]), ())
        self._animate = self._load(self._directory.file(names["animate"]), ("detect", "render"))
        # Held on the CPU, computed on a GPU by replay: one recording for each end of the graph.
        self._recordings: dict[str, CudaGraph] = {}
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
        how = "float16, TorchScript with CUDA graphs" if device.type == "cuda" else "float32, TorchScript"
        self.device = f"{name}, {how}"

    def _load(self, path: Path, methods: Sequence[str]) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit is deprecated as a compiler; as a file format it is what others can load
            try:
                module = torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
            except RuntimeError as error:
                raise ModelError(f"TorchScript cannot load {path}: {str(error).splitlines()[0]}") from error
            if missing := [name for name in methods if not hasattr(module, name)]:
                raise ModelError(f"{path} is no graph for livepuppet: it lacks the method {missing[0]}")
            module = module.to(self._device, self._dtype)
            if self._device.type == "cuda":
                module = module.to(memory_format=torch.channels_last)
            return torch.jit.freeze(module, preserved_attrs=list(methods))

    def prepare(self, portrait: Image) -> PreparedSource:
        try:
            return self._prepared(portrait)
        except (RuntimeError, torch.OutOfMemoryError) as error:
            self._leave_device(error)
            return self._prepared(portrait)

    def detect(self, driving: Image) -> tuple[Array, Array]:
        inputs = {"driving": torch.from_numpy(np.ascontiguousarray(driving))}
        value, jacobian = self._guarded("detect", DETECT_INPUTS, DETECT_OUTPUTS, inputs, None)
        return value, jacobian

    def render(
        self, prepared: PreparedSource, value: Array, jacobian: Array, reference: tuple[Array, Array] | None = None, scale: float = 1.0
    ) -> RuntimeOutput:
        reference_value, reference_jacobian = reference or (prepared.value, prepared.jacobian)
        inputs = {
            "source_value": torch.from_numpy(prepared.value),
            "source_jacobian": torch.from_numpy(prepared.jacobian),
            "reference_value": torch.from_numpy(reference_value),
            "reference_jacobian": torch.from_numpy(reference_jacobian),
            "scale": torch.tensor(scale, dtype=torch.float32),
            "motion_value": torch.from_numpy(value),
            "motion_jacobian": torch.from_numpy(jacobian),
        }
        image, mean, deformation, occlusion = self._guarded("render", RENDER_INPUTS, RENDER_OUTPUTS, inputs, prepared)
        return RuntimeOutput(image, bool(np.isfinite(mean)), deformation, occlusion)

    def close(self) -> None:
        self._recordings = {}
        self._prepare = self._animate = None

    def _prepared(self, portrait: Image) -> PreparedSource:
        picture = torch.from_numpy(np.ascontiguousarray(portrait)).to(self._device)
        with torch.inference_mode():
            features, small, value, jacobian = self._prepare(picture)
        held = {"features": features, "small": small}
        return PreparedSource(portrait, value.cpu().numpy(), jacobian.cpu().numpy(), held, self._animate)

    def _guarded(
        self, method: str, names: Sequence[str], outputs: Sequence[str], inputs: Mapping[str, Tensor], prepared: PreparedSource | None
    ) -> list[Any]:
        try:
            return self._run(method, names, outputs, inputs, prepared)
        except (RuntimeError, torch.OutOfMemoryError) as error:
            self._leave_device(error)
            return self._run(method, names, outputs, inputs, prepared)

    def _run(
        self, method: str, names: Sequence[str], outputs: Sequence[str], inputs: Mapping[str, Tensor], prepared: PreparedSource | None
    ) -> list[Any]:
        held: Mapping[str, Tensor] = {}
        if prepared is not None:
            if prepared.owner is not self._animate:
                prepared = self._prepared(prepared.portrait)
            held = prepared.held  # type: ignore[assignment]
        if self._device.type == "cuda":
            if method not in self._recordings:
                self._recordings[method] = CudaGraph(getattr(self._animate, method), names, {**inputs, **held}, self._device)
            return self._recordings[method].replay(inputs, held)
        with torch.inference_mode():
            found = getattr(self._animate, method)(*({**inputs, **held}[name] for name in names))
        return [tensor.numpy() for tensor in found]

    def _leave_device(self, error: RuntimeError) -> None:
        """Go on with the CPU when the GPU has no memory left; any other error is the caller's."""
        with self._lock:
            if self._device.type == "cpu" or not (isinstance(error, torch.OutOfMemoryError) or out_of_memory(error)):
                raise ModelError(f"TorchScript failed on {self.device}: {str(error).splitlines()[0]}") from error
            log.warning("%s has no memory left: computing on the CPU from here on", self.device)
            self.close()
            torch.cuda.empty_cache()
            self._open(torch.device("cpu"))


class CudaGraph:
    """A method of a module as a CUDA graph with its own input and output buffers. Not for several threads at once."""

    def __init__(self, method: Any, names: Sequence[str], inputs: Mapping[str, Tensor], device: torch.device) -> None:
        self._inputs = {name: inputs[name].to(device, copy=True) for name in names}
        self._pinned = {name: tensor.clone().pin_memory() for name, tensor in inputs.items() if tensor.device.type == "cpu"}
        self._held: dict[str, Tensor] = {}
        arguments = [self._inputs[name] for name in names]
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.inference_mode(), torch.cuda.stream(stream):
            for _ in range(WARM_UP_RUNS):
                method(*arguments)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.graph(self._graph):
            self._outputs = tuple(method(*arguments))
        self._results = [torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True) for tensor in self._outputs]

    def replay(self, inputs: Mapping[str, Tensor], held: Mapping[str, Tensor]) -> list[Any]:
        """Copy in, run, copy out, wait. What the device holds already is copied there, and only when it is another than last time."""
        for name, tensor in inputs.items():
            self._pinned[name].copy_(tensor)
            self._inputs[name].copy_(self._pinned[name], non_blocking=True)
        for name, tensor in held.items():
            if self._held.get(name) is not tensor:
                self._inputs[name].copy_(tensor)
                self._held[name] = tensor
        self._graph.replay()
        for result, tensor in zip(self._results, self._outputs, strict=True):
            result.copy_(tensor, non_blocking=True)
        torch.cuda.current_stream().synchronize()
        return [result.numpy().copy() for result in self._results]
