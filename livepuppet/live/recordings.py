"""The recordings that a person starts while the session runs: named by the time, never over another file, signed when they are finished."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from livepuppet.factory import make_sink
from livepuppet.files import free_name
from livepuppet.provenance.marks import Mark, sign_video
from livepuppet.provenance.signing import SigningIdentity
from livepuppet.types import Sink


class Recordings:
    """Where `Session.new_recording` and `Session.recorded` lead.

    Attributes:
        finished: complete and signed, the oldest first.

    Args:
        folder: they are written to.
        engine: its name, for the credentials.
        mark: what the frames carry.
        identity: who signs; None: this user's own key.
    """

    def __init__(self, folder: Path, engine: str, mark: Mark, identity: SigningIdentity | None) -> None:
        self.finished: tuple[Path, ...] = ()
        self._folder, self._engine, self._mark, self._identity = folder, engine, mark, identity
        self._signing: list[threading.Thread] = []
        self._relabelled: dict[Path, int] = {}
        self._lock = threading.Lock()

    def new(self) -> tuple[Sink, Path]:
        """A sink for the next one, and its file."""
        path = free_name(self._folder / time.strftime("livepuppet-%Y%m%d-%H%M%S.mp4"))
        self._relabelled[path] = self._mark.relabelled
        return make_sink(str(path)), path

    def finish(self, path: Path) -> None:
        """Sign a recording that is written, in a thread: that takes as long as the file is large, and frames go on."""
        thread = threading.Thread(target=self._sign, args=(path,), name=f"livepuppet-sign {path.name}")
        self._signing.append(thread)
        thread.start()

    def close(self) -> None:
        """Wait until all are signed."""
        for thread in self._signing:
            thread.join()

    def _sign(self, path: Path) -> None:
        sign_video(path, self._engine, self._mark, self._identity, relabelled=self._relabelled.get(path, 0))
        if path.is_file():
            with self._lock:
                self.finished = (*self.finished, path)
