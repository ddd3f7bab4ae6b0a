"""Portraits: picture files of any kind -> one upright RGB image. Everything that is odd about a file ends here."""

from __future__ import annotations

import contextlib
import io
import logging
import threading
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageCms, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from livepuppet.errors import PortraitError, UsageError
from livepuppet.types import Image
from livepuppet.vision.picture_kinds import begins_like_picture, is_heif, name_kind, read_head, read_heif

log = logging.getLogger(__name__)

LIVE_LIMIT = 1280
"""Long side in pixels of a portrait that moves live: sharper than any video call shows, and quick to warp."""

SMALLEST_SIDE = 32
LARGEST_DECODED = 100_000_000
"""Pixels that a format without reduced decoding may have: 300 MB as RGB."""

NEUTRAL = (128, 128, 128)
"""What shows through the transparent parts of a picture."""

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".jp2", ".avif", ".heic", ".heif"}
    | {".ppm", ".pgm", ".tga"}
)
"""The files of a folder that are taken for portraits, besides those that begin like one."""

KINDS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "JPEG2000", "AVIF", "PPM", "TGA", "ICO", "PCX", "PSD", "QOI", "SGI")
"""Pillow's names of what is read. Its others are left alone: for EPS it would start Ghostscript on a program in the file."""

ASSETS = Path(__file__).parents[1] / "assets"

_warning_filters = threading.Lock()  # warnings.catch_warnings changes what all threads see


def load_portrait(path: str | Path, limit: int | None = LIVE_LIMIT) -> Image:
    """Read a picture file: RGB uint8 (H, W, 3), upright, sRGB, transparent parts over a neutral grey.

    The size is looked at before anything is decoded; a JPEG of any size is decoded at a reduced scale.

    Args:
        limit: longest side in pixels, larger pictures are reduced to it; None keeps the size.

    Raises:
        PortraitError: in one line for a file that is no picture, is damaged, or is too large to decode safely.
    """
    path = Path(path)
    with _readable(path) as image:
        return _decode(path, image, limit)


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[PILImage.Image]:
    """The picture, its header read and nothing decoded; whatever goes wrong with it meanwhile is said in one line."""
    try:
        with _warning_filters, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow thinks of its size, or of odd EXIF, is not for a person's terminal
            if is_heif(read_head(path)):
                yield read_heif(path)
                return
            with path.open("rb") as file, _open(path, file) as image:
                yield image
    except UnidentifiedImageError:
        kind = name_kind(read_head(path), path.suffix.lower())
        hint = f" (this is {kind})" if kind else ""
        raise PortraitError(f"{path} is not a readable picture: give a JPEG, PNG or WebP file{hint}") from None
    except FileNotFoundError:
        raise PortraitError(f"no such picture: {path}") from None
    except IsADirectoryError:
        raise PortraitError(f"{path} is a folder, not a picture") from None
    except PortraitError:
        raise
    except Exception as error:  # of a damaged file: Pillow's readers raise nearly anything, from TypeError to MemoryError
        log.debug("%s", path, exc_info=True)
        reason = getattr(error, "strerror", None) or "it is damaged or cut short"
        raise PortraitError(f"cannot read the picture {path}: {reason}") from error


def load_alpha(path: str | Path) -> NDArray[np.uint8] | None:
    """A picture file's own transparency at full size and upright, uint8 (H, W), 255 where it is opaque; None where it has none.

    Raises:
        PortraitError: as `load_portrait` does.
    """
    path = Path(path)
    load_portrait(path, limit=64)  # says what is wrong with it
    with _readable(path) as image:
        if "A" not in image.getbands() and "transparency" not in image.info:
            return None
        alpha = np.asarray(ImageOps.exif_transpose(image).convert("RGBA").getchannel("A"), np.uint8)
        return alpha if alpha.min() < 255 else None


def find_portraits(paths: Iterable[str | Path]) -> list[Path]:
    """The picture files that the paths name: files as given, folders by their pictures in alphabetical order.

    Raises:
        UsageError: where a path does not exist or nothing is left.
    """
    found: list[Path] = []
    given = [Path(path) for path in paths]
    for path in given:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith(".") and is_picture(p))
            if not inside:
                raise UsageError(f"no pictures in the folder {path}: put JPEG, PNG or WebP files there")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise PortraitError(f"no such picture or folder: {path}")
    if not found:
        raise UsageError("no portrait given: name picture files or folders of pictures")
    return list(dict.fromkeys(found))


