"""`livepuppet.examine`: a file in, evidence out."""

from __future__ import annotations

from pathlib import Path

from livepuppet.evidence.footage import Stretch, read_footage
from livepuppet.evidence.measurement import measure, too_little
from livepuppet.evidence.rates import shipped_benchmark
from livepuppet.evidence.report import EvidenceReport
from livepuppet.provenance.verification import verify
from livepuppet.vision.portrait import SUFFIXES


def examine(path: str | Path) -> EvidenceReport:
    """Weigh a video that nobody marked: what it says about itself, then tests with measured error rates. No verdict.

    The first minute is looked at, and in it the longest stretch with one face and no cut. Takes about the video's length.

    Args:
        path: a video, or an image, about which only its provenance can be told.

    Returns:
        Provenance, and each test with its value, or why there is too little to tell.

    Raises:
        UsageError: the file is neither an image nor a video, or cannot be read.
        ModelError: MediaPipe's face model cannot be had.
    """
    path = Path(path)
    provenance = verify(path)
    if path.suffix.lower() in SUFFIXES - {".gif"}:
        return EvidenceReport(path, provenance, too_little("a single picture shows no change"), shipped_benchmark())
    stretch: Stretch | None = read_footage(path)
    return EvidenceReport(
        path,
        provenance,
        measure(stretch),
        shipped_benchmark(),
        None if stretch is None else (stretch.seconds[0], stretch.seconds[-1]),
        None if stretch is None else stretch.still,
    )
