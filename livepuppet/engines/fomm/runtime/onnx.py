"""A model in ONNX Runtime: on CUDA, TensorRT, DirectML, CoreML or the CPU, and loud about which.

One session computes keypoints and pictures (export/onnx_files.py), its threads do not spin while they wait: they would
take the cores from MediaPipe, from the encoder of a recording and from the call the picture is for. On a GPU the portrait's features stay
there, bound once; a frame sends its picture and a few hundred bytes, and gets a picture back.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
from livepuppet.engines.fomm.runtime.providers import CPU, NAMES, OPTIONS, candidates, out_of_memory, why_not
from livepuppet.errors import ModelError
from livepuppet.types import Image

log = logging.getLogger("livepuppet.engines.fomm.runtime.onnx")

NUMPY_TYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}
TRUE, FALSE = np.array(True), np.array(False)


class OnnxFommRuntime:
    """See `Graphs`. device: of loading.DEVICES. Raises ModelError for a graph that is not what model.json says."""

    def __init__(self, directory: ModelDirectory, kind: str, device: str) -> None:
        self._directory, self._kind, self._asked = directory, kind, device
        self._paths = {part: check_external(directory, name) for part, name in directory.manifest.graphs[kind].items()}
        self._lock = threading.Lock()
        self._open(device)

    def _open(self, device: str) -> None:
        import onnxruntime

        available = onnxruntime.get_available_providers()
        wanted = candidates(device, available)
        if any(NAMES[provider] in {"cuda", "tensorrt"} for provider in wanted) and hasattr(onnxruntime, "preload_dlls"):
            onnxruntime.preload_dlls()  # finds the CUDA libraries that pip installed
        size, keypoints = self._directory.manifest.size, self._directory.manifest.keypoints
        self._prepare = open_onnx_session(self._paths["prepare"], wanted)
        self._animate = open_onnx_session(self._paths["animate"], wanted)
        check_names(self._paths["prepare"], self._prepare, PREPARE_INPUTS, PREPARE_OUTPUTS)
        check_names(self._paths["animate"], self._animate, (*SWITCHES, *DETECT_INPUTS, *RENDER_INPUTS), (*RENDER_OUTPUTS, *DETECT_OUTPUTS))
        check_shape(self._paths["prepare"], self._prepare, "portrait", (size, size, 3))
        check_shape(self._paths["animate"], self._animate, "driving", (size, size, 3))
        check_shape(self._paths["animate"], self._animate, "motion_value", (1, keypoints, 2))
        self._provider = self._animate.get_providers()[0]
        asked = candidates(device, available)[0] if device == "auto" else None
        missed = NAMES.get(self._provider) != device if device not in {"auto", "cpu"} else asked not in {None, self._provider}
        if missed:
            name = device if device != "auto" else NAMES[str(asked)]
            log.warning("computing on %s, not on %s: %s", NAMES.get(self._provider, self._provider), name, why_not(name, available))
        self._on_device = self._provider in {"CUDAExecutionProvider", "TensorrtExecutionProvider"}
        precision = "int8" if self._kind.endswith("int8") else "float16" if self._provider == "TensorrtExecutionProvider" else "float32"
        self.device = f"{NAMES.get(self._provider, self._provider)}, {precision}, ONNX Runtime {self._provider}"
        # An input of the end that is not asked for must be there all the same; its content is never read.
        self._absent = {
            item.name: np.zeros([int(side) for side in item.shape], NUMPY_TYPES[item.type]) for item in self._animate.get_inputs()
        }
        self._absent_held = {name: self._hold(array) for name, array in self._absent.items()} if self._on_device else {}

    def _hold(self, array: np.ndarray[Any, Any]) -> Any:
        import onnxruntime

        return onnxruntime.OrtValue.ortvalue_from_numpy(array, "cuda", 0)

    def prepare(self, portrait: Image) -> PreparedSource:
        try:
            return self._prepared(portrait)
        except Exception as error:
            self._leave_device(error)
            return self._prepared(portrait)

    def detect(self, driving: Image) -> tuple[Array, Array]:
        inputs = {"driving": np.ascontiguousarray(driving), "detecting": TRUE, "rendering": FALSE}
        try:
            value, jacobian = self._run(DETECT_OUTPUTS, inputs, {})
        except Exception as error:
            self._leave_device(error)
            value, jacobian = self._run(DETECT_OUTPUTS, inputs, {})
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
        try:
            outputs = self._run(RENDER_OUTPUTS, inputs, self._held(prepared))
        except Exception as error:
            self._leave_device(error)
            outputs = self._run(RENDER_OUTPUTS, inputs, self._held(prepared))
        image, mean, deformation, occlusion = outputs
        return RuntimeOutput(image, bool(np.isfinite(mean)), deformation, occlusion)

    def close(self) -> None:
        self._prepare = self._animate = None
        self._absent_held = {}

    def _held(self, prepared: PreparedSource) -> Mapping[str, Any]:
        """The portrait's features on the device in use; made again where they lie on one that was left."""
        if prepared.owner is not self._animate:
            prepared = self._prepared(prepared.portrait)
        held: Mapping[str, Any] = prepared.held  # type: ignore[assignment]
        return held

    def _prepared(self, portrait: Image) -> PreparedSource:
        portrait = np.ascontiguousarray(portrait)
        if not self._on_device:
            features, small, value, jacobian = self._prepare.run(list(PREPARE_OUTPUTS), {"portrait": portrait})
            return PreparedSource(portrait, value, jacobian, {"features": features, "small": small}, self._animate)
        binding = self._prepare.io_binding()
        binding.bind_cpu_input("portrait", portrait)
        for name in ("features", "small"):
            binding.bind_output(name, "cuda")
        for name in ("source_value", "source_jacobian"):
            binding.bind_output(name, "cpu")
        self._prepare.run_with_iobinding(binding)
        features, small, value, jacobian = binding.get_outputs()
        return PreparedSource(portrait, value.numpy(), jacobian.numpy(), {"features": features, "small": small}, self._animate)

    def _run(self, outputs: tuple[str, ...], inputs: Mapping[str, Any], held: Mapping[str, Any]) -> list[Any]:
        if not self._on_device:
            found: list[Any] = self._animate.run(list(outputs), {**self._absent, **inputs, **held})
            return found
        binding = self._animate.io_binding()
        for name, array in inputs.items():
            binding.bind_cpu_input(name, array)
        for name, value in {**self._absent_held, **held}.items():
            if name not in inputs:
                binding.bind_ortvalue_input(name, value)
        for name in outputs:
            binding.bind_output(name, "cpu")
        self._animate.run_with_iobinding(binding)
        return [value.numpy() for value in binding.get_outputs()]

    def _leave_device(self, error: Exception) -> None:
        """Go on with the CPU when the device has no memory left; any other error is the caller's."""
        with self._lock:
            if self._provider == CPU:
                if out_of_memory(error):
                    raise ModelError("no memory left for the model: close other programs") from error
                raise ModelError(f"ONNX Runtime failed: {str(error).splitlines()[0]}") from error
            if not out_of_memory(error):
                raise ModelError(f"ONNX Runtime failed on {self.device}: {str(error).splitlines()[0]} (try --device cpu)") from error
            log.warning("%s has no memory left: computing on the CPU from here on", NAMES.get(self._provider, self._provider))
            self.close()
            self._open("cpu")


