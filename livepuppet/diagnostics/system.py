"""What the program runs on, for reports and benchmarks: a measurement without its machine says nothing."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from livepuppet.version import __version__

PACKAGES = ("numpy", "opencv-contrib-python", "mediapipe", "onnxruntime", "onnxruntime-gpu", "torch", "av")


def describe_machine() -> dict[str, str]:
    """Facts by name: system, processor, cores this process may use, load, Python. Imports nothing heavy."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": processor_name(),
        "cores": str(core_count()),
        "load": system_load(),
        "python": platform.python_version(),
    }


def package_versions() -> dict[str, str]:
    """The versions of livepuppet and of the packages that do its work, as far as they are installed."""
    found = {"livepuppet": __version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def processor_name() -> str:
    """The processor's name as its maker writes it, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def core_count() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def system_load() -> str:
    """Runnable processes, mean of the last minute; '' where the system does not tell. Above the cores: timings are too long."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""


def installed_version(name: str) -> str:
    """The version of an installed package, '' if it is not."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
