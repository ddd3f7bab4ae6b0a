"""What a video's suffix says: the one table of them."""

from __future__ import annotations

INPUT_SUFFIXES = frozenset(
    {".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".gif", ".ts", ".wmv", ".3gp", ".y4m", ".ogv"}
)
"""Names that are taken for videos where they could mean something else; by its content any file that FFmpeg knows is read."""

RECORDING_SUFFIXES = frozenset({".mp4", ".mov", ".mkv"})
"""What a live session records to: they stay playable whatever interrupts the writing."""

H264_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")
"""Written as H.264."""

JOINABLE_SUFFIXES = frozenset({".mp4", ".m4v", ".mkv", ".mov", ".webm"})
"""Videos that can be rendered in chunks and joined packet by packet."""

CLIP_SUFFIXES = frozenset({".mp4", ".mov", ".avi", ".mkv", ".webm", ".gif", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".ts"})
"""What training looks for in a folder."""
