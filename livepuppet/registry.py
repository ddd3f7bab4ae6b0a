"""The table of parts: kind and name -> where it lives. Looked up by name, imported only when asked for.

A new engine, source or sink is one new file and one line here.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Literal, overload

from livepuppet.errors import MissingPartError
from livepuppet.types import OpenEngine, OpenSource, Sink

PartKind = Literal["engine", "source", "sink"]

PARTS: dict[PartKind, dict[str, str]] = {
    "engine": {
        "landmark": "livepuppet.engines.landmark:LandmarkEngine",
        "fomm": "livepuppet.engines.fomm:FommEngine",
    },
    "source": {
        "camera": "livepuppet.sources.camera:CameraSource",
        "video": "livepuppet.sources.video:VideoSource",
        "demo": "livepuppet.sources.demo:DemoSource",
        "microphone": "livepuppet.sources.microphone:MicrophoneSource",
        "vmc": "livepuppet.sources.trackers.vmc:VmcSource",
        "ifacialmocap": "livepuppet.sources.trackers.ifacialmocap:IFacialMocapSource",
        "livelink": "livepuppet.sources.trackers.livelink:LiveLinkSource",
    },
    "sink": {
        "window": "livepuppet.sinks.window:Window",
        "virtual": "livepuppet.sinks.virtual_camera:VirtualCamera",
        "file": "livepuppet.sinks.recorder:Recorder",
        "none": "livepuppet.sinks.null:NullSink",
        "vmc": "livepuppet.sinks.vmc:VmcSender",
    },
}

EXTRAS = {"torch": "torch", "yaml": "torch", "onnx": "torch", "ray": "ray", "c2pa": "c2pa"}
"""Packages that a plain installation lacks -> the extra that brings them."""


@overload
def find_part(kind: Literal["engine"], name: str) -> Callable[..., OpenEngine]: ...
@overload
def find_part(kind: Literal["source"], name: str) -> Callable[..., OpenSource]: ...
@overload
def find_part(kind: Literal["sink"], name: str) -> Callable[..., Sink]: ...
def find_part(kind: PartKind, name: str) -> Callable[..., OpenEngine | OpenSource | Sink]:
    """The class of a part, imported now.

    Raises:
        MissingPartError: no part has that name (the known ones are named), or its extra is not installed (pip's line is given).
    """
    known = PARTS[kind]
    if name not in known:
        raise MissingPartError(f"no {kind} named '{name}': choose one of {', '.join(known)}", parameter=kind)
    module, _, attribute = known[name].partition(":")
    try:
        part: Callable[..., OpenEngine | OpenSource | Sink] = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in EXTRAS:
            raise MissingPartError(f"{kind} '{name}' needs the package {missing}: pip install 'livepuppet[{EXTRAS[missing]}]'") from error
        raise
    return part
