"""The portraits of the page: those at hand, their thumbnails, and photos that are added and remembered in the user's folder."""

from __future__ import annotations

import io
import re
import threading
import unicodedata
from pathlib import Path

from PIL import Image as PILImage
from PIL import UnidentifiedImageError

from livepuppet.errors import LivepuppetError, PortraitError, UsageError
from livepuppet.files import data_folder, free_name, write_atomically
from livepuppet.live.avatar_loader import AvatarLoader
from livepuppet.provenance.consent import consent_line
from livepuppet.studio.picture import encode_jpeg
from livepuppet.vision.portrait import find_portraits, load_portrait

THUMBNAIL = 320
"""Long side in pixels."""
MOST_OWN = 200
LONGEST_NAME = 60
ENDINGS = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp", "GIF": ".gif", "TIFF": ".tif", "AVIF": ".avif"}
"""What a file is, by its content -> how its name ends."""
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)
"""Names that are devices on Windows, whatever they end in."""


def own_avatars_folder() -> Path:
    """Where photos are kept that were added. It need not exist."""
    return data_folder() / "avatars"


def own_avatars() -> list[Path]:
    """The photos that were added, also in earlier sessions."""
    folder = own_avatars_folder()
    try:
        return find_portraits([folder])
    except UsageError:  # there is no such folder yet, or nothing in it
        return []


class Gallery:
    """Names, thumbnails, adding and removing. Methods may be called from any thread, `forget` from the session's only.

    Args:
        avatars: of the session; what is added can be chosen at once.
    """

    def __init__(self, avatars: AvatarLoader) -> None:
        self._avatars = avatars
        self._adding = threading.Lock()
        self._thumbnails: dict[Path, tuple[int, bytes]] = {}

    def entries(self) -> list[tuple[str, bool]]:
        """Each portrait's name, and whether it was added here and can be removed."""
        return [(name, self._is_own(path)) for name, path in self._by_name().items()]

    def thumbnail(self, name: str) -> bytes:
        """A small JPEG.

        Raises:
            UsageError: no portrait has that name.
            PortraitError: it can no longer be read.
        """
        path = self._find(name)
        try:
            changed = path.stat().st_mtime_ns
        except OSError as error:
            raise PortraitError(f"{name} can no longer be read: {error.strerror}", parameter="name") from error
        known = self._thumbnails.get(path)
        if known is None or known[0] != changed:
            known = changed, encode_jpeg(load_portrait(path, THUMBNAIL))
            self._thumbnails[path] = known
        return known[1]

    def add(self, content: bytes, name: str) -> tuple[str, str]:
        """Keep a photo in the user's folder and make it an avatar; its name among the avatars, and a line to show, '' for none.

        Args:
            content: of an image file, whatever its name says.
            name: of the file that the person gave; only its letters are used.

        Raises:
            PortraitError, NoFaceError: it cannot be used, and is not kept.
            UsageError: there are too many already.
        """
        with self._adding:
            folder = own_avatars_folder()
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if len(own_avatars()) >= MOST_OWN:
                raise UsageError(f"{MOST_OWN} photos are kept already: remove some first", parameter="name")
            path = free_name(folder / f"{safe_stem(name)}{ending_of(content)}")
            write_atomically(path, lambda file: file.write(content), private=True)
            try:
                added = self._avatars.add(path)
                return added, consent_line(path) or ""
            except LivepuppetError as error:
                path.unlink()
                raise PortraitError(plain(error, path), parameter="name") from error

    def forget(self, name: str) -> None:
        """Remove a photo that was added here, file and all.

        Raises:
            UsageError: there is none of that name, it came from elsewhere, or it is the only avatar.
        """
        path = self._find(name)
        if not self._is_own(path):
            raise UsageError(f"{name} was not added here, so it is not removed here", parameter="name")
        self._avatars.remove(path)
        self._thumbnails.pop(path, None)
        path.unlink(missing_ok=True)

    def _by_name(self) -> dict[str, Path]:
        names = self._avatars.names
        return dict(zip(names, self._avatars.portraits, strict=False))  # one may just have been added

    def _find(self, name: str) -> Path:
        """Looked up among those known: no path is ever made of a name that came from outside."""
        path = self._by_name().get(name)
        if path is None:
            raise UsageError(f"no avatar is called {name!r}", parameter="name")
        return path

    def _is_own(self, path: Path) -> bool:
        return path.parent == own_avatars_folder()


def ending_of(content: bytes) -> str:
    """How a file of this content is to end; its header is read, nothing is decoded.

    Raises:
        PortraitError: it is no image of a known kind.
    """
    try:
        with PILImage.open(io.BytesIO(content)) as image:
            ending = ENDINGS.get(image.format or "")
    except (UnidentifiedImageError, PILImage.DecompressionBombError, OSError, ValueError, SyntaxError):
        ending = ".jpg" if content[:2] == b"\xff\xd8" else None  # a huge JPEG is decoded at a reduced scale
    if ending is None:
        raise PortraitError("this is not a readable picture: give a JPEG, PNG or WebP file", parameter="name")
    return ending


def safe_stem(name: str) -> str:
    """A file name without its ending, of letters, digits, blanks, '-' and '_' only."""
    stem = unicodedata.normalize("NFC", re.split(r"[\\/]", name)[-1]).rpartition(".")
    letters = re.sub(r"[^\w -]", "", stem[0] or stem[2]).strip(" -")[:LONGEST_NAME].strip()
    return f"my {letters}" if RESERVED.fullmatch(letters) else letters or "portrait"


def plain(error: LivepuppetError, path: Path) -> str:
    """The error's line, without the place in which the photo would have been kept."""
    return str(error).replace(str(path), path.stem).replace(path.name, path.stem)
