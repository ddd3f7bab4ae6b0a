"""Recordings that a person starts: never over another file, signed when they are finished, and true in what they claim."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from livepuppet.live.recordings import Recordings
from livepuppet.provenance.marks import Mark
from livepuppet.provenance.verification import verify
from livepuppet.types import Frame


@pytest.mark.parametrize("change", ["", "the same text again", "before", "while it records"])
def test_only_a_label_that_every_frame_carries_is_claimed(change: str, tmp_path: Path) -> None:
    mark = Mark(7, watermark=False, label="made by machine")
    if change == "before":
        mark.relabel("synthetic")
    recordings = Recordings(tmp_path, "landmark", mark, None)
    sink, path = recordings.new()
    sink.open((320, 240), 30, lossless=True)
    for number in range(10):
        if number == 5 and change == "while it records":
            mark.relabel(None)
        if number == 5 and change == "the same text again":
            mark.relabel("made by machine")
        sink.write(Frame(mark.apply(np.full((240, 320, 3), 128, np.uint8)), number, number / 30, number / 30))
    sink.close()
    recordings.finish(path)
    recordings.close()
    assert recordings.finished == (path,)
    credentials = verify(path).ours
    assert credentials is not None
    expected = {"": "made by machine", "before": "synthetic"}.get(change)
    assert credentials["label"] == expected


def test_no_recording_overwrites_another(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path, "landmark", Mark(7, watermark=False), None)
    names = set()
    for _ in range(3):
        sink, path = recordings.new()
        sink.open((64, 64), 30, lossless=True)
        sink.write(Frame(np.zeros((64, 64, 3), np.uint8), 0, 0.0, 0.0))
        sink.close()
        names.add(path.name)
    assert len(names) == 3 == len(os.listdir(tmp_path))
