"""The performance that comes with the package, over and over: something to try livepuppet on without a camera."""

from __future__ import annotations

from pathlib import Path

from livepuppet.video.playback import Playback

PERFORMANCE = Path(__file__).parents[1] / "assets" / "performance.mp4"


class DemoSource(Playback):
    """Ten seconds of a neutral face, talk, blinks and turns, looping for ever.

    Args:
        paced: behaves like a camera that videos the performance, so frames nobody took in time are dropped; else every frame is delivered
            as soon as it is asked for, and none is lost.
    """

    def __init__(self, *, paced: bool) -> None:
        super().__init__(PERFORMANCE, name="demo", paced=paced, loop=True, live=paced)
        self.duration = self._video.duration
        """Seconds of one performance."""
