"""How large the window is, found out from the only thing OpenCV tells: where it last drew the picture."""

from __future__ import annotations

from livepuppet.types import Size

Rectangle = tuple[int, int, int, int]
"""x, y, width, height as `cv2.getWindowImageRect` has them; -1 or 0 where there is no window to see."""

LONGEST_SIDE = 3840
OVERSHOOT = 1.5


class Viewport:
    """The canvas's size, following the window's.

    Most window systems stretch the picture over the whole window, so the rectangle is the window. OpenCV's Qt shrinks a picture that
    is too large, axis by axis, but never enlarges one: a rectangle smaller than the picture is the window, one as large as the picture
    says only that the window is no smaller. So when the rectangle changes we send the picture enlarged until it is the window
    that limits it, and then draw at exactly that size.
    """

    def __init__(self, size: Size, *, stretches: bool) -> None:
        self.size = size
        """Width and height to draw at."""
        self.sent = size
        """Width and height to send to the window: `size`, or larger while the window's own is being found out."""
        self._stretches = stretches
        self._settled: Rectangle | None = None

    def update(self, shown: Rectangle) -> None:
        """Take in where the picture that was last `sent` has been drawn."""
        width, height = shown[2:]
        if width <= 0 or height <= 0:  # minimised: keep the last
            return
        if self._stretches:
            self.size = self.sent = bounded((width, height))
        elif self.sent == self.size:
            self._watch(shown)
        else:
            self._seek((width, height))

    def _watch(self, shown: Rectangle) -> None:
        """While drawing at the window's size: has it changed?"""
        if self._settled is None and shown[2:] == self.size:
            self._settled = shown
        elif shown != self._settled:
            self._settled = None
            self._enlarge(shown[2:])

    def _seek(self, shown: Size) -> None:
        """While sending more than fits: does the window limit both sides yet?"""
        if all(part < whole or whole >= LONGEST_SIDE for part, whole in zip(shown, self.sent, strict=True)):
            self.size = self.sent = shown
        else:
            self._enlarge(shown)

    def _enlarge(self, shown: Size) -> None:
        self.size = shown
        self.sent = min(LONGEST_SIDE, round(shown[0] * OVERSHOOT) + 1), min(LONGEST_SIDE, round(shown[1] * OVERSHOOT) + 1)


def bounded(window: Size) -> Size:
    """The canvas for a window of this size: on the largest screens the window system enlarges it."""
    scale = min(1.0, LONGEST_SIDE / max(window))
    return max(1, round(window[0] * scale)), max(1, round(window[1] * scale))
