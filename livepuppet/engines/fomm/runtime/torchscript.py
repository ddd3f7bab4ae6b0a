"""A model in TorchScript: CUDA graphs, channels-last and float16 on NVIDIA GPUs, float32 on the CPU.

A CUDA graph replays some hundred kernels with one launch: at 256 pixels the launches cost more than the arithmetic. It needs every buffer
at a fixed place, so inputs are copied into the graph's own, through page-locked memory. Coordinates stay float32 inside the networks.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from livepuppet.engines.fomm.model_store import ModelDirectory
from livepuppet.engines.fomm.runtime.interface import (
    DETECT_INPUTS,
    RENDER_INPUTS,
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


Result = TypeVar("Result")


def why_no_cuda() -> str:
    """Why PyTorch does not compute on an NVIDIA GPU here, after it said that it cannot."""
    if not torch.version.cuda:
        return "this PyTorch was built without CUDA"
    return "its CUDA does not fit the NVIDIA driver, or no GPU is visible to this process" if nvidia_driver() else NO_DRIVER


@dataclass(frozen=True, eq=False)
class Modules:
    """Both graphs, loaded on one device. Never changed but for the CUDA graphs, which `recording` guards.

    Attributes:
        device: where they compute.
        prepare, animate: frozen TorchScript modules, which may run in several threads at once.
        graphs: `animate`'s ends as CUDA graphs, recorded at their first use.
        recording: held while a CUDA graph is recorded or replayed: its buffers serve one call at a time.
    """

    device: torch.device
    prepare: Any
    animate: Any
    graphs: dict[str, CudaGraph] = field(default_factory=dict)
    recording: threading.Lock = field(default_factory=threading.Lock)


class TorchScriptFommRuntime:
    """See `FommRuntime`.

    Args:
        device: of loading.DEVICES, of which this runtime knows auto, cpu and cuda.
    """

    def __init__(self, directory: ModelDirectory, device: str) -> None:
        self._directory = directory
        self._leaving = threading.Lock()
        self._modules: Modules | None = self._open(self._choose(device))

    def _choose(self, device: str) -> torch.device:
        if device not in {"auto", "cpu", "cuda"}:
            log.warning("computing on the CPU, not on %s: TorchScript runs on cpu and cuda only", device)
        if device in {"auto", "cuda"} and torch.cuda.is_available():
            return torch.device("cuda")
        if device == "cuda":
            log.warning("computing on the CPU, not on cuda: %s", why_no_cuda())
        return torch.device("cpu")

    def _open(self, device: torch.device) -> Modules:
        names = self._directory.manifest.graphs["torchscript"]
        prepare = load_module(self._directory.file(names["prepare"]), (), device)
        animate = load_module(self._directory.file(names["animate"]), ("detect", "render"), device)
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
        precision = "float16, TorchScript with CUDA graphs" if device.type == "cuda" else "float32, TorchScript"
        self.device = f"{name}, {precision}"
        return Modules(device, prepare, animate)

    def prepare(self, portrait: Image) -> PreparedSource:
        return self._on_any_device(lambda modules: prepare_on(modules, portrait))

    def detect(self, driving: Image) -> tuple[Array, Array]:
        inputs = {"driving": torch.from_numpy(np.ascontiguousarray(driving))}
        value, jacobian = self._on_any_device(lambda modules: run_method(modules, "detect", DETECT_INPUTS, inputs, {}))
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

        def render(modules: Modules) -> list[Any]:
            held = prepared if prepared.owner is modules else prepare_on(modules, prepared.portrait)
            return run_method(modules, "render", RENDER_INPUTS, inputs, held.held)  # type: ignore[arg-type]

        image, mean, deformation, occlusion = self._on_any_device(render)
        return RuntimeOutput(image, bool(np.isfinite(mean)), deformation, occlusion)

    def close(self) -> None:
        self._modules = None

    def _on_any_device(self, work: Callable[[Modules], Result]) -> Result:
        """Do it with the present modules, and once more on the CPU where the GPU has no memory left.

        Threads that were at work when another one left the GPU fail or finish on their own modules, which are never changed.
        """
        modules = self._modules
        assert modules is not None, "the runtime is closed"
        try:
            return work(modules)
        except (RuntimeError, torch.OutOfMemoryError) as error:
            return work(self._leave_device(modules, error))

    def _leave_device(self, modules: Modules, error: RuntimeError) -> Modules:
        """Modules on the CPU in place of these, whose GPU has no memory left; loaded once, however many threads ask."""
        if modules.device.type == "cpu" or not (isinstance(error, torch.OutOfMemoryError) or out_of_memory(error)):
            raise ModelError(f"TorchScript failed on {modules.device.type}: {str(error).splitlines()[0]}") from error
        with self._leaving:
            if self._modules is modules:
                log.warning("%s has no memory left: computing on the CPU from here on", self.device)
                self._modules = self._open(torch.device("cpu"))
                modules.graphs.clear()
                torch.cuda.empty_cache()
            assert self._modules is not None
            return self._modules


def load_module(path: Path, methods: Sequence[str], device: torch.device) -> Any:
    """A frozen module on its device, float16 there and float32 on the CPU.

    Raises:
        ModelError: for a file that is none.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated as a compiler; as a file format it is what others can load
        try:
            module = torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise ModelError(f"TorchScript cannot load {path}: {str(error).splitlines()[0]}") from error
        if missing := [name for name in methods if not hasattr(module, name)]:
            raise ModelError(f"{path} is not a graph for livepuppet: it lacks the method {missing[0]}")
        module = module.to(device, torch.float16 if device.type == "cuda" else torch.float32)
        if device.type == "cuda":
            module = module.to(memory_format=torch.channels_last)
        return torch.jit.freeze(module, preserved_attrs=list(methods))


def prepare_on(modules: Modules, portrait: Image) -> PreparedSource:
    """The portrait's features, kept on the modules' device, and its keypoints."""
    image = torch.from_numpy(np.ascontiguousarray(portrait)).to(modules.device)
    with torch.inference_mode():
        features, small, value, jacobian = modules.prepare(image)
    return PreparedSource(portrait, value.cpu().numpy(), jacobian.cpu().numpy(), {"features": features, "small": small}, modules)


def run_method(modules: Modules, method: str, names: Sequence[str], inputs: Mapping[str, Tensor], held: Mapping[str, Tensor]) -> list[Any]:
    """One end of `animate`. On a GPU one thread at a time: a CUDA graph has one set of buffers."""
    if modules.device.type == "cuda":
        with modules.recording:
            if method not in modules.graphs:
                modules.graphs[method] = CudaGraph(getattr(modules.animate, method), names, {**inputs, **held}, modules.device)
            return modules.graphs[method].replay(inputs, held)
    with torch.inference_mode():
        found = getattr(modules.animate, method)(*({**inputs, **held}[name] for name in names))
    return [tensor.numpy() for tensor in found]


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
