"""The graphs inside MediaPipe 0.10.21: quiet, and without the plotting library that it imports to draw their results."""

from __future__ import annotations

import sys
import threading
from contextlib import ExitStack
from importlib import import_module
from types import ModuleType, TracebackType
from typing import Any

from livepuppet.types import Image
from livepuppet.vision.imgproc import checked_image
from livepuppet.vision.native_noise import without_native_noise

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


class SolutionGraph:
    """One of MediaPipe's graphs, for one thread at a time. Use it as a context manager, or close it.

    Args:
        module, name: `mediapipe.python.solutions.MODULE.NAME`.
        options: what its constructor takes.
    """

    def __init__(self, module: str, name: str, **options: Any) -> None:
        with ExitStack() as opened:
            opened.enter_context(without_native_noise())
            self._graph = getattr(solution(module), name)(**options)
            opened.callback(self._graph.close)
            self._opened = opened.pop_all()

    def process(self, image: Image) -> Any:
        """MediaPipe's own result for an image, RGB uint8 (H, W, 3).

        Raises:
            UsageError: for any other array.
        """
        return self._graph.process(checked_image(image))

    def close(self) -> None:
        """Free the graph. May be called twice."""
        self._opened.close()

    def __enter__(self) -> SolutionGraph:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
