"""The camera a person chose last, remembered for them until they say --forget."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

log = logging.getLogger("livepuppet.devices")


def file() -> Path:
    """Where it is kept; the variable LIVEPUPPET_CONFIG names another folder."""
    folder = os.environ.get("LIVEPUPPET_CONFIG")
    if folder:
        return Path(folder) / "camera.json"
    from platformdirs import user_config_path

    return user_config_path("livepuppet", appauthor=False) / "camera.json"


def remembered_camera() -> str:
    """The camera's name, '' if none was chosen or the note cannot be read."""
    try:
        note = json.loads(file().read_text("utf-8"))
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        log.warning("the remembered camera in %s cannot be read (%s): 'livepuppet cameras' shows how to forget it", file(), error)
        return ""
    name = note.get("camera") if isinstance(note, dict) else None
    return name if isinstance(name, str) else ""


def remember_camera(name: str) -> None:
    """Keep the camera's name for `auto`. A folder that cannot be written is said, and does no harm otherwise."""
    place = file()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = place.with_suffix(".new")
        fresh.write_text(json.dumps({"camera": name}) + "\n", "utf-8")
        fresh.replace(place)
    except OSError as error:
        log.warning("the choice of the camera could not be remembered: %s", error)


def forget_camera() -> bool:
    """Clear it; whether there was one."""
    try:
        file().unlink()
    except FileNotFoundError:
        return False
    return True
