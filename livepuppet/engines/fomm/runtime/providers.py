"""Which of ONNX Runtime's execution providers to use for a device, and why one that was wanted cannot be had.

ONNX Runtime lists providers that it cannot start, and falls back to the CPU without raising: the truth is `session.get_providers()`.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

CPU = "CPUExecutionProvider"
PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "cpu": CPU,
}
AUTOMATIC = ("cuda", "directml", "coreml")
"""Tried in this order. TensorRT builds an engine for minutes at its first start, so only who asks for it gets it."""

NAMES = {provider: device for device, provider in PROVIDERS.items()}

OPTIONS: dict[str, dict[str, Any]] = {
    "CUDAExecutionProvider": {
        "cudnn_conv_algo_search": "HEURISTIC",  # the exhaustive search costs seconds per start for a few per cent
        "arena_extend_strategy": "kSameAsRequested",  # doubling the arena takes memory that calls and games want
        "use_tf32": "1",
    },
    "TensorrtExecutionProvider": {"trt_fp16_enable": "True", "trt_engine_cache_enable": "True"},
}


def load_onnxruntime() -> Any:
    """The package, imported so that it reports to nobody.

    Since 1.31 it writes a device id and events to the user's folders and looks up its maker's collector, from the import on: the variable
    counts, a call afterwards comes too late.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime


def candidates(device: str, available: list[str]) -> list[str]:
    """Providers to try for a device, best first; the CPU comes last and always."""
    if device == "cpu":
        return [CPU]
    wanted = AUTOMATIC if device == "auto" else ("tensorrt", "cuda") if device == "tensorrt" else (device,)
    chosen = [PROVIDERS[name] for name in wanted if PROVIDERS[name] in available]
    if device == "auto" and not nvidia_driver():
        chosen = [provider for provider in chosen if NAMES[provider] not in {"cuda", "tensorrt"}]
    return [*chosen, CPU]


NO_DRIVER = "no NVIDIA driver answers on this machine"


def why_not(device: str, available: list[str]) -> str:
    """What to do about a device that was asked for and is not in use: one clause for a person."""
    if device in {"cuda", "tensorrt"}:
        if not nvidia_driver():
            return NO_DRIVER
        if PROVIDERS[device] not in available:
            return "this ONNX Runtime was built without it: pip install onnxruntime-gpu, and uninstall onnxruntime"
        return "its CUDA or cuDNN libraries were not found or do not fit: pip install 'livepuppet[cuda]'"
    if PROVIDERS.get(device) not in available:
        package = "onnxruntime-directml" if device == "directml" else "onnxruntime"
        return f"this ONNX Runtime was built without it: see the package {package} for your platform"
    return "ONNX Runtime could not start it for this model"


def nvidia_driver() -> bool:
    """Whether an NVIDIA driver answers. Asked of the driver itself: no CUDA toolkit is needed for it, and nothing is allocated."""
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        return int(ctypes.CDLL(library).cuInit(0)) == 0
    except OSError:
        return False


def out_of_memory(error: BaseException) -> bool:
    """Whether an error of a runtime means that the device has no memory left."""
    text = str(error).lower()
    return any(sign in text for sign in ("out of memory", "failed to allocate", "alloc_failed", "bad_alloc", "not enough memory"))
