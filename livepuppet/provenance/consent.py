"""One sentence on consent, said once to each user, the first time a portrait moves live that did not come with the package."""

from __future__ import annotations

import filecmp
import logging
from pathlib import Path

from livepuppet.files import data_folder
from livepuppet.vision.portrait import ASSETS

log = logging.getLogger("livepuppet.provenance.consent")

SENTENCE = (
    "If this is a real person's portrait: animate it only with their consent, and let those who watch know that it is synthetic "
    "(a visible label can say so; 'livepuppet about' tells more)."
)
FILE = "consent-shown"


def consent_line(portrait: Path, folder: Path | None = None) -> str | None:
    """The sentence to show for this portrait; None where it was shown before, or the portrait came with the package.

    Asking counts as showing, and is remembered for this user by an empty file: neither which portrait nor when. Never raises: where
    nothing can be remembered, the sentence is said again next time.
    """
    if is_shipped(portrait):
        return None
    place = folder or data_folder()
    try:
        place.mkdir(parents=True, exist_ok=True)
        (place / FILE).touch(exist_ok=False)
    except FileExistsError:
        return None if (place / FILE).exists() else SENTENCE
    except OSError as error:
        log.debug("cannot remember that the sentence on consent was shown: %s", error)
    return SENTENCE


def is_shipped(portrait: Path) -> bool:
    """Whether the picture is one of those that came with the package, wherever this copy of it lies."""
    ours = ASSETS / "avatars" / portrait.name
    return ours.is_file() and filecmp.cmp(ours, portrait, shallow=False)
