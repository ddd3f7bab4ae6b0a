"""livepuppet: bring a still portrait to life with your webcam, in real time.

Importing it is quick and changes nothing in the process: each name below is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from livepuppet.version import __version__

if TYPE_CHECKING:
    from livepuppet.errors import LivepuppetError, NoFaceError, PortraitError, RunError, SinkError, SourceError, UsageError
    from livepuppet.factory import open_engine, open_puppet, open_sink, open_source
    from livepuppet.live.puppet import Puppet
    from livepuppet.live.session import Session
    from livepuppet.provenance.verification import VerificationResult, verify
    from livepuppet.types import Avatar, Engine, Frame, Image, Motion, Sink, Source, Tuning
    from livepuppet.vision.portrait import load_portrait

_HOMES = {
    "errors": ("LivepuppetError", "NoFaceError", "PortraitError", "RunError", "SinkError", "SourceError", "UsageError"),
    "types": ("Avatar", "Engine", "Frame", "Image", "Motion", "Sink", "Source", "Tuning"),
    "factory": ("open_engine", "open_puppet", "open_sink", "open_source"),
    "provenance.verification": ("VerificationResult", "verify"),
    "vision.portrait": ("load_portrait",),
    "live.puppet": ("Puppet",),
    "live.session": ("Session",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Avatar",
    "Engine",
    "Frame",
    "Image",
    "LivepuppetError",
    "Motion",
    "NoFaceError",
    "PortraitError",
    "Puppet",
    "RunError",
    "Session",
    "Sink",
    "SinkError",
    "Source",
    "SourceError",
    "Tuning",
    "UsageError",
    "VerificationResult",
    "__version__",
    "load_portrait",
    "open_engine",
    "open_puppet",
    "open_sink",
    "open_source",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'livepuppet' has no attribute '{name}'")
    value = getattr(import_module(f"livepuppet.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
