"""What a file says about its own making: its content credentials and its invisible mark, put together and put into words."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from livepuppet.errors import UsageError
from livepuppet.provenance.c2pa import Credentials, can_sign, read_credentials
from livepuppet.provenance.watermark.reader import FOUND, Reader, Reading
from livepuppet.types import Image
from livepuppet.video.reader import DecodedFrame, VideoReader
from livepuppet.vision.portrait import is_picture, load_portrait

log = logging.getLogger("livepuppet.provenance.verification")

Verdict: TypeAlias = Literal["livepuppet", "altered", "other", "nothing"]
"""livepuppet: a mark of ours.  altered: the file is not as it was when its credentials were signed, and no mark of ours was found.
other: only another program's credentials.  nothing: neither mark nor credentials."""

STRETCHES = 6
"""Parts of a video that are read one by one where the whole shows no mark: an excerpt of ours may stand inside something else."""
PER_STRETCH = 4
"""Frames read of each."""
SEEK_BEYOND = 3.0
"""Seconds between frames from which seeking is quicker than decoding all that lies between."""
ABSENT = "The absence of marks proves nothing: they can be removed, and most programs that make such pictures leave none."


@dataclass(frozen=True, slots=True)
class VerificationResult:
    """path, and what was found there.

    Attributes:
        stretch: from where to where, in seconds, the mark was read; None: all over the file.
    """

    path: Path
    credentials: Credentials | None
    watermark: Reading
    stretch: tuple[float, float] | None = None

    @property
    def ours(self) -> dict[str, Any] | None:
        """livepuppet's own statement, if the file carries one and is unaltered since it was signed."""
        return self.credentials.statement if self.credentials and self.credentials.state in {"valid", "trusted"} else None

    @property
    def verdict(self) -> Verdict:
        if self.watermark.found or self.ours:
            return "livepuppet"
        if self.credentials is None or self.credentials.state == "unreadable":
            return "nothing"
        if self.credentials.altered:
            return "altered"
        unclear = self.credentials.state == "invalid" and self.credentials.generator.startswith("livepuppet")
        return "nothing" if unclear else "other"

    def sentences(self) -> list[str]:
        """All of it in words, the verdict first."""
        return [VERDICTS[self.verdict], *self._about_credentials(), *self._about_watermark(), *self._about_both()]

    def _about_credentials(self) -> Iterator[str]:
        found = self.credentials
        if found is None:
            yield (
                "Content credentials: none."
                if can_sign(self.path)
                else f"Content credentials: none; '{self.path.suffix}' files carry none."
            )
            return
        problems = ", ".join(found.problems) or "no reason given"
        if found.state == "unreadable":
            yield f"Content credentials: none that can be read ({problems}); this says nothing about the file."
            return
        if found.state == "invalid" and not found.altered:
            yield f"Content credentials: there are some, but not in order ({problems}); this does not mean that the file was altered."
            return
        if found.state == "invalid":
            yield f"Content credentials: broken ({problems}): the file was altered, or they were moved here from another."
            return
        said = ", ".join(dict.fromkeys(found.source_types)) or "nothing about how the picture was made"
        author = found.generator or "a program that does not say its name"
        yield f"Content credentials: written by {author}; they say: {said}."
        if found.state == "trusted":
            yield f"Signed by '{found.issuer}', who is on a trust list; unaltered since."
        else:
            yield (
                f"Signed with a certificate in the name of '{found.issuer}', for which nobody vouches: "
                "this proves that the file is unaltered since it was signed, not by whom."
            )
        if found.statement is not None and found.statement.get("watermark") is False:
            yield "They say that the invisible mark was left out on request."

    def _about_watermark(self) -> Iterator[str]:
        mark = self.watermark
        if not mark.found:
            yield f"Invisible mark: not found (score {mark.score:.1f}; it counts as found from {FOUND})."
            return
        session = "too faint to read its session" if mark.session_id is None else f"session {mark.session_id}"
        where = "" if self.stretch is None else f", between {self.stretch[0]:.1f} and {self.stretch[1]:.1f} s"
        notes = ", mirrored" if mark.mirrored else ""
        yield (
            f"Invisible mark: livepuppet, synthetic; {session}{where}{notes} (score {mark.score:.1f}; "
            f"fewer than 1 in 10,000 unmarked pictures reach {FOUND})."
        )

    def _about_both(self) -> Iterator[str]:
        if not self.ours:
            return
        if self.watermark.found and self.watermark.session_id is not None and self.ours.get("session_id") != self.watermark.session_id:
            yield f"The two disagree: the credentials name session {self.ours.get('session_id')}. One of them may come from another file."
        if not self.watermark.found and self.ours.get("watermark"):
            yield "The two disagree: the credentials say that the frames carry the invisible mark."

    def as_json(self) -> dict[str, Any]:
        found = self.credentials
        mark = self.watermark
        return {
            "file": str(self.path),
            "verdict": self.verdict,
            "credentials": None
            if found is None
            else {
                "state": found.state,
                "generator": found.generator,
                "digital_source_types": list(found.source_types),
                "issuer": found.issuer,
                "statement": found.statement,
                "problems": list(found.problems),
            },
            "watermark": {
                "found": mark.found,
                "session_id": mark.session_id,
                "score": round(mark.score, 2),
                "threshold": FOUND,
                "frames": mark.frames,
                "mirrored": mark.mirrored,
                "stretch_s": None if self.stretch is None else [round(second, 2) for second in self.stretch],
            },
            "sentences": self.sentences(),
        }


