"""What neural models would be computed on, asked of the runtimes themselves by running a graph, and why it is not the GPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from livepuppet.diagnostics.finding import Finding, brief_line
from livepuppet.diagnostics.system import installed_version

PROBE = Path(__file__).parents[1] / "assets" / "probe.onnx"
"""A model of one Relu on one float: enough to see which device a session is given."""


def check_inference() -> Iterator[Finding]:
    from livepuppet.engines.fomm.runtime.providers import AUTOMATIC, CPU, PROVIDERS, load_onnxruntime, nvidia_driver, why_not

    driver = nvidia_driver()
    try:
        import numpy as np

        onnxruntime = load_onnxruntime()

        onnxruntime.set_default_logger_severity(4)  # a provider that cannot start is reported below, in one line
        available = onnxruntime.get_available_providers()
        wanted = [PROVIDERS[name] for name in AUTOMATIC if PROVIDERS[name] in available]
        session = onnxruntime.InferenceSession(str(PROBE), providers=[*wanted, CPU])
        session.run(None, {"x": np.ones(1, np.float32)})
        used = session.get_providers()
    except (ImportError, RuntimeError, ValueError, OSError) as error:
        yield Finding(
            "inference", "bad", f"ONNX Runtime does not work: {brief_line(error)}", "pip install --force-reinstall onnxruntime-gpu"
        )
        return
    version = onnxruntime.__version__
    facts = {"onnxruntime": version, "available": available, "used": used, "nvidia_driver": driver}
    device = next((name for name, provider in PROVIDERS.items() if provider == used[0]), used[0])
    if used[0] != CPU:
        yield Finding("inference", "good", f"ONNX Runtime {version} computes on {device}", facts=facts)
    elif driver:
        reason, _, repair = why_not("cuda", available).rpartition(": ")
        yield Finding(
            "inference", "bad", f"ONNX Runtime {version} computes on the CPU although there is an NVIDIA GPU: {reason}", repair, facts
        )
    else:
        text = f"ONNX Runtime {version} computes on the CPU: {why_not('cuda', available)}"
        yield Finding("inference", "good", text, facts=facts)
    yield from check_torch(driver)


def check_torch(driver: bool) -> Iterator[Finding]:
    """PyTorch, where the extra is installed."""
    if not installed_version("torch"):
        yield Finding("inference", "good", "PyTorch is not installed; only TorchScript models, import and training need it")
        return
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Finding("inference", "bad", f"PyTorch does not load: {brief_line(error)}", "pip install --force-reinstall torch")
        return
    facts = {"torch": torch.__version__, "cuda": torch.version.cuda}
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name(0)
        yield Finding("inference", "good", f"PyTorch {torch.__version__} computes on {name}", facts={**facts, "device": name})
    elif driver:
        reason = "this build has no CUDA" if torch.version.cuda is None else "its CUDA does not fit the driver"
        repair = "pip install --force-reinstall torch, choosing the CUDA build at https://pytorch.org/get-started/locally"
        yield Finding(
            "inference", "bad", f"PyTorch {torch.__version__} computes on the CPU although there is an NVIDIA GPU: {reason}", repair, facts
        )
    elif torch.backends.mps.is_available():
        yield Finding("inference", "good", f"PyTorch {torch.__version__} computes on the Mac's GPU", facts={**facts, "device": "mps"})
    else:
        yield Finding("inference", "good", f"PyTorch {torch.__version__} computes on the CPU: no GPU that it can use", facts=facts)
