"""The graphs inside MediaPipe 0.10.21, without the plotting library that it imports to draw their results."""

from __future__ import annotations

import sys
import threading
from importlib import import_module
from types import ModuleType
from typing import Any

PLOTTING = "matplotlib.pyplot"
_importing = threading.Lock()


class Later(ModuleType):
    """Stands in for a module while others are imported, and passes on to the real one, imported then, whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


def solution(name: str) -> Any:
    """The module `mediapipe.python.solutions.NAME`.

    Importing any part of MediaPipe imports pyplot, which nothing here uses: half of the import's time, and at the very first start a search
    through all fonts. It is imported when somebody draws with MediaPipe.
    """
    with _importing:
        if PLOTTING in sys.modules or "mediapipe" in sys.modules:
            return import_module(f"mediapipe.python.solutions.{name}")
        later = sys.modules[PLOTTING] = Later(PLOTTING)
        try:
            return import_module(f"mediapipe.python.solutions.{name}")
        finally:
            if sys.modules.get(PLOTTING) is later:
                del sys.modules[PLOTTING]