VERDICTS: dict[Verdict, str] = {
    "livepuppet": "Marked as synthetic, made with livepuppet. Strong evidence, not proof: whoever has the program can mark any picture.",
    "altered": f"The file was altered after its credentials were signed. {ABSENT}",
    "other": f"No mark of livepuppet's; another program left credentials. {ABSENT}",
    "nothing": f"No mark found. {ABSENT}",
}


def verify(path: str | Path) -> VerificationResult:
    """Look for the marks that livepuppet leaves in an image or video: its content credentials and its invisible mark.

    Args:
        path: an image or a video, by anybody.

    Returns:
        What was found; `verdict` and `sentences()` put it into words.

    Raises:
        UsageError: the file is neither an image nor a video, or cannot be read.
    """
    path = Path(path)
    try:
        credentials = read_credentials(path)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    if path.suffix.lower() not in {".gif", ".mp4", ".mov", ".webm", ".mkv"} and is_picture(path):
        return VerificationResult(path, credentials, read_marks([load_portrait(path, limit=None)]))
    frames, seconds = sample_frames(path)
    whole = read_marks(frames)
    if whole.found or len(frames) < 2 * PER_STRETCH:
        return VerificationResult(path, credentials, whole)
    best = VerificationResult(path, credentials, whole)
    for start in range(0, len(frames), PER_STRETCH):
        part = read_marks(frames[start : start + PER_STRETCH])
        if part.score > best.watermark.score:
            best = VerificationResult(path, credentials, part, (seconds[start], seconds[min(start + PER_STRETCH, len(seconds)) - 1]))
        if part.found:
            break
    return best


def read_marks(frames: list[Image]) -> Reading:
    """The invisible mark in some frames of one video, looked for in all of them together."""
    reader = Reader()
    for image in frames:
        reader.add(image)
    return reader.read()


def sample_frames(path: Path) -> tuple[list[Image], list[float]]:
    """STRETCHES * PER_STRETCH frames, spread evenly over the video, and their times in seconds.

    Raises:
        UsageError: not a readable video.
    """
    video = VideoReader(path)
    try:
        wanted = STRETCHES * PER_STRETCH
        length = video.duration or 0.0
        dues = [length * number / wanted for number in range(wanted)]
        chosen = frames_at(video, dues) if length > wanted * SEEK_BEYOND else frames_after(video, dues)
        frames = [(frame.image, video.seconds(frame.pts)) for frame in chosen]
        if video.skipped:
            log.warning("%s is damaged: %d packets could not be looked at", path, video.skipped)
    finally:
        video.close()
    return [image for image, _ in frames], [second for _, second in frames]


def frames_at(video: VideoReader, dues: list[float]) -> Iterator[DecodedFrame]:
    """The frame at each of these times (seconds), found by seeking; times behind the last frame give none."""
    for due in dues:
        video.seek(due)
        frame = video.read()
        if frame is not None:
            yield frame


def frames_after(video: VideoReader, dues: list[float]) -> Iterator[DecodedFrame]:
    """The first frame at or after each of these times (seconds), found by decoding all of them."""
    taken = 0
    for frame in video:
        if taken < len(dues) and video.seconds(frame.pts) >= dues[taken]:
            taken += 1
            yield frame
