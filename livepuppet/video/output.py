"""A video's place on disk: held by one process at a time, written under another name, and renamed when it is whole.

While `out.mp4` is being made, there are beside it

    out.unfinished.mp4    what is written of it; it can be played whatever interrupts the writing
    out.mp4.unfinished    locked by whoever makes it; holds what is needed to go on

An older `out.mp4` stays as it is until the new one takes its place. The operating system gives the lock back when a process ends,
however it ends: the next one finds what was left, and goes on with it, keeps it or removes it.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from pathlib import Path
from types import TracebackType

from livepuppet.errors import SinkError, UsageError
from livepuppet.files import claim_path, existing_files, free_name, is_special, sweep, unfinished_path

log = logging.getLogger("livepuppet.video.output")

NEXT = ".next"
"""Beside an unfinished video: the one that takes it over and goes on."""


class VideoOutput:
    """One video's place, held from the beginning to `close`. Also a context manager.

    Attributes:
        path: where the video goes; behind a link, what the link names.
        working: where it is written until it is whole. A device or a pipe is written to directly.
        note: what an interrupted run left to go on with; empty where there was none.
    """

    def __init__(self, path: str | Path) -> None:
        """Take the place.

        Raises:
            UsageError: another process is writing this video.
            SinkError: nothing can be written there.
        """
        given = Path(path)
        self.special = is_special(given)
        self.path = given.resolve() if given.is_symlink() and not self.special else given
        self.note = b""
        self._handle: int | None = None
        self.working = self.path if self.special else self._working_name()
        if self.special:
            return
        if not self.path.parent.is_dir():
            raise SinkError(f"cannot write {given}: there is not a folder {self.path.parent}")
        self._claim = claim_path(self.path)
        try:
            self._handle = open_locked(self._claim)
            if self._handle is None:
                raise UsageError(f"{given} is being written by another livepuppet: wait for it, or choose another name", parameter="output")
            os.lseek(self._handle, 0, os.SEEK_SET)
            self.note = os.read(self._handle, 1 << 20)
        except OSError as error:
            self.close()
            raise SinkError(f"cannot write {given}: {error.strerror or error}") from error
        self._next.unlink(missing_ok=True)
        sweep(self.working)  # a signature that was being written
        sweep(self.path)

    def __enter__(self) -> VideoOutput:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def left(self) -> bool:
        """Whether anything of the video is there: made by this run, or left by an interrupted one."""
        return not self.special and self.working.is_file() and self.working.stat().st_size > 0

    @property
    def targets(self) -> list[Path]:
        """All files that it becomes; a pattern stands for its numbers."""
        return [self.path]

    @property
    def _next(self) -> Path:
        return self.working.with_stem(self.working.stem + NEXT)

    def begin(self) -> Path:
        """Where to write the video from its beginning. What an interrupted run left is removed if it can be made again (it has a note),
        and kept under another name if it cannot: a recording is not played twice."""
        if not self.left:
            return self.working
        if self.note:
            log.debug("%s, left by an interrupted run, is removed", self.working)
            self._discard()
        else:
            kept = free_name(self.path.with_stem(self.path.stem + "-interrupted"))
            os.replace(self.working, kept)
            log.warning("an interrupted run left an unfinished recording: kept as %s", kept)
        return self.working

    def resume(self) -> Path:
        """Where to write a video that takes over what is there; `taken_over` puts it in that one's place."""
        return self._next if self.left else self.working

    def taken_over(self, written: Path) -> Path:
        """The video written there has all that the unfinished one had, and replaces it. Returns where it is now.

        It may still be written to; where the system does not rename open files, that is put off to `commit` or `close`.
        """
        if written == self.working:
            return written
        try:
            os.replace(written, self.working)
        except PermissionError:
            return written
        return self.working

    def write_note(self, note: bytes) -> None:
        """What is needed to go on, in place of what was noted before.

        Raises:
            SinkError: it cannot be written.
        """
        if self._handle is None:
            return
        try:
            os.ftruncate(self._handle, 0)
            os.lseek(self._handle, 0, os.SEEK_SET)
            os.write(self._handle, note)
            os.fsync(self._handle)
        except OSError as error:
            raise SinkError(f"cannot write {self._claim}: {error.strerror or error}") from error
        self.note = note

    def commit(self, *, overwrite: bool = False) -> None:
        """The video is whole: give it its name, and the place back.

        Raises:
            SinkError: it cannot be renamed, or another file has come to be there meanwhile; the video stays where it was written.
        """
        if self.special:
            return
        if not overwrite and any(existing_files(path) for path in self.targets):
            raise SinkError(f"a file {self.path} has come to be there meanwhile: the video stays at {self.working}")
        try:
            self._flush()
            self._place()
        except OSError as error:
            raise SinkError(f"{self.working} is whole, but cannot be renamed to {self.path.name}: {error.strerror or error}") from error
        self._release(remove=True)

    def close(self) -> None:
        """Give the place back. What was made of the video stays, with its note; where nothing was, nothing is left. May be called twice."""
        if self._handle is not None:
            if self._next.is_file():
                os.replace(self._next, self.working)
            self._release(remove=not self.left)

    def _working_name(self) -> Path:
        return unfinished_path(self.path)

    def _place(self) -> None:
        os.replace(self.working, self.path)

    def _discard(self) -> None:
        self.working.unlink()

    def _flush(self) -> None:
        if self._next.is_file():
            os.replace(self._next, self.working)
        with self.working.open("rb") as file:
            os.fsync(file.fileno())
        if self.path.is_file():
            shutil.copymode(self.path, self.working)

    def _release(self, *, remove: bool) -> None:
        handle, self._handle = self._handle, None
        if handle is None:
            return
        if remove and os.name == "posix":  # while it is locked, so that nobody's lock is removed but one's own
            self._claim.unlink(missing_ok=True)
        os.close(handle)
        if remove and os.name != "posix":  # an open file cannot be removed there
            self._claim.unlink(missing_ok=True)


def open_locked(path: Path) -> int | None:
    """The file, made if need be and locked by this process; None where another process has locked it.

    Raises:
        OSError: it cannot be made.
    """
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        try:
            locked = lock(handle)
            if locked and is_at(handle, path):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
        if not locked:
            return None
        # whoever held it has removed it between our opening and our locking: what we locked is no file any more


def lock(handle: int) -> bool:
    """Lock an open file for as long as the process holds it open; False where another one has. A file system without locks gives all."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(handle, 1 << 30, os.SEEK_SET)  # beyond what is read: a locked stretch cannot be read by others
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        log.debug("no locks here: %s", error)
    return True


def is_at(handle: int, path: Path) -> bool:
    """Whether the open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