def open_onnx_session(path: Path, providers: list[str]) -> Any:
    """A session of ONNX Runtime. Raises ModelError for a file that it cannot read."""
    import onnxruntime

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
    """The graph's path, after its external data, if any, was found to be listed in the manifest. Raises ModelError."""
    path = directory.file(name)
    for external in sorted(external_files(path)):
        if external not in directory.manifest.files:
            raise ModelError(f"{path} wants to read '{external}', which is no listed file of its directory: do not use this model")
        directory.file(external)
    return path


def check_names(path: Path, session: Any, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
    """Raises ModelError where the graph's inputs or outputs are not those of the interface."""
    for what, wanted, items in (("inputs", inputs, session.get_inputs()), ("outputs", outputs, session.get_outputs())):
        found = {item.name for item in items}
        if found != set(wanted):
            raise ModelError(f"{path} is no graph for livepuppet: its {what} are {sorted(found)}, they should be {sorted(wanted)}")


def check_shape(path: Path, session: Any, name: str, wanted: tuple[int, ...]) -> None:
    """Raises ModelError where an input has another shape than the manifest says."""
    shape = next(tuple(item.shape) for item in session.get_inputs() if item.name == name)
    if shape != wanted:
        raise ModelError(f"{path} does not fit its model.json: the input {name} is {shape}, it should be {wanted}")
