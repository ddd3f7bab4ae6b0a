"""The private note by which a shell finds a running session: its address and token, readable by this user only."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

from livepuppet.errors import RunError, UsageError
from livepuppet.files import write_atomically

PREFIX, SUFFIX = "session-", ".json"


@dataclass(frozen=True)
class RunningSession:
    """Where a session listens.

    Attributes:
        pid: of its process.
        address: without token, http://127.0.0.1:8765.
        token: see `access`.
    """

    pid: int
    address: str
    token: str


def runtime_folder() -> Path:
    """Where notes of what runs now are kept; LIVEPUPPET_RUNTIME names another folder. It need not exist."""
    named = os.environ.get("LIVEPUPPET_RUNTIME")
    if named:
        return Path(named)
    import platformdirs

    return platformdirs.user_runtime_path("livepuppet", appauthor=False)


def announce(session: RunningSession) -> Path:
    """Write the note; whoever ends the session removes it.

    Raises:
        RunError: it cannot be written, or the folder is not this user's alone.
    """
    folder = runtime_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make the folder {folder}: {error.strerror}") from error
    check_owner(folder)
    note = folder / f"{PREFIX}{session.pid}{SUFFIX}"
    write_atomically(note, lambda file: file.write(json.dumps(asdict(session)).encode()), private=True)
    return note


def check_owner(folder: Path) -> None:
    """In a place where everybody may make folders, somebody else may have made this one.

    Raises:
        RunError: it is a link, or another user's, or others may write into it.
    """
    if os.name != "posix":
        return
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise RunError(f"{folder} belongs to somebody else: set LIVEPUPPET_RUNTIME to a folder of your own")
    if status.st_mode & 0o077:
        folder.chmod(0o700)


def running_sessions() -> list[RunningSession]:
    """Those that have left a note and whose process is there, the newest first."""
    try:
        notes = [(path.stat().st_mtime, path) for path in runtime_folder().glob(f"{PREFIX}*{SUFFIX}")]
        if notes:
            check_owner(runtime_folder())
    except OSError:  # the folder, or a note, went away meanwhile
        return []
    sessions = []
    for _, path in sorted(notes, reverse=True):
        session = read_session_note(path)
        if session is not None and process_exists(session.pid):
            sessions.append(session)
    return sessions


def read_session_note(path: Path) -> RunningSession | None:
    """None where it is no such note."""
    try:
        note = json.loads(path.read_text("utf-8"))
        return RunningSession(int(note["pid"]), str(note["address"]), str(note["token"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def process_exists(pid: int) -> bool:
    """Whether a process of that number runs; taken for granted on systems where one cannot ask without disturbing it."""
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def find_session(pid: int | None = None) -> RunningSession:
    """The session that is meant: of that process, or the newest.

    Raises:
        UsageError: there is none.
    """
    sessions = running_sessions()
    for session in sessions:
        if pid in (None, session.pid):
            return session
    if sessions:
        numbers = ", ".join(str(session.pid) for session in sessions)
        raise UsageError(f"no session of process {pid} can be controlled: there are {numbers}", parameter="session")
    raise UsageError("no session that can be controlled is running: start one with `livepuppet studio`, or with a control port")
