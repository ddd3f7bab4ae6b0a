"""Files of the user: where livepuppet keeps its own, writing so that nothing is lost, and fetching with a checked hash."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

from livepuppet.errors import RunError, UsageError

BLOCK_BYTES = 1 << 20
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


def config_folder() -> Path:
    """Where choices of the user are kept; LIVEPUPPET_CONFIG names another folder. It need not exist."""
    return _folder("LIVEPUPPET_CONFIG", "user_config_path")


def data_folder() -> Path:
    """Where what the user has made or fetched is kept: models, the signing key. It need not exist."""
    return _folder("", "user_data_path")


def cache_folder() -> Path:
    """Where files are kept that could be fetched again. It need not exist."""
    return _folder("", "user_cache_path")


def _folder(variable: str, kind: str) -> Path:
    named = os.environ.get(variable) if variable else None
    if named:
        return Path(named)
    import platformdirs

    folder: Path = getattr(platformdirs, kind)("livepuppet", appauthor=False)
    return folder


def write_atomically(path: Path, write: Callable[[IO[bytes]], object], *, private: bool = False) -> None:
    """Write a file that is whole or untouched, whatever happens: to a neighbour, flushed to disk, then renamed.

    Several processes and threads may write the same file at once; the last one's stays.

    Args:
        path: the file; its folder exists.
        write: called with the open binary file.
        private: whether nobody but this user may read it, at any moment.

    Raises:
        RunError: it cannot be written; what was there before is untouched.
    """
    unfinished = _neighbour(path)
    try:
        with os.fdopen(os.open(unfinished, NEW_FILE, 0o600 if private else 0o666), "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error} (what was there before is untouched)") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _neighbour(path: Path) -> Path:
    """A name in the same folder that nobody else writes to."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")


def refuse_overwriting(read: Iterable[Path], written: Iterable[tuple[str, Path | None]]) -> None:
    """Nothing that is read may be written, and nothing may be written twice.

    Args:
        read: files that are read; what does not exist is no file that could be lost.
        written: each parameter with the file that it writes, None where it writes none; a pattern like 'x_%05d.png' stands for all its
            numbers.

    Raises:
        UsageError: two of them are one file, also through links or names in other cases.
    """
    sources = [path for path in read if _exists(path)]
    outputs = [(parameter, path) for parameter, path in written if path is not None]
    for number, (parameter, path) in enumerate(outputs):
        for source in sources:
            if is_same_file(path, source):
                raise UsageError(f"{path} is also read here and would be lost: choose another name", parameter=parameter)
        for _, before in outputs[:number]:
            if is_same_file(path, before):
                raise UsageError(f"{path} is written twice: choose another name", parameter=parameter)


def is_same_file(one: Path, other: Path) -> bool:
    """Whether two paths are one file. one: may be a pattern like 'x_%05d.png'."""
    number = re.search(r"%0?\d*d", one.name)
    if number is not None and not _exists(one):
        pattern = re.escape(one.name[: number.start()]) + r"\d+" + re.escape(one.name[number.end() :])
        return one.parent.resolve() == other.parent.resolve() and re.fullmatch(pattern, other.name) is not None
    if _exists(one) and _exists(other):
        return one.samefile(other)
    return one.resolve() == other.resolve()


def _exists(path: Path) -> bool:
    """Whether it is there; a path that no file can have (too long, a null character) is not."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def free_name(path: Path) -> Path:
    """The path itself if nothing is there, else name-2, name-3, ...: no finished recording is overwritten unasked."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_stem(f"{path.stem}-{number}")
    return free


def fetch(address: str, path: Path, sha256: str, *, limit: int, timeout: float = 30.0) -> None:
    """Download a file, check it, and only then put it to its place.

    Args:
        address: http(s) or file address.
        path: where it goes; its folder exists.
        sha256: of its content, in hexadecimal.
        limit: bytes that it may have at most.
        timeout: seconds without an answer after which it fails.

    Raises:
        RunError: it cannot be had, is too large, or is not the file that was expected.
    """
    partial = _neighbour(path)
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(address, timeout=timeout) as answer, partial.open("wb") as file:
            while block := answer.read(BLOCK_BYTES):
                if file.tell() + len(block) > limit:
                    raise RunError(f"{address} is larger than expected (more than {limit // 1_000_000} MB)")
                digest.update(block)
                file.write(block)
        if digest.hexdigest() != sha256:
            raise RunError(f"{address} is not what was expected: its sha256 is {digest.hexdigest()}")
        os.replace(partial, path)
    except (OSError, ValueError) as error:
        raise RunError(f"cannot fetch {address}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
