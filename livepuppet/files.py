"""Files of the user: where livepuppet keeps its own, writing so that nothing is lost, and fetching with a checked hash."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import secrets
import shutil
import urllib.request
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

from livepuppet.errors import LivepuppetError, OutputExistsError, RunError, UsageError

BLOCK_BYTES = 1 << 20
NUMBER = re.compile(r"%0?\d*d")
"""The number's place in the name of numbered pictures."""
UNFINISHED = ".unfinished"
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

    Several processes and threads may write the same file at once; the last one's stays. A link stays a link to what is written, and a
    device or a pipe is simply written to.

    Args:
        path: the file; its folder exists.
        write: called with the open binary file.
        private: whether nobody but this user may read it, at any moment.

    Raises:
        RunError: it cannot be written; what was there before is untouched.
    """
    try:
        if is_special(path):
            with path.open("wb") as file:
                write(file)
            return
        with atomic_path(path) as unfinished:
            with os.fdopen(os.open(unfinished, NEW_FILE, 0o600 if private else 0o666), "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            if path.is_file() and not private:
                shutil.copymode(path, unfinished)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error} (what was there before is untouched)") from error


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A name beside `path` and with its ending, for libraries that write to names; it becomes `path` when the block ends well, and is
    removed otherwise. What killed processes left of earlier ones is removed too.

    Raises:
        OSError: it cannot be renamed.
    """
    path = path.resolve() if path.is_symlink() else path
    sweep(path)
    unfinished = neighbour(path)
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def neighbour(path: Path) -> Path:
    """A name in the same folder, with the same ending, that nobody else writes to; it says which process of which machine does."""
    return path.with_name(f".{path.name}.{process_mark()}-{secrets.token_hex(4)}{path.suffix}")


def sweep(path: Path) -> None:
    """Remove what processes of this machine that no longer run left beside `path` under names of `neighbour`."""
    ours = re.compile(re.escape(f".{path.name}.") + r"([0-9a-f]{8}-\d+)-[0-9a-f]{8}" + re.escape(path.suffix))
    with contextlib.suppress(OSError):  # a folder that cannot be listed, or a file that somebody else has removed: nothing is lost
        for name in os.listdir(path.parent):
            found = ours.fullmatch(name)
            if found is not None and has_ended(found[1]):
                (path.parent / name).unlink(missing_ok=True)


def process_mark() -> str:
    """Names this process, and the machine that it runs on: a part of the names of what it is writing."""
    return f"{zlib.crc32(platform.node().encode()):08x}-{os.getpid()}"


def has_ended(mark: str) -> bool:
    """Whether the process of a `process_mark` is certain to run no longer: one of this machine."""
    machine, _, process = mark.partition("-")
    if os.name != "posix" or machine != process_mark().partition("-")[0]:  # elsewhere signal 0 is not a question
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def is_special(path: Path) -> bool:
    """Whether it is a device or a pipe, which is written to as it is: there is nothing in it to be lost."""
    return path.exists() and not path.is_file() and not path.is_dir()


def existing_files(path: Path) -> list[Path]:
    """The files that writing `path` would overwrite; of a pattern like 'x_%05d.png' all numbers that are there."""
    number = NUMBER.search(path.name)
    if number is None or path.exists():
        return [path] if path.exists() and not is_special(path) else []
    pattern = re.compile(re.escape(path.name[: number.start()]) + r"\d+" + re.escape(path.name[number.end() :]))
    return sorted(other for other in path.parent.iterdir() if pattern.fullmatch(other.name)) if path.parent.is_dir() else []


def refuse_existing(written: Iterable[tuple[str, Path | None]], *, overwrite: bool = False) -> None:
    """Nothing that is there is overwritten unasked.

    Args:
        written: each parameter with the file that it writes, None where it writes none.
        overwrite: it was asked for.

    Raises:
        OutputExistsError: a file is there already.
        UsageError: a folder is.
    """
    there: list[Path] = []
    for parameter, path in written:
        if path is None:
            continue
        if path.is_dir():
            raise UsageError(f"{path} is a folder: name a file in it", parameter=parameter)
        there += existing_files(path)
    if there and not overwrite:
        raise OutputExistsError(f"{list_files(there)}: choose another name, or allow overwriting", parameter="overwrite")


def list_files(paths: list[Path]) -> str:
    """'a.mp4 exists', 'a.mp4 and b.npz exist', 'x_1.png and 11 more exist'."""
    if len(paths) == 1:
        return f"{paths[0]} exists"
    return f"{paths[0]} and {paths[1] if len(paths) == 2 else f'{len(paths) - 1} more'} exist"


def check_folder(path: Path | None, parameter: str, error: type[LivepuppetError] = UsageError) -> None:
    """A file could be written there, as far as that can be seen beforehand.

    Raises:
        UsageError: there is no such folder, or it may not be written to; or another error, where one is given.
    """
    if path is None or is_special(path):
        return
    folder = path.parent
    if not folder.is_dir():
        raise error(f"cannot write {path}: there is not a folder {folder}", parameter=parameter)
    if not os.access(folder, os.W_OK):
        raise error(f"cannot write {path}: permission denied", parameter=parameter)


def check_ending(path: Path | None, endings: Iterable[str], parameter: str, what: str) -> None:
    """The file's name ends as what is written there should.

    Raises:
        UsageError: it does not.
    """
    if path is not None and not is_special(path) and path.suffix.lower() not in (known := tuple(endings)):
        raise UsageError(f"{path} is not the name of {what}: let it end in {', '.join(known)}", parameter=parameter)


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
    number = NUMBER.search(one.name)
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


def unfinished_path(path: Path) -> Path:
    """Where a video is written until it is whole: 'out.mp4' -> 'out.unfinished.mp4', which players open."""
    return path.with_stem(path.stem + UNFINISHED)


def claim_path(path: Path) -> Path:
    """The file that is locked while a video is written, and holds what is needed to go on with it: 'out.mp4' -> 'out.mp4.unfinished'."""
    return path.with_name(path.name + UNFINISHED)


def free_name(path: Path) -> Path:
    """The path itself if nothing is or is becoming there, else name-2, name-3, ...: no recording is overwritten unasked."""
    number, free = 1, path
    while free.exists() or claim_path(free).exists() or unfinished_path(free).exists():
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
    digest = hashlib.sha256()
    try:
        with atomic_path(path) as partial:
            with urllib.request.urlopen(address, timeout=timeout) as answer, partial.open("wb") as file:
                while block := answer.read(BLOCK_BYTES):
                    if file.tell() + len(block) > limit:
                        raise RunError(f"{address} is larger than expected (more than {limit // 1_000_000} MB)")
                    digest.update(block)
                    file.write(block)
            if digest.hexdigest() != sha256:
                raise RunError(f"{address} is not what was expected: its sha256 is {digest.hexdigest()}")
    except (OSError, ValueError) as error:
        raise RunError(f"cannot fetch {address}: {error}") from error
