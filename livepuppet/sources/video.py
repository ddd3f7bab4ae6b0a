"""Video files and network streams as driving sources. A file loses no frame; a stream is watched as it happens."""

from __future__ import annotations

from pathlib import Path

from livepuppet.video.container import is_url
from livepuppet.video.playback import Playback


class VideoSource(Playback):
    """Frames of a video or stream: anything PyAV reads, or an address (rtsp://, http://, …), which is live.

    Args:
        paced: a file is shown at its own speed, as someone watching would see it; else as fast as frames are taken. No frame of a file is
            ever lost.

    Raises:
        UsageError: where the path is not a video with pictures.
        SourceError: where an address does not answer.
    """

    def __init__(self, path: str | Path, *, paced: bool, loop: bool = False) -> None:
        super().__init__(path, name=str(path) if is_url(path) else Path(path).name, paced=paced, loop=loop)
