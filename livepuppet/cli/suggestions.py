"""What a mistyped command line most likely meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

INVALID_CHOICE = re.compile(r"argument (?P<option>\S+): invalid choice: '?(?P<word>.*?)'? \(choose from (?P<known>.*)\)")
"""How argparse words a value that is none of an option's choices."""


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like this one, None where none is much like it."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return near[0] if near else None


def unknown_option(extra: Sequence[str], options: Collection[str]) -> str:
    """One line for arguments that a command does not take.

    Args:
        extra: what was left over, at least one word.
        options: the command's own options, with their dashes.
    """
    word = extra[0]
    if not word.startswith("-"):
        return f"unexpected argument '{word}'"
    option = word.partition("=")[0]
    near = closest(option, options)
    return f"no option {option}" + (f": did you mean {near}?" if near else "")


def invalid_choice(message: str) -> str:
    """argparse's line on an invalid choice with the most likely one named first; any other message as it is."""
    found = INVALID_CHOICE.fullmatch(message)
    if found is None:
        return message
    known = [name.strip(" '") for name in found["known"].split(",")]
    near = closest(found["word"], known)
    hint = f"did you mean {near}? " if near else ""
    return f"{found['option']} does not take '{found['word']}': {hint}It takes {', '.join(known)}"


def unknown_command(word: str, commands: Collection[str], picture_suffixes: Collection[str]) -> str:
    """One line for a first word that is neither an option nor a command."""
    path = Path(word)
    if path.is_dir() or (path.is_file() and path.suffix.lower() in picture_suffixes):
        return f"to animate {word}, write: livepuppet --avatar {word}"
    if path.is_file():
        return f"to let {word} drive a portrait, write: livepuppet --camera {word} (or livepuppet render --driving {word} ...)"
    near = closest(word, commands)
    if near:
        return f"no command '{word}': did you mean 'livepuppet {near}'?"
    if path.suffix.lower() in picture_suffixes:
        return f"no such picture: {word} (and a picture is given as livepuppet --avatar PICTURE)"
    return f"no command '{word}': livepuppet --help lists them"
