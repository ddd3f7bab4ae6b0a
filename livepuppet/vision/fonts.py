"""The typeface of all text that livepuppet draws: DejaVu Sans, in `assets/fonts`, and the system's fonts for scripts that it lacks.

Digits of one width, arrows, and most of the world's alphabets. It is a subset: Latin, Greek, Cyrillic, Armenian, Hebrew, Arabic, Georgian,
punctuation, currency signs and arrows; the bold one only Latin, Greek, Cyrillic and signs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from livepuppet.errors import UsageError

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

FOLDER = Path(__file__).parents[1] / "assets" / "fonts"
REGULAR, BOLD = FOLDER / "DejaVuSans.ttf", FOLDER / "DejaVuSans-Bold.ttf"
SUFFIXES = {".ttf", ".otf", ".ttc"}
NOBODYS_LETTER = "\U0010fffe"
"""No character, and none will ever be: what a font draws for it, it draws for everything that it lacks."""
PROBE_PX = 32


@lru_cache(maxsize=64)
def typeface(size: int, bold: bool = False) -> FreeTypeFont:
    """DejaVu Sans, `size` pixels to the em."""
    from PIL import ImageFont

    return ImageFont.truetype(str(BOLD if bold else REGULAR), size)


@lru_cache(maxsize=8)
def font_for(text: str) -> Path:
    """The first font file that has every letter of the text: DejaVu Sans, then the system's.

    Raises:
        UsageError: where none has.
    """
    for path in (REGULAR, *system_fonts()):
        if has_letters(path, text):
            return path
    raise UsageError(f"no installed font can draw '{text}': install one for its script (Noto Sans, say), or use another text")


def has_letters(path: Path, text: str) -> bool:
    """Whether the font draws every letter of the text as something other than its sign for a missing one. False for a damaged font."""
    from PIL import ImageFont

    try:
        font = ImageFont.truetype(str(path), PROBE_PX)
        missing = drawn(font, NOBODYS_LETTER)
        return all(drawn(font, letter) != missing for letter in set(text) if not letter.isspace())
    except OSError:  # damaged, or of bitmaps in other sizes only
        return False


def drawn(font: FreeTypeFont, letter: str) -> tuple[float, tuple[int, int], bytes]:
    """How a letter looks: advance width, size and coverage of its pixels."""
    mask = font.getmask(letter)
    return font.getlength(letter), mask.size, bytes(mask)


def system_fonts() -> Iterator[Path]:
    """The font files in the folders where the system and the person keep theirs, sorted within each folder."""
    for folder in font_folders():
        yield from sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def font_folders() -> list[Path]:
    """Of this operating system; they need not exist."""
    home = Path.home()
    if sys.platform == "win32":
        local = Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local"))
        return [Path(os.environ.get("WINDIR", "C:/Windows")) / "Fonts", local / "Microsoft" / "Windows" / "Fonts"]
    if sys.platform == "darwin":
        return [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library" / "Fonts"]
    shared = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    own = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return [*(Path(folder) / "fonts" for folder in shared.split(":")), own / "fonts", home / ".fonts"]
