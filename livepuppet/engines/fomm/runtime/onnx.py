"""A model in ONNX Runtime: on CUDA, TensorRT, DirectML, CoreML or the CPU, and loud about which.

One session computes keypoints and pictures (export/onnx_files.py), its threads do not spin while they wait: they would
take the cores from MediaPipe, from the encoder of a recording and from the call the picture is for. On a GPU the portrait's features stay
there, bound once; a frame sends its picture and a few hundred bytes, and gets a picture back.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from livepuppet.engines.fomm.model_store import ModelDirectory
from livepuppet.engines.fomm.runtime.external_data import external_files
from livepuppet.engines.fomm.runtime.interface import (
    DETECT_INPUTS,
    DETECT_OUTPUTS,
    PREPARE_INPUTS,
    PREPARE_OUTPUTS,
    RENDER_INPUTS,
    RENDER_OUTPUTS,
    SWITCHES,
    Array,
    PreparedSource,
    RuntimeOutput,
)
from livepuppet.engines.fomm.runtime.providers import CPU, NAMES, OPTIONS, candidates, load_onnxruntime, out_of_memory, why_not
from livepuppet.errors import ModelError
from livepuppet.types import Image

log = logging.getLogger("livepuppet.engines.fomm.runtime.onnx")

NUMPY_TYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}
TRUE, FALSE = np.array(True), np.array(False)

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Sessions:
    """Both graphs, opened on one device. Never changed: a runtime that leaves the device opens new ones.

    Attributes:
        prepare, animate: sessions of ONNX Runtime, which may run in several threads at once.
        provider: the execution provider in use.
        on_device: whether tensors are kept on the GPU between calls.
        absent: content for the inputs of the end of `animate` that is not asked for; they must be there, but are never read.
        absent_held: the same, on the GPU.
    """

    prepare: Any
    animate: Any
    provider: str
    on_device: bool
    absent: Mapping[str, Any]
    absent_held: Mapping[str, Any]


class OnnxFommRuntime:
    """See `FommRuntime`.

    Args:
        device: of loading.DEVICES.

    Raises:
        ModelError: for a graph that is not what model.json says.
    """

    def __init__(self, directory: ModelDirectory, kind: str, device: str) -> None:
        self._directory, self._kind, self._asked = directory, kind, device
        self._paths = {part: check_external(directory, name) for part, name in directory.manifest.graphs[kind].items()}
        self._leaving = threading.Lock()
        self._sessions: Sessions | None = self._open(device)

    def _open(self, device: str) -> Sessions:
        onnxruntime = load_onnxruntime()

        available = onnxruntime.get_available_providers()
        wanted = candidates(device, available)
        if any(NAMES[provider] in {"cuda", "tensorrt"} for provider in wanted) and hasattr(onnxruntime, "preload_dlls"):
            onnxruntime.preload_dlls()  # finds the CUDA libraries that pip installed
        size, keypoints = self._directory.manifest.size, self._directory.manifest.keypoints
        prepare = open_onnx_session(self._paths["prepare"], wanted)
        animate = open_onnx_session(self._paths["animate"], wanted)
        check_names(self._paths["prepare"], prepare, PREPARE_INPUTS, PREPARE_OUTPUTS)
        check_names(self._paths["animate"], animate, (*SWITCHES, *DETECT_INPUTS, *RENDER_INPUTS), (*RENDER_OUTPUTS, *DETECT_OUTPUTS))
        check_shape(self._paths["prepare"], prepare, "portrait", (size, size, 3))
        check_shape(self._paths["animate"], animate, "driving", (size, size, 3))
        check_shape(self._paths["animate"], animate, "motion_value", (1, keypoints, 2))
        provider = str(animate.get_providers()[0])
        asked = candidates(device, available)[0] if device == "auto" else None
        missed = NAMES.get(provider) != device if device not in {"auto", "cpu"} else asked not in {None, provider}
        if missed:
            name = device if device != "auto" else NAMES[str(asked)]
            log.warning("computing on %s, not on %s: %s", NAMES.get(provider, provider), name, why_not(name, available))
        on_device = provider in {"CUDAExecutionProvider", "TensorrtExecutionProvider"}
        precision = "int8" if self._kind.endswith("int8") else "float16" if provider == "TensorrtExecutionProvider" else "float32"
        self.device = f"{NAMES.get(provider, provider)}, {precision}, ONNX Runtime {provider}"
        absent = {item.name: np.zeros([int(side) for side in item.shape], NUMPY_TYPES[item.type]) for item in animate.get_inputs()}
        to_gpu = onnxruntime.OrtValue.ortvalue_from_numpy
        absent_held = {name: to_gpu(array, "cuda", 0) for name, array in absent.items()} if on_device else {}
        return Sessions(prepare, animate, provider, on_device, absent, absent_held)

    def prepare(self, portrait: Image) -> PreparedSource:
        return self._on_any_device(lambda sessions: prepare_source(sessions, portrait))

    def detect(self, driving: Image) -> tuple[Array, Array]:
        inputs = {"driving": np.ascontiguousarray(driving), "detecting": TRUE, "rendering": FALSE}
        value, jacobian = self._on_any_device(lambda sessions: run_animate(sessions, DETECT_OUTPUTS, inputs, {}))
        return value, jacobian

    def render(
        self, prepared: PreparedSource, value: Array, jacobian: Array, reference: tuple[Array, Array] | None = None, scale: float = 1.0
    ) -> RuntimeOutput:
        reference_value, reference_jacobian = reference or (prepared.value, prepared.jacobian)
        inputs = {
            "source_value": prepared.value,
            "source_jacobian": prepared.jacobian,
            "reference_value": reference_value,
            "reference_jacobian": reference_jacobian,
            "scale": np.array(scale, np.float32),
            "motion_value": value,
            "motion_jacobian": jacobian,
            "detecting": FALSE,
            "rendering": TRUE,
        }

        def render(sessions: Sessions) -> list[Any]:
            return run_animate(sessions, RENDER_OUTPUTS, inputs, held_features(sessions, prepared))

        image, mean, deformation, occlusion = self._on_any_device(render)
        return RuntimeOutput(image, bool(np.isfinite(mean)), deformation, occlusion)

    def close(self) -> None:
        self._sessions = None

    def _on_any_device(self, work: Callable[[Sessions], Result]) -> Result:
        """Do it with the present sessions, and once more on the CPU where the device has no memory left.

        Threads that were at work when another one left the device fail or finish on their own sessions, which are never changed.
        """
        sessions = self._sessions
        assert sessions is not None, "the runtime is closed"
        try:
            return work(sessions)
        except Exception as error:  # ONNX Runtime has a class of error for each of its codes, without a common root
            return work(self._leave_device(sessions, error))

    def _leave_device(self, sessions: Sessions, error: Exception) -> Sessions:
        """Sessions on the CPU in place of these, whose device has no memory left; opened once, however many threads ask."""
        name = NAMES.get(sessions.provider, sessions.provider)
        if sessions.provider == CPU:
            if out_of_memory(error):
                raise ModelError("no memory left for the model: close other programs") from error
            raise ModelError(f"ONNX Runtime failed: {str(error).splitlines()[0]}") from error
        if not out_of_memory(error):
            raise ModelError(f"ONNX Runtime failed on {name}: {str(error).splitlines()[0]} (try the device cpu)") from error
        with self._leaving:
            if self._sessions is sessions:
                log.warning("%s has no memory left: computing on the CPU from here on", name)
                self._sessions = self._open("cpu")
            assert self._sessions is not None
            return self._sessions


def prepare_source(sessions: Sessions, portrait: Image) -> PreparedSource:
    """The portrait's features, kept on the sessions' device, and its keypoints."""
    portrait = np.ascontiguousarray(portrait)
    if not sessions.on_device:
        features, small, value, jacobian = sessions.prepare.run(list(PREPARE_OUTPUTS), {"portrait": portrait})
        return PreparedSource(portrait, value, jacobian, {"features": features, "small": small}, sessions)
    binding = sessions.prepare.io_binding()
    binding.bind_cpu_input("portrait", portrait)
    for name in ("features", "small"):
        binding.bind_output(name, "cuda")
    for name in ("source_value", "source_jacobian"):
        binding.bind_output(name, "cpu")
    sessions.prepare.run_with_iobinding(binding)
    features, small, value, jacobian = binding.get_outputs()
    return PreparedSource(portrait, value.numpy(), jacobian.numpy(), {"features": features, "small": small}, sessions)


def held_features(sessions: Sessions, prepared: PreparedSource) -> Mapping[str, Any]:
    """The portrait's features on the sessions' device; made again where they lie on one that was left."""
    if prepared.owner is not sessions:
        prepared = prepare_source(sessions, prepared.portrait)
    held: Mapping[str, Any] = prepared.held  # type: ignore[assignment]
    return held


def run_animate(sessions: Sessions, outputs: tuple[str, ...], inputs: Mapping[str, Any], held: Mapping[str, Any]) -> list[Any]:
    """One end of `animate`. Every call has its own binding, so that calls may run at once."""
    if not sessions.on_device:
        found: list[Any] = sessions.animate.run(list(outputs), {**sessions.absent, **inputs, **held})
        return found
    binding = sessions.animate.io_binding()
    for name, array in inputs.items():
        binding.bind_cpu_input(name, array)
    for name, value in {**sessions.absent_held, **held}.items():
        if name not in inputs:
            binding.bind_ortvalue_input(name, value)
    for name in outputs:
        binding.bind_output(name, "cpu")
    sessions.animate.run_with_iobinding(binding)
    return [value.numpy() for value in binding.get_outputs()]


def open_onnx_session(path: Path, providers: list[str]) -> Any:
    """A session of ONNX Runtime.

    Raises:
        ModelError: for a file that it cannot read.
    """
    onnxruntime = load_onnxruntime()

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # providers that fail are reported by us, in one line
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    configured = [(provider, OPTIONS.get(provider, {})) for provider in providers]
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=configured)
    except Exception as error:
        if len(providers) > 1 and out_of_memory(error):
            log.warning("%s has no memory left for the model: computing on the CPU", NAMES.get(providers[0], providers[0]))
            return open_onnx_session(path, [CPU])
        raise ModelError(f"ONNX Runtime cannot load {path}: {str(error).splitlines()[0]}") from error


def check_external(directory: ModelDirectory, name: str) -> Path:
    """The graph's path, after its external data, if any, was found to be listed in the manifest.

    Raises:
        ModelError: its message says what is wrong.
    """
    path = directory.file(name)
    for external in sorted(external_files(path)):
        if external not in directory.manifest.files:
            raise ModelError(f"{path} wants to read '{external}', which is not a listed file of its directory: do not use this model")
        directory.file(external)
    return path


def check_names(path: Path, session: Any, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
    """Raises ModelError where the graph's inputs or outputs are not those of the interface."""
    for what, wanted, items in (("inputs", inputs, session.get_inputs()), ("outputs", outputs, session.get_outputs())):
        found = {item.name for item in items}
        if found != set(wanted):
            raise ModelError(f"{path} is not a graph for livepuppet: its {what} are {sorted(found)}, they should be {sorted(wanted)}")


def check_shape(path: Path, session: Any, name: str, wanted: tuple[int, ...]) -> None:
    """Raises ModelError where an input has another shape than the manifest says."""
    shape = next(tuple(item.shape) for item in session.get_inputs() if item.name == name)
    if shape != wanted:
        raise ModelError(f"{path} does not fit its model.json: the input {name} is {shape}, it should be {wanted}")
