"""Videos that were interrupted: what they were being made from, so that they can be resumed and never by mistake with other settings.

Beside `out.mp4`, `out.mp4.unfinished` (JSON) says what is being made as long as it is not whole.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from livepuppet.errors import SinkError, UsageError
from livepuppet.rendering.tracking import Reference

VERSION = 1
SUFFIX = ".unfinished"


@dataclass(frozen=True)
class ResumeNote:
    """settings: whatever decides how the video looks, as JSON can say it. references: what was chosen. session_id: the watermark's."""

    settings: dict[str, Any]
    references: list[Reference]
    session_id: int


def note_path(output: Path) -> Path:
    return output.with_name(output.name + SUFFIX)


def write_note(output: Path, unfinished: ResumeNote) -> None:
    """Write the note.

    Raises:
        SinkError: its message says what is wrong.
    """
    references = [[r.since, r.pts, r.seconds, r.distance] for r in unfinished.references]
    text = json.dumps(
        {"version": VERSION, "settings": unfinished.settings, "references": references, "session_id": unfinished.session_id}, indent=1
    )
    try:
        note_path(output).write_text(text + "\n")
    except OSError as error:
        raise SinkError(f"cannot write {note_path(output)}: {error.strerror}") from error


def remove_note(output: Path) -> None:
    """The video is whole."""
    note_path(output).unlink(missing_ok=True)


def read_note(output: Path, settings: dict[str, Any]) -> ResumeNote | None:
    """What was noted; None where nothing was.

    Raises:
        UsageError: where the video was begun with other settings.
    """
    note = note_path(output)
    try:
        found = json.loads(note.read_text())
        references = [Reference(int(a), int(b), float(c), float(d)) for a, b, c, d in found["references"]]
        before, session_id, version = dict(found["settings"]), int(found["session_id"]), int(found["version"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise UsageError(f"{note} is damaged: remove it and render again from the beginning", parameter="resume") from error
    if version != VERSION:
        raise UsageError(f"{output} was begun by another version of livepuppet: render it again from the beginning", parameter="resume")
    settings = json.loads(json.dumps(settings))
    other = sorted(name for name in before.keys() | settings.keys() if before.get(name) != settings.get(name))
    if other:
        changes = ", ".join(f"{name} was {before.get(name)} and is {settings.get(name)}" for name in other[:3])
        raise UsageError(f"cannot resume {output}: {changes}; ask for the same, or render it again from the beginning", parameter="resume")
    return ResumeNote(before, references, session_id)


def fingerprint(path: str | Path) -> str:
    """What a file is: its size and a hash of its beginning, middle and end; the address itself for one on the network."""
    if "://" in str(path):
        return str(path)
    size = os.path.getsize(path)
    digest = hashlib.sha256(str(size).encode())
    with Path(path).open("rb") as file:
        for at in (0, max(0, size // 2 - 32768), max(0, size - 65536)):
            file.seek(at)
            digest.update(file.read(65536))
    return digest.hexdigest()[:16]
