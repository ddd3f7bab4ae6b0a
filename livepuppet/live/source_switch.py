"""A live source that may be exchanged for another while it is read: the session's camera, chosen as it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from livepuppet.errors import LivepuppetError, RunError
from livepuppet.types import Closing, Frame, Source


class SourceSwitch(Closing):
    """One source at a time. Another is opened in the background first; until it is there, and where it fails, the present one goes on.

    A source that ends or fails leaves the switch waiting for the next one, so that the session can be helped out of it.

    Attributes:
        chosen: by its name among `names`.
        names: what can be chosen.
    """

    live = True

    def __init__(
        self, chosen: str, opened: Source, open_by_name: Callable[[str], Source], list_names: Callable[[], tuple[str, ...]]
    ) -> None:
        self.chosen, self.names = chosen, list_names()
        self._present = opened
        self._open, self._list = open_by_name, list_names
        self._turned = threading.Condition()
        self._opening: threading.Thread | None = None
        self._closed = False
        self._changed = False
        self._failure = ""
        self._silence = ""  # why the present source delivers nothing any longer
        self._index = 0

    @property
    def name(self) -> str:
        return self._present.name

    @property
    def fps(self) -> float:
        return self._present.fps

    @property
    def mirrored(self) -> bool:
        return self._present.mirrored

    @property
    def trouble(self) -> str:
        return self._silence or self._present.trouble

    def refresh(self) -> None:
        """Look for cameras again."""
        self.names = self._list()

    def choose(self, name: str) -> str:
        """Open another source in the background; returns a line for the person."""
        with self._turned:
            if self._closed:
                return ""
            if self._opening is not None:
                return "one moment: a camera is being opened"
            self._opening = threading.Thread(target=self._turn, args=(name,), name="livepuppet-camera-switch")
            self._opening.start()
        return f"opening {name}"

    def changed(self) -> bool:
        """Whether another source has taken over since the last call."""
        with self._turned:
            changed, self._changed = self._changed, False
            return changed

    def failure(self) -> str:
        """Why the source asked for cannot be had, once; else ''."""
        with self._turned:
            failure, self._failure = self._failure, ""
            return failure

    def read(self) -> Frame | None:
        """The present source's next frame; None once closed."""
        while True:
            with self._turned:
                self._turned.wait_for(lambda: self._closed or not self._silence)
                if self._closed:
                    return None
                source = self._present
            silence = f"{source.name} has ended: choose a camera"
            try:
                frame = source.read()
            except LivepuppetError as error:
                frame, silence = None, str(error)
            with self._turned:
                if source is not self._present:
                    continue  # its last frame belongs to nobody
                if frame is None:
                    self._silence = silence
                    continue
                self._index += 1
                return replace(frame, index=self._index, media_time=None)  # one clock for all of them: the one at the wall

    def close(self) -> None:
        """Close the present source; ends a waiting `read`. May be called twice."""
        with self._turned:
            self._closed = True
            opening = self._opening
            self._turned.notify_all()
        if opening is not None:
            opening.join()
        self._present.close()

    def _turn(self, name: str) -> None:
        before: Source | None = None
        try:
            opened = self._open(name)
        except LivepuppetError as error:
            with self._turned:
                self._failure, self._opening = str(error), None
            return
        except Exception as error:  # a driver's own kind of failure must not leave the switch stuck
            with self._turned:
                self._failure, self._opening = str(RunError(f"{name} cannot be opened: {error}")), None
            return
        with self._turned:
            self._opening = None
            if self._closed:
                before = opened
            else:
                before, self._present = self._present, opened
                self.chosen, self._changed, self._silence = name, True, ""
            self._turned.notify_all()
        before.close()
