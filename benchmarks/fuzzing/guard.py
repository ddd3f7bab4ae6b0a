"""The fence around a case: how much memory and disk it may take, and whether it touched or started anything that it should not."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

MEMORY_BYTES = 6 << 30
"""Address space, not memory in use: PyTorch and FFmpeg reserve more than they touch."""
FILE_BYTES = 256 << 20

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = frozenset({"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown"})
STARTS = frozenset(
    {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "pty.spawn", "os.startfile"}
)
NETWORK = frozenset({"socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request"})
"""Python's audit events; `compile`, `exec` and `import` are left out, since libraries load their own parts late."""

IN_OPEN, IN_MODIFY, IN_CREATE, IN_DELETE, NONBLOCK = 0x20, 0x2, 0x100, 0x200, 0x800


def limit_process() -> None:
    """Memory and disk of this process, for good; no core files."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Guard:
    """Watches what cases do outside their own folder: Python code through its audit events, C code through a folder with bait.

    Attributes:
        inside: where a case may write.
        outside: a folder that no case has any business in; files name what lies there.
    """

    def __init__(self, inside: Path, outside: Path) -> None:
        self.inside, self.outside = inside, outside
        self._inside = os.path.realpath(inside)
        self._allowed = (self._inside, "/dev/", "/proc/self/", os.path.realpath(tempfile.gettempdir()) + "/tmp")
        self._seen: list[str] = []
        self._watching = False
        self._bait = _watch(outside)
        sys.addaudithook(self._hear)

    def begin(self) -> None:
        self._seen.clear()
        self._watching = True

    def end(self) -> list[str]:
        """What the case did that it should not; empty for a good one."""
        self._watching = False
        if self._bait is not None:
            try:
                if os.read(self._bait, 65536):
                    self._seen.append("a file outside was opened or changed by a library")
            except BlockingIOError:
                return sorted(set(self._seen))
        return sorted(set(self._seen))

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._watching:
            return
        if event in STARTS or (event in NETWORK and not str(arguments[0]).startswith("file:")):
            self._seen.append(f"{event} {str(arguments)[:120]}")
        elif event in CHANGES:
            self._judge(event, arguments[0])
        elif event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & WRITES:
                self._judge("writing", path)
            elif isinstance(path, str | bytes) and os.fsdecode(path).startswith((str(self.outside), "/etc/passwd")):
                self._seen.append(f"reading {os.fsdecode(path)}")

    def _judge(self, what: str, path: object) -> None:
        if isinstance(path, int) or not isinstance(path, str | bytes | os.PathLike):
            return
        whole = os.path.realpath(os.fsdecode(path))
        if not whole.startswith(self._allowed) and not whole.endswith(".pyc") and "__pycache__" not in whole:
            self._seen.append(f"{what} {whole}")


def _watch(folder: Path) -> int | None:
    """An inotify descriptor that hears of every opening of what lies in the folder; None where the system has none."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None, use_errno=True)
    descriptor = library.inotify_init1(NONBLOCK)
    if descriptor < 0 or library.inotify_add_watch(descriptor, os.fsencode(folder), IN_OPEN | IN_MODIFY | IN_CREATE | IN_DELETE) < 0:
        return None
    return int(descriptor)
