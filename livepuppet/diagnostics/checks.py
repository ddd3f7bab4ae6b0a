"""What the doctor looks at: each check is a function that gives findings and never raises for what it finds wrong."""

from __future__ import annotations

import os
import platform
import sys
import threading
import time
from collections.abc import Iterator

from livepuppet.devices import Device
from livepuppet.diagnostics.finding import Check, Finding, State, brief_line
from livepuppet.diagnostics.system import installed_version
from livepuppet.engines.fomm import model_store as artifacts
from livepuppet.errors import LivepuppetError
from livepuppet.version import __version__

INSTALL = "livepuppet virtual-camera install"
PACKAGES = ("numpy", "opencv-contrib-python", "mediapipe", "onnxruntime-gpu", "onnxruntime", "pyvirtualcam", "av", "torch")
RIVALS = ("opencv-python", "opencv-python-headless", "opencv-contrib-python-headless")
"""They share a folder with opencv-contrib-python, and whichever was installed last overwrote the others."""
SMOOTH_FPS, USABLE_FPS = 28.0, 14.0
BENCHMARK_S = 2.0
WARM_UP_S = 0.7
"""MediaPipe's graphs start with their first frames; the rate is that of the last two seconds."""
BENCHMARK_SIZE = (1280, 720)


def check_versions() -> Iterator[Finding]:
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    python = platform.python_version()
    facts = {"livepuppet": __version__, "python": python, "system": system, "cpus": os.cpu_count()}
    yield Finding("versions", "good", f"livepuppet {__version__}, Python {python}, {system}, {os.cpu_count()} CPUs", facts=facts)
    found = {name: version for name in PACKAGES if (version := installed_version(name))}
    yield Finding("versions", "good", ", ".join(f"{name} {version}" for name, version in found.items()), facts=found)
    rivals = [name for name in RIVALS if installed_version(name)]
    if rivals:
        names = " ".join(rivals)
        repair = f"pip uninstall -y {names} opencv-contrib-python && pip install opencv-contrib-python"
        yield Finding("versions", "bad", f"{' and '.join(rivals)} overwrote parts of opencv-contrib-python", repair, {"rivals": rivals})


def check_cameras() -> Iterator[Finding]:
    """Each capture device, opened and timed; loopbacks are not opened."""
    from livepuppet.devices import list_cameras
    from livepuppet.diagnostics.camera_probe import probe_camera

    real = [device for device in list_cameras() if not device.accepts]
    if not real:
        yield Finding("cameras", "note", "no camera: the built-in demo performance plays instead", no_camera_fix())
    for device in real:
        seen = probe_camera(device)
        facts = {"index": device.index, "name": device.label, "driver": device.driver, **seen.facts()}
        what = f"{device.index} {device.label}"
        if seen.problem:
            yield Finding("cameras", "bad", f"{what}: {seen.problem}", "", facts)
            continue
        text = f"{what}: opens in {seen.opened_s:.1f} s, {seen.size[0]}x{seen.size[1]}, {seen.fps:.0f} fps measured"
        if seen.black:
            yield Finding("cameras", "bad", f"{text}, but black", "open its cover, and close other programs that use it", facts)
        elif seen.fps < USABLE_FPS:
            yield Finding("cameras", "note", text, "more light makes a webcam faster; so does a USB port of its own", facts)
        else:
            yield Finding("cameras", "good", text, "", facts)


def no_camera_fix() -> str:
    if sys.platform == "win32":
        return "plug one in; Settings > Privacy & security > Camera must allow desktop apps"
    if sys.platform == "darwin":
        return "plug one in; System Settings > Privacy & Security > Camera must allow the terminal"
    return "plug one in; if there is one: lsusb shows it, and sudo modprobe uvcvideo loads its driver"


def check_virtual_cameras() -> Iterator[Finding]:
    from livepuppet.devices import list_virtual_cameras

    found = list_virtual_cameras()
    yield from (describe_sink(device) for device in found)
    if sys.platform == "linux":
        from livepuppet.sinks.virtual_camera.pipewire import pipewire_obstacle

        reason = pipewire_obstacle()
        if not found:
            better = "PipeWire is used instead" if not reason else "--output virtual has nowhere to go"
            yield Finding("virtual camera", "note" if not reason else "bad", f"no v4l2loopback camera: {better}", INSTALL)
        text = f"PipeWire: {reason}" if reason else "PipeWire: a camera for Firefox, OBS and other desktop programs can be offered"
        yield Finding("virtual camera", "note" if reason else "good", text, facts={"pipewire": reason or "ready"})
    elif not found:
        yield Finding("virtual camera", "bad", "no virtual camera is installed", INSTALL)


def describe_sink(device: Device) -> Finding:
    """One virtual camera."""
    place = device.path if device.path.startswith("/dev/") else ""
    state = "shows a picture now" if device.captures and sys.platform == "linux" else ""
    text = " ".join(part for part in (device.label, place, f"({device.driver})" if device.driver else "", state) if part)
    facts = {"name": device.label, "path": device.path, "driver": device.driver}
    if device.driver == "v4l2 loopback" and not device.captures:
        from livepuppet.devices.v4l2 import seen_by_browsers

        if not seen_by_browsers(device.path):
            return Finding("virtual camera", "note", f"{text}: without exclusive_caps=1, so Chrome and Zoom do not list it", INSTALL, facts)
    return Finding("virtual camera", "good", text, facts=facts)


