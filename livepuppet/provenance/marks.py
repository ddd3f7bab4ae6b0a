"""What every finished frame goes through between the puppet and the sinks: the visible label, then the invisible mark."""

from __future__ import annotations

import logging
import secrets
from pathlib import Path

from livepuppet.errors import SinkError
from livepuppet.provenance import label as labels
from livepuppet.provenance.label import Corner
from livepuppet.provenance.signing import SigningIdentity
from livepuppet.provenance.watermark.code import IDS, SMALLEST
from livepuppet.types import Image

log = logging.getLogger("livepuppet.provenance.marks")


class Mark:
    """Marks the frames of one session. Call `apply` once per finished frame, from one thread.

    Attributes:
        session_id: 0 … 65535, what the watermark carries; drawn at random unless given.
        watermark: whether all frames so far carry it; turns False, with a warning, at the first one that is too small.
        label: the visible text, None for none; `relabel` changes it.
        corner: where the label stands.
        relabelled: how often the label has been changed.

    Args:
        video: the frames go into a file only, so that the mark may be fainter than one that has to survive a call.
    """

    def __init__(
        self,
        session_id: int | None = None,
        *,
        watermark: bool = True,
        label: str | None = None,
        corner: Corner = "bottom-right",
        video: bool = False,
    ) -> None:
        """Raises UsageError for a label that cannot be drawn, ValueError for a session id outside its range."""
        self.session_id = secrets.randbelow(IDS) if session_id is None else session_id
        self.watermark = watermark
        self.label = None if label is None else labels.check_label_text(label)
        self.corner: Corner = corner
        self.relabelled = 0
        self._embedder = None
        if watermark:
            from livepuppet.provenance.watermark.embedder import CALL, VIDEO, Embedder

            self._embedder = Embedder(self.session_id, VIDEO if video else CALL)

    def relabel(self, text: str | None) -> None:
        """Another visible text from the next frame on, None for none.

        Raises:
            UsageError: it cannot be drawn.
        """
        self.label = None if text is None else labels.check_label_text(text)
        self.relabelled += 1

    def label_since(self, relabelled: int) -> str | None:
        """The text that every frame since then has carried; None where it was changed meanwhile, or there is none.

        Args:
            relabelled: as it stood at the first of those frames.
        """
        return self.label if self.relabelled == relabelled else None

    def apply(self, image: Image) -> Image:
        """The marked picture; the one given is left as it is.

        Args:
            image: RGB uint8 (H, W, 3).
        """
        if self.label is not None:
            image = labels.draw_label(image, self.label, self.corner)
        if self._embedder is not None:
            if self.watermark and min(image.shape[:2]) < SMALLEST:
                self.watermark = False
                log.warning("pictures under %d pixels are too small for the invisible mark: these carry none", SMALLEST)
            image = self._embedder.embed(image)
        return image


def sign_video(video: Path, engine: str, mark: Mark, identity: SigningIdentity | None, *, relabelled: int = 0) -> None:
    """Put content credentials into a finished video, where its format has a place for them; one that cannot be signed stays as it is.

    Args:
        engine: its name.
        identity: who signs; None: this user's own key.
        relabelled: how often the label had been changed before the video's first frame. A label that not all of it carries is not claimed.
    """
    from livepuppet.provenance.c2pa import ProvenanceFacts, can_sign, sign_file

    if video.is_file() and video.stat().st_size and can_sign(video):
        facts = ProvenanceFacts(engine=engine, watermark=mark.watermark, session_id=mark.session_id, label=mark.label_since(relabelled))
        try:
            sign_file(video, facts=facts, identity=identity)
        except SinkError as error:
            log.warning("%s", error)
