"""Videos that were interrupted: what they were being made from, so that they can be resumed and never by mistake with other settings.

Inputs are told apart by their content. While `out.mp4` is made, `out.mp4.unfinished` (JSON) says what from; see `video/output.py`. A video
that is whole says it itself, as a digest in its metadata: whoever has the same inputs and settings can recognise it, and nobody else can
learn from it what they were.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av.error
from PIL import Image as PILImage
from PIL import UnidentifiedImageError

from livepuppet.errors import LivepuppetError, UsageError
from livepuppet.files import existing_files
from livepuppet.rendering.tracking import Reference
from livepuppet.video.container import choose_video, open_container
from livepuppet.video.image_sequence import COMMENT, TIMES, is_image_sequence

log = logging.getLogger(__name__)

VERSION = 2
DIGEST_PREFIX = "livepuppet:"
SAMPLES = 16
SAMPLE_BYTES = 1 << 16


@dataclass(frozen=True)
class ResumeNote:
    """What is noted of an unfinished video.

    Attributes:
        settings: whatever decides how the video looks, as JSON can say it.
        references: what was chosen.
        session_id: the watermark's.
        replaces: whether it was asked to take the place of a file that was there.
    """

    settings: dict[str, Any]
    references: list[Reference]
    session_id: int
    replaces: bool = False

    def text(self) -> bytes:
        """As JSON."""
        references = [[r.since, r.pts, r.seconds, r.distance] for r in self.references]
        content = {"settings": self.settings, "references": references, "session_id": self.session_id, "replaces": self.replaces}
        return (json.dumps({"version": VERSION} | content, indent=1) + "\n").encode()


def read_note(output: Path, content: bytes, settings: dict[str, Any]) -> ResumeNote | None:
    """What was noted of a video that goes to `output`; None where nothing was.

    Raises:
        UsageError: the video was begun with other inputs or settings, or by another version.
    """
    if not content.strip():
        return None
    try:
        found = json.loads(content)
        version = int(found["version"])
        references = [Reference(int(a), int(b), float(c), float(d)) for a, b, c, d in found["references"]]
        before, session_id = dict(found["settings"]), int(found["session_id"])
        replaces = version == VERSION and bool(found["replaces"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise UsageError(
            f"what was noted of the unfinished {output} is damaged: render it from the beginning", parameter="resume"
        ) from error
    if version != VERSION:
        raise UsageError(f"{output} was begun by another version of livepuppet: render it from the beginning", parameter="resume")
    settings = json.loads(json.dumps(settings))
    other = sorted(name for name in before.keys() | settings.keys() if before.get(name) != settings.get(name))
    if other:
        changes = ", ".join(f"{name} was {before.get(name)} and is {settings.get(name)}" for name in other[:3])
        raise UsageError(f"cannot resume {output}: {changes}; ask for the same, or render it from the beginning", parameter="resume")
    return ResumeNote(before, references, session_id, replaces)


def has_frames(path: Path) -> bool:
    """Whether an unfinished video holds anything to go on with; one that was just begun has a header at most."""
    try:
        with open_container(str(path)) as container:
            stream = choose_video(container)
            return stream is not None and any(packet.size for packet in container.demux(stream))
    except (LivepuppetError, av.error.FFmpegError, OSError) as error:
        log.debug("%s: %s", path, error)
        return False


def digest_settings(settings: dict[str, Any]) -> str:
    """The text by which a whole video is recognised."""
    return DIGEST_PREFIX + hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:32]


def read_digest(output: Path) -> str | None:
    """The digest in a whole video; None where there is no video, or it has none."""
    try:
        if is_image_sequence(output):
            return _sequence_digest(output)
        if not output.is_file():
            return None
        if output.suffix.lower() == ".gif":
            with PILImage.open(output) as image:
                text = image.info.get("comment", b"").decode("ascii", "replace")
        else:
            with open_container(str(output)) as container:
                text = next((text for name, text in container.metadata.items() if name.lower() == "comment"), "")
    except (LivepuppetError, OSError, UnidentifiedImageError, ValueError) as error:
        log.debug("%s: %s", output, error)
        return None
    return text if text.startswith(DIGEST_PREFIX) else None


def _sequence_digest(output: Path) -> str | None:
    images, times = existing_files(output), output.with_name(TIMES)
    if not images or not times.is_file() or len(times.read_text().splitlines()) - 1 != len(images):
        return None
    with PILImage.open(images[0]) as image:
        text = str(image.info.get(COMMENT, ""))
    return text if text.startswith(DIGEST_PREFIX) else None


def write_gif_comment(path: Path, text: str) -> None:
    """Put a comment (ASCII, at most 255 characters) into a finished GIF: FFmpeg's writer has no place for it."""
    data = path.read_bytes()
    head = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)  # GIF89a: the logical screen, and its colour table if it has one
    comment = text.encode("ascii")
    path.write_bytes(data[:head] + b"\x21\xfe" + bytes([len(comment)]) + comment + b"\0" + data[head:])


def fingerprint(path: str | Path) -> str:
    """What a file is: its size and a hash of its content, of large ones in samples; the address itself for one on the network."""
    if "://" in str(path):
        return str(path)
    size = os.path.getsize(path)
    digest = hashlib.sha256(str(size).encode())
    with Path(path).open("rb") as file:
        if size <= 2 * SAMPLES * SAMPLE_BYTES:
            digest.update(file.read())
        else:
            for number in range(SAMPLES):
                file.seek(number * (size - SAMPLE_BYTES) // (SAMPLES - 1))
                digest.update(file.read(SAMPLE_BYTES))
    return digest.hexdigest()[:16]
