"""The portraits at hand, made ready in the background so that changing the avatar never holds up a frame."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from livepuppet.errors import LivepuppetError, NoFaceError, UsageError
from livepuppet.types import AnyEngine, Avatar, Size
from livepuppet.vision.portrait import find_portraits, load_portrait

KEPT_READY = 12
"""Prepared avatars kept; each holds a few images of the output's size."""

log = logging.getLogger("livepuppet.live.avatar_loader")


class AvatarLoader:
    """Portraits by number.

    The first portrait that can be used is prepared at once (`first`), all others in one background thread. Raises what `find_portraits`
    raises.

    Args:
        paths: images and folders, as the person gave them.
        size: of every avatar's image.
        face: which of several faces of a portrait moves: 1 is the largest, which None takes.
    """

    def __init__(self, engine: AnyEngine, paths: Sequence[Path], size: Size | None = None, face: int | None = None) -> None:
        self._engine, self._given, self._size, self._face = engine, list(paths), size, face
        self.portraits = find_portraits(self._given)
        self.chosen = 0
        self._named: tuple[list[Path], tuple[str, ...]] = [], ()
        self._ready: OrderedDict[Path, Avatar] = OrderedDict()
        self._wanted: Path | None = None
        self._done: Avatar | None = None
        self._trouble = ""
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def first(self) -> Avatar:
        """Prepare the first usable portrait; the ones before it are skipped with a line each.

        Raises the portrait's own error when there is only one, UsageError when none of several can be used.
        """
        for number, path in enumerate(self.portraits):
            try:
                avatar = self._prepare(path)
            except LivepuppetError as error:
                if len(self.portraits) == 1:
                    raise
                log.warning("%s", error)
                continue
            self.chosen = number
            return avatar
        raise UsageError(f"none of the {len(self.portraits)} portraits can be used: see the lines above")

    @property
    def name(self) -> str:
        return self.portraits[self.chosen].stem

    @property
    def names(self) -> tuple[str, ...]:
        """One name for each portrait: its file's, without the ending where that says enough. No two are alike."""
        portraits, names = self._named
        if portraits is not self.portraits:
            portraits = self.portraits
            names = unique_names(portraits)
            self._named = portraits, names
        return names

    @property
    def chosen_name(self) -> str:
        """Among `names`."""
        return self.names[self.chosen]

    def add(self, path: Path) -> str:
        """Take one more portrait, prepared in the calling thread, whichever that is; its name among `names`.

        Raises what makes it unusable: PortraitError, NoFaceError.
        """
        self._prepare(path)
        with self._lock:
            if path not in self.portraits:
                self._given.append(path)
                self.portraits = [*self.portraits, path]
            return self.names[self.portraits.index(path)]

    def remove(self, path: Path) -> None:
        """Forget a portrait; the avatar that moves stays until another is chosen. For the thread that chooses.

        Raises:
            UsageError: it is the only one.
        """
        with self._lock:
            left = [other for other in self.portraits if other != path]
            if not left:
                raise UsageError("it is the only avatar: add another first", parameter="avatar")
            before = self.portraits[self.chosen]
            self._given = [other for other in self._given if other != path]
            self._ready.pop(path, None)
            self.portraits, self.chosen = left, left.index(before) if before in left else 0

    def choose(self, number: int) -> str:
        """Ask for a portrait by number; returns a line for the person. `poll` delivers it when it is ready."""
        if not 0 <= number < len(self.portraits):
            return f"there are {len(self.portraits)} avatars"
        with self._lock:
            self.chosen = number
            self._wanted = self.portraits[number]
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="livepuppet-avatars")
                self._thread.start()
        return f"avatar {number + 1}/{len(self.portraits)}: {self.name}"

    def step(self, by: int) -> str:
        """The next (+1) or previous (-1) portrait, round and round."""
        return self.choose((self.chosen + by) % len(self.portraits))

    def reload(self) -> str:
        """Look at the folders again; changed files are prepared anew."""
        try:
            portraits = find_portraits(self._given)
        except LivepuppetError as error:
            return str(error)
        with self._lock:
            self._ready.clear()
            self.portraits = portraits
        return self.choose(min(self.chosen, len(portraits) - 1))

    def poll(self) -> Avatar | None:
        """The avatar asked for last, once, when it is ready."""
        with self._lock:
            done, self._done = self._done, None
            return done

    def trouble(self) -> str:
        """Why the portrait asked for cannot be used, once; else ''."""
        with self._lock:
            trouble, self._trouble = self._trouble, ""
            return trouble

    def close(self) -> None:
        """Stop preparing, and wait for the thread."""
        with self._lock:
            self._closed = True
            self._wanted = None
            thread = self._thread
        if thread is not None:
            thread.join()

    def _prepare(self, path: Path) -> Avatar:
        try:
            chosen = {} if self._face is None else {"face": self._face}
            avatar: Avatar = self._engine.prepare(load_portrait(path), self._size, **chosen)
        except NoFaceError as error:
            raise NoFaceError(f"{path.name}: {error}") from error
        if self._size is None:  # all further portraits are fitted into the first one's frame
            height, width = avatar.image.shape[:2]
            self._size = (width, height)
        with self._lock:
            self._ready[path] = avatar
            while len(self._ready) > KEPT_READY:
                self._ready.popitem(last=False)
        return avatar

    def _work(self) -> None:
        """Prepare what was asked for last until nothing is wanted; then end."""
        while True:
            with self._lock:
                path, self._wanted = self._wanted, None
                if path is None or self._closed:
                    self._thread = None
                    return
                avatar = self._ready.get(path)
            try:
                avatar = avatar or self._prepare(path)
            except LivepuppetError as error:
                with self._lock:
                    self._trouble = str(error)
                continue
            with self._lock:
                if self._wanted is None and not self._closed:
                    self._done = avatar


def unique_names(portraits: Sequence[Path]) -> tuple[str, ...]:
    """The stems of the files, with a number where one has come before."""
    names: list[str] = []
    for path in portraits:
        name, number = path.stem, 1
        while name in names:
            number += 1
            name = f"{path.stem} ({number})"
        names.append(name)
    return tuple(names)
