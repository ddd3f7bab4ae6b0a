"""The camera a person chose last, remembered for them until they say otherwise."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from livepuppet.errors import RunError
from livepuppet.files import config_folder, write_atomically

log = logging.getLogger("livepuppet.devices")


def file() -> Path:
    """Where it is kept; see `files.config_folder`."""
    return config_folder() / "camera.json"


def remembered_camera() -> str:
    """The camera's name, '' if none was chosen or the note cannot be read."""
    try:
        note = json.loads(file().read_text("utf-8"))
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, RecursionError) as error:
        log.warning("the remembered camera in %s cannot be read (%s): 'livepuppet cameras' shows how to forget it", file(), error)
        return ""
    name = note.get("camera") if isinstance(note, dict) else None
    return name if isinstance(name, str) else ""


def remember_camera(name: str) -> None:
    """Keep the camera's name for `auto`. A folder that cannot be written is said, and does no harm otherwise."""
    place = file()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(place, lambda note: note.write(json.dumps({"camera": name}).encode() + b"\n"))
    except (OSError, RunError) as error:
        log.warning("the choice of the camera could not be remembered: %s", error)


def forget_camera() -> bool:
    """Clear it; whether there was one."""
    try:
        file().unlink()
    except FileNotFoundError:
        return False
    return True
