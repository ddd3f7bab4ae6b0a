"""A live source that may be exchanged for another while it is read: the session's camera, chosen as it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from livepuppet.errors import LivepuppetError
from livepuppet.types import AnyFrame, Closing, Source


class SourceSwitch(Closing):
    """One source at a time. Another is opened in the background first; until it is there, and where it fails, the present one goes on.

    A source that ends or fails leaves the switch waiting for the next one, so that the session can be helped out of it.

    Attributes:
        name, fps, mirrored: the present source's.
        names: what can be chosen.
    """

    live = True

    def __init__(
        self, chosen: str, opened: Source, open_by_name: Callable[[str], Source], list_names: Callable[[], tuple[str, ...]]
    ) -> None:
        self.names = list_names()
        self._chosen = chosen
        self._wanted = ""
        self._present = opened
        self.name, self.fps, self.mirrored = opened.name, opened.fps, opened.mirrored
        self._open, self._list = open_by_name, list_names
        self._turned = threading.Condition()
        self._opening: threading.Thread | None = None
        self._closed = False
        self._changed = False
        self._failure = ""
        self._silence = ""  # why the present source delivers nothing any longer
        self._index = 0

    @property
    def chosen(self) -> str:
        """By its name among `names`; at once what was chosen last, and again the present one where that cannot be opened."""
        return self._wanted or self._chosen

    @property
    def trouble(self) -> str:
        return self._silence or self._present.trouble

    def refresh(self) -> None:
        """Look for cameras again."""
        self.names = self._list()

    def choose(self, name: str) -> str:
        """Open another source in the background; the last wish counts. Returns a line for the person."""
        with self._turned:
            if self._closed:
                return ""
            self._wanted = name
            if self._opening is None:
                self._opening = threading.Thread(target=self._turn, name="livepuppet-camera-switch")
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

    def read(self) -> AnyFrame | None:
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

    def _turn(self) -> None:
        """Open what is wanted, until that is what was opened."""
        while True:
            name, opened, failure = self._wanted, None, ""
            try:
                opened = self._open(name)
            except LivepuppetError as error:
                failure = str(error)
            except Exception as error:  # a driver's own kind of failure must not leave the switch stuck
                failure = f"{name} cannot be opened: {error}"
            surplus = opened
            with self._turned:
                done = self._closed or self._wanted == name
                if done:
                    self._opening, self._wanted, self._failure = None, "", failure
                if done and not self._closed and opened is not None:
                    surplus, self._present = self._present, opened
                    self.name, self.fps, self.mirrored = opened.name, opened.fps, opened.mirrored
                    self._chosen, self._changed, self._silence = name, True, ""
                self._turned.notify_all()
            if surplus is not None:
                surplus.close()
            if done:
                return