def is_picture(path: Path) -> bool:
    """Whether a file is taken for a picture: by its name, or by how it begins."""
    return path.suffix.lower() in SUFFIXES or begins_like_picture(path)


def shipped_avatars() -> list[Path]:
    """The portraits that come with the package, in alphabetical order."""
    return sorted((ASSETS / "avatars").glob("*.jpg"))


def _open(path: Path, file: io.BufferedReader) -> PILImage.Image:
    """The file's header read, nothing decoded."""
    start = file.peek(4)[:4]
    if not start:
        raise PortraitError(f"{path} is empty (0 bytes)")
    if start[:2] == b"\xff\xd8":
        return JpegImageFile(file)  # not through Image.open, which refuses huge pictures that could be decoded at a reduced scale
    try:
        PILImage.init()
        return PILImage.open(file, formats=[kind for kind in KINDS if kind in PILImage.OPEN])
    except PILImage.DecompressionBombError:
        raise _too_large(path, "far more") from None


def _too_large(path: Path, size: str) -> PortraitError:
    return PortraitError(
        f"{path} has {size} than the {LARGEST_DECODED // 1_000_000} million pixels that can be decoded safely: "
        "save it smaller, or as baseline JPEG"
    )


def _decode(path: Path, image: PILImage.Image, limit: int | None) -> Image:
    width, height = image.size
    if min(width, height) < SMALLEST_SIDE:
        raise PortraitError(f"{path} is only {width}x{height} pixels: a portrait needs {SMALLEST_SIDE} at least, and looks good from 256")
    bound = limit or max(width, height)
    if limit is None and width * height > LARGEST_DECODED:
        bound = int((LARGEST_DECODED / (width * height)) ** 0.5 * max(width, height))
    if image.info.get("progressive") and width * height > LARGEST_DECODED:  # held whole in memory, whatever the scale
        raise _too_large(path, f"{width}x{height} pixels (progressive), more")
    image.draft("RGB" if image.mode == "YCbCr" else image.mode, (min(width, bound), min(height, bound)))
    if image.size[0] * image.size[1] > LARGEST_DECODED:
        raise _too_large(path, f"{width}x{height} pixels, more")
    if getattr(image, "n_frames", 1) > 1:
        log.info("%s is animated (%d pictures): taking the first", path, image.n_frames)  # type: ignore[attr-defined]
        image.seek(0)
    image.load()
    image = ImageOps.exif_transpose(image)
    image = _eight_bit_rgb(image)
    if max(image.size) > bound:
        scale = bound / max(image.size)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        log.debug("%s: %dx%d reduced to %dx%d", path, width, height, *size)
        image = image.resize(size, PILImage.Resampling.LANCZOS, reducing_gap=3.0)
    return np.array(image, dtype=np.uint8)


def _eight_bit_rgb(image: PILImage.Image) -> PILImage.Image:
    """Any of Pillow's modes as 8-bit sRGB."""
    if image.mode.startswith(("I", "F")):
        return PILImage.fromarray(_eight_bit_grey(np.asarray(image))).convert("RGB")
    if image.mode == "1":
        return image.convert("RGB")
    if image.mode in {"P", "PA", "LA", "La", "RGBa"} or "transparency" in image.info:
        image = image.convert("RGBA")
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    profile = image.info.get("icc_profile")
    if image.mode not in {"RGB", "L", "CMYK", "LAB"}:
        image = image.convert("RGB")
    if profile:
        image = _to_srgb(image, profile)
    image = image.convert("RGB")
    if alpha is not None and alpha.getextrema() != (255, 255):
        image = PILImage.composite(image, PILImage.new("RGB", image.size, NEUTRAL), alpha)
    return image


def _eight_bit_grey(values: NDArray[Any]) -> Image:
    """Integers of 16 bits or reals of 0 … 1 as bytes; integers or reals that already fit a byte stay as they are."""
    top = float(values.max(initial=0))
    if values.dtype.kind == "f" and top <= 1:
        scale = 255.0
    elif top <= 255 and values.dtype.itemsize > 2:
        scale = 1.0
    else:
        scale = 255 / 65535
    scaled: Image = np.clip(np.rint(values.astype(np.float64) * scale), 0, 255).astype(np.uint8)
    return scaled


def _to_srgb(image: PILImage.Image, profile: bytes) -> PILImage.Image:
    """Colours as the file's own colour profile means them; a profile that cannot be used is left aside."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        log.debug("colour profile left aside: %s", error)
        return image
    return converted or image
