"""What a file is by its first bytes, whatever it is called; and HEIF photos, which Pillow does not read."""

from __future__ import annotations

import logging
from pathlib import Path

import av
import av.error
import numpy as np
from PIL import Image as PILImage

from livepuppet.errors import PortraitError

log = logging.getLogger("livepuppet.vision.picture_kinds")

HEAD_BYTES = 64
HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"miaf"})
PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM", b"\0\0\0\x0cjP  ")
"""How files begin that are certain to be pictures. TIFF is not among them: the raw files of cameras begin like it."""
OTHERS = (
    (b"%PDF", "a PDF: export the page as PNG"),
    (b"PK\x03\x04", "a packed file (zip or an office document)"),
    (b"\xff\x0a", "JPEG XL: export it as JPEG or PNG"),
    (b"\0\0\0\x0cJXL ", "JPEG XL: export it as JPEG or PNG"),
    (b"\x1aE\xdf\xa3", "a video: save a still from it"),
    (b"FUJIFILMCCD-RAW", "a camera's raw file: export it as JPEG"),
)
VIDEO_ENDINGS = frozenset({".mp4", ".mov", ".webm", ".mkv", ".avi"})
ROTATED = {90: PILImage.Transpose.ROTATE_90, 180: PILImage.Transpose.ROTATE_180, 270: PILImage.Transpose.ROTATE_270}


def read_head(path: Path) -> bytes:
    """The file's first bytes.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def begins_like_picture(path: Path) -> bool:
    """Whether a file is certain to be a picture; False also where it cannot be read."""
    try:
        head = read_head(path)
    except OSError:
        return False
    return head.startswith(PICTURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP") or is_heif(head) or brand(head) == b"avif"


def brand(head: bytes) -> bytes:
    """Of a file that is built of ISO boxes (MP4, HEIF, AVIF) what kind it says it is; b'' for others."""
    return head[8:12] if head[4:8] == b"ftyp" else b""


def is_heif(head: bytes) -> bool:
    """Whether it is a HEIF photo, such as phones take."""
    return brand(head) in HEIF_BRANDS


def name_kind(head: bytes, ending: str) -> str:
    """What a file is that is no readable picture, and what to do; '' where nothing is known of it."""
    if is_heif(head):
        return "HEIC: export it as JPEG"
    if brand(head) == b"avif":
        return "AVIF, which this installation of Pillow does not read or which is damaged: export it as JPEG"
    if brand(head) == b"crx ":
        return "a camera's raw file: export it as JPEG"
    if brand(head):
        return "a video: save a still from it"
    found = next((what for start, what in OTHERS if head.startswith(start)), "")
    text = head.lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if not found and text.startswith((b"<!doctype html", b"<html")):
        return "a web page, not the picture on it"
    if not found and (text.startswith(b"<svg") or (text.startswith(b"<?xml") and b"svg" in text)):
        return "a drawing in SVG: export it as PNG"
    if not found and ending in VIDEO_ENDINGS:
        return "a video: save a still from it"
    if not found and ending in {".heic", ".heif"}:
        return "HEIC: export it as JPEG"
    return found


def read_heif(path: Path) -> PILImage.Image:
    """A HEIF photo, upright, as FFmpeg decodes it.

    Raises:
        PortraitError: it is damaged, or in tiles that only whoever took it can put together.
    """
    try:
        with av.open(f"file:{path}") as container:
            images = container.streams.video
            first = images[0] if images else None
            tiles = [s for s in images if first is not None and (s.width, s.height) == (first.width, first.height)]
            if first is None or len(tiles) > 1:
                raise PortraitError(f"{path} is a HEIC photo in tiles, which cannot be put together here: export it as JPEG")
            frame = next(iter(container.decode(first)))
            image = PILImage.fromarray(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
            turned = ROTATED.get(round(frame.rotation) % 360)
    except (av.error.FFmpegError, OSError, ValueError, StopIteration) as error:
        if isinstance(error, PortraitError):
            raise
        log.debug("%s: %s", path, error)
        raise PortraitError(
            f"{path} is not a readable picture: it is HEIC, and damaged or of a kind unknown here: export it as JPEG"
        ) from error
    return image if turned is None else image.transpose(turned)