def check_display() -> Iterator[Finding]:
    from livepuppet.factory import screen_available

    if screen_available():
        where = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or platform.system()
        yield Finding("display", "good", f"a window can be opened ({where})", facts={"display": where})
    else:
        text = "no display: the default run writes livepuppet.mp4 instead of opening a window"
        yield Finding("display", "note", text, "export DISPLAY=:0, or log in at the desktop, to see a window", {"display": None})


def check_face_model() -> Iterator[Finding]:
    """Whether the model that finds faces loads and finds one."""
    from livepuppet.vision.face_landmarks import find_faces
    from livepuppet.vision.mediapipe_models import carries_models
    from livepuppet.vision.portrait import load_portrait, shipped_avatars

    started = time.monotonic()
    try:
        faces = find_faces(load_portrait(shipped_avatars()[0]))
    except (LivepuppetError, ImportError, RuntimeError, OSError, ValueError) as error:
        repair = "pip install --force-reinstall livepuppet" if isinstance(error, ImportError) else ""
        yield Finding("face model", "broken", f"the face model does not load: {brief_line(error)}", repair)
        return
    took = time.monotonic() - started
    facts = {"seconds": round(took, 2), "faces": len(faces)}
    if faces:
        yield Finding("face model", "good", f"finds the face in a shipped avatar ({took:.1f} s with loading)", facts=facts)
        yield from missing_features(carries_models())
    else:
        text = "the face model loads but finds no face in a shipped avatar"
        yield Finding("face model", "broken", text, "pip install --force-reinstall mediapipe opencv-contrib-python", facts)


def missing_features(carried: bool) -> Iterator[Finding]:
    """What this Python's MediaPipe cannot do.

    Args:
        carried: whether its models are inside it.
    """
    if carried:
        return
    older = "Python 3.10 to 3.12 has it"
    still = "no still background: MediaPipe for this Python tells no person from the background, which moves along with the head"
    yield Finding("face model", "note", still, older, {"still_background": False})
    yield Finding(
        "face model", "note", "no transparent background: render --background transparent is refused", older, {"transparency": False}
    )
    small = "small faces are searched part by part: found as elsewhere, but several times slower"
    yield Finding("face model", "note", small, older.replace("has it", "is faster"), {"small_faces": True})


def check_models() -> Iterator[Finding]:
    """Neural models, each file compared with its checksum."""
    found = artifacts.installed_models()
    if not found:
        yield Finding("models", "good", "none installed; the landmark engine needs none", facts={"models": []})
    for model in found:
        name = model.path.name
        try:
            model.verify()
        except LivepuppetError as error:
            yield Finding("models", "bad", f"{name}: {brief_line(error)}", repair_command(model), {"name": name})
        else:
            yield Finding("models", "good", f"{name}: complete, checksums right", facts={"name": name})


def repair_command(model: artifacts.ModelDirectory) -> str:
    """A shipped model comes again with the package, another from where it was fetched."""
    if model.path.parent == artifacts.shipped_models_folder():
        return "pip install --force-reinstall --no-deps livepuppet"
    return f"livepuppet models remove {model.path.name}, then pull or import it again"


def check_speed() -> Iterator[Finding]:
    """The default engine on the built-in performance for two seconds, at the size of a video call."""
    from livepuppet.factory import make_sink, open_engine, open_source
    from livepuppet.live.avatar_loader import AvatarLoader
    from livepuppet.live.puppet import Puppet
    from livepuppet.live.session import Session
    from livepuppet.live.stats import Meter
    from livepuppet.provenance.marks import Mark
    from livepuppet.types import Sink
    from livepuppet.vision.portrait import shipped_avatars

    engine = None
    try:
        engine = open_engine()
        avatars = AvatarLoader(engine, shipped_avatars()[:1], BENCHMARK_SIZE)
        puppet = Puppet(engine, avatars.first())
        sinks: list[Sink] = [make_sink("none")]
        meter = Meter()
        session = Session(open_source("demo", paced=False), puppet, sinks, avatars=avatars, meter=meter, mark=Mark().apply)
        end = threading.Timer(WARM_UP_S + BENCHMARK_S, session.end, ["measured"])
        end.start()
        try:
            statistics = session.run()
        finally:
            end.cancel()
            end.join()
    except (LivepuppetError, RuntimeError, OSError, ImportError) as error:
        yield Finding(
            "speed", "broken", f"the puppet does not move: {brief_line(error)}", "livepuppet --verbose --camera demo shows where it fails"
        )
        return
    finally:
        if engine is not None:
            engine.close()
    fps = statistics.fps
    facts = {
        "engine": engine.name,
        "device": engine.device,
        "fps": round(fps, 1),
        "size": list(BENCHMARK_SIZE),
        "frames": statistics.delivered,
    }
    verdict = "smooth in any call" if fps >= SMOOTH_FPS else "usable, not smooth" if fps >= USABLE_FPS else "too slow for a call"
    repair = "" if fps >= SMOOTH_FPS else "--size 640x360 costs less than half; close other programs"
    state: State = "good" if fps >= USABLE_FPS else "bad"
    if not statistics.delivered:
        yield Finding("speed", "broken", "the puppet delivered no frame in two seconds", "livepuppet --verbose --camera demo", facts)
        return
    yield Finding(
        "speed", state, f"this machine: {fps:.0f} fps at 720p with the {engine.name} engine ({engine.device}): {verdict}", repair, facts
    )


def all_checks() -> dict[str, Check]:
    """Section of the report -> its check, in the order of the report."""
    from livepuppet.diagnostics.inference import check_inference

    return {
        "versions": check_versions,
        "cameras": check_cameras,
        "virtual camera": check_virtual_cameras,
        "display": check_display,
        "face model": check_face_model,
        "inference": check_inference,
        "models": check_models,
        "speed": check_speed,
    }
