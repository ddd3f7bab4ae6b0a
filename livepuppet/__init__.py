"""livepuppet: bring a still portrait to life with your webcam, in real time.

Importing it is quick and changes nothing in the process: each name below is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from livepuppet.version import __version__

if TYPE_CHECKING:
    from livepuppet import models
    from livepuppet.errors import (
        FrameError,
        LivepuppetError,
        MissingPartError,
        ModelError,
        NoFaceError,
        OutputExistsError,
        PortraitError,
        RunError,
        SinkError,
        SourceError,
        UsageError,
    )
    from livepuppet.evidence.examine import examine
    from livepuppet.evidence.report import EvidenceReport
    from livepuppet.factory import open_engine, open_sink, open_source
    from livepuppet.live.assembly import open_puppet, run
    from livepuppet.live.puppet import Puppet
    from livepuppet.live.session import Limits, Session
    from livepuppet.live.stats import Statistics
    from livepuppet.protection.protect import protect
    from livepuppet.provenance.verification import VerificationResult, verify
    from livepuppet.rendering.job import RenderResult
    from livepuppet.rendering.render import render
    from livepuppet.types import Avatar, Closing, Engine, Frame, Image, Motion, Screen, Sink, Source, Status, Tuning
    from livepuppet.vision.portrait import load_portrait, shipped_avatars

_HOMES = {
    "errors": (
        "FrameError",
        "LivepuppetError",
        "MissingPartError",
        "ModelError",
        "NoFaceError",
        "OutputExistsError",
        "PortraitError",
        "RunError",
        "SinkError",
        "SourceError",
        "UsageError",
    ),
    "evidence.examine": ("examine",),
    "evidence.report": ("EvidenceReport",),
    "factory": ("open_engine", "open_sink", "open_source"),
    "live.assembly": ("open_puppet", "run"),
    "live.puppet": ("Puppet",),
    "live.session": ("Limits", "Session"),
    "live.stats": ("Statistics",),
    "protection.protect": ("protect",),
    "provenance.verification": ("VerificationResult", "verify"),
    "rendering.job": ("RenderResult",),
    "rendering.render": ("render",),
    "types": ("Avatar", "Closing", "Engine", "Frame", "Image", "Motion", "Screen", "Sink", "Source", "Status", "Tuning"),
    "vision.portrait": ("load_portrait", "shipped_avatars"),
}
"""Module -> the public names that live there."""
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Avatar",
    "Closing",
    "Engine",
    "EvidenceReport",
    "Frame",
    "FrameError",
    "Image",
    "Limits",
    "LivepuppetError",
    "MissingPartError",
    "ModelError",
    "Motion",
    "NoFaceError",
    "OutputExistsError",
    "PortraitError",
    "Puppet",
    "RenderResult",
    "RunError",
    "Screen",
    "Session",
    "Sink",
    "SinkError",
    "Source",
    "SourceError",
    "Statistics",
    "Status",
    "Tuning",
    "UsageError",
    "VerificationResult",
    "__version__",
    "examine",
    "load_portrait",
    "models",
    "open_engine",
    "open_puppet",
    "open_sink",
    "open_source",
    "protect",
    "render",
    "run",
    "shipped_avatars",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name == "models":
        return import_module("livepuppet.models")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'livepuppet' has no attribute '{name}'")
    value = getattr(import_module(f"livepuppet.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
