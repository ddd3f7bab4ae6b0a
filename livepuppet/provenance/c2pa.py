"""Content credentials (C2PA): a signed statement inside a file about how it was made; written after a recording, read by `verify`.

Nothing here uses the network: no timestamp authority, no trust list, no remote manifests. The statement names the program, the engine
and the marks, never a person, a file name, a machine or a place.
"""

from __future__ import annotations

import json
import logging
import mmap
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from livepuppet.errors import RunError, SinkError
from livepuppet.files import atomic_path
from livepuppet.provenance.signing import SigningIdentity, own_identity
from livepuppet.version import __version__

log = logging.getLogger("livepuppet.provenance.c2pa")

ASSERTION = "org.livepuppet.generation"
"""Label of our own assertion; its data is `ProvenanceFacts.statement`."""
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
OFFLINE = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    "builder": {"thumbnail": {"enabled": False}},
}
"""c2pa's settings: ask no server for anything, and store no preview of the picture in the manifest."""


BROKEN = "livepuppet.assetBroken"
"""Our code for a signed file that can no longer be parsed: cut short, with something behind it, or damaged in its structure."""
MANIFEST_MARK = b"jumdc2pa\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71"
"""How the description of a C2PA manifest store begins (ISO 19566-5), whatever kind of file it lies in."""


@dataclass(frozen=True, slots=True)
class ProvenanceFacts:
    """What the credentials say about a file.

    Attributes:
        engine: 'landmark', 'fomm' ….
        watermark: whether the frames carry the invisible mark.
        session_id: the one in the mark, if any.
        label: the visible text, if any.
    """

    engine: str
    watermark: bool
    session_id: int | None = None
    label: str | None = None

    @property
    def source_type(self) -> str:
        """IPTC's word for it: the landmark engine moves the portrait's own pixels, led by trained networks; others generate them."""
        return "compositeWithTrainedAlgorithmicMedia" if self.engine == "landmark" else "trainedAlgorithmicMedia"

    def statement(self) -> dict[str, Any]:
        return {
            "generator": "livepuppet",
            "version": __version__,
            "made_from": "a still portrait, moved by a driving performance",
            "synthetic": True,
            "engine": self.engine,
            "watermark": self.watermark,
            "session_id": self.session_id if self.watermark else None,
            "label": self.label,
        }


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the credentials in a file say.

    Attributes:
        state: 'trusted' (signed by somebody on a trust list), 'valid' (unaltered since it was signed, by somebody unknown), 'invalid', or
            'unreadable': there may be some, but nothing can be said of them.
        generator: the program they name.
        statement: livepuppet's own assertion, None where another program wrote them.
        source_types: IPTC digital source types of all actions, without the address.
        issuer: who the certificate says it is; anyone can write anything into a certificate of their own.
        problems: c2pa's codes for what is wrong.
    """

    state: str
    generator: str
    statement: dict[str, Any] | None
    source_types: tuple[str, ...]
    issuer: str
    problems: tuple[str, ...]

    @property
    def altered(self) -> bool:
        """Whether the file is proven to be another than the one that was signed: a signed hash does not fit what it was made of."""
        return self.state == "invalid" and any(code.endswith(ALTERED) and not code.startswith("timeStamp") for code in self.problems)


ALTERED = (".mismatch", BROKEN)
"""Codes of C2PA (its Technical Specification, 'Validation states') and ours that prove it. What cannot be parsed, or is signed in a way
that c2pa does not accept, proves nothing."""


def can_sign(path: Path) -> bool:
    """Whether this kind of file (by its ending) has a place for credentials: MP4, MOV, JPEG, PNG, WebP, GIF and some more."""
    return media_type(path) is not None


def media_type(path: Path) -> str | None:
    import mimetypes

    import c2pa

    kind = mimetypes.guess_type(path.name)[0]
    return kind if kind in c2pa.Builder.get_supported_mime_types() else None


def sign_file(path: Path, *, facts: ProvenanceFacts, identity: SigningIdentity | None = None) -> None:
    """Put credentials into a finished file.

    The file is replaced in one step by its signed copy; whatever fails on the way leaves it as it was.

    Args:
        identity: who signs; None: this user's own key, made at first use.

    Raises:
        SinkError: (cannot be signed: the file is whole, but carries no credentials).
    """
    import c2pa

    kind = media_type(path)
    if kind is None:
        raise SinkError(f"{path.name} carries no credentials: '{path.suffix}' files have no place for them; .mp4, .jpg and .png have")
    try:
        who = identity or own_identity()
        signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(who.algorithm, who.certificates, who.key, None))
        with (
            atomic_path(path) as signed,
            c2pa.Context(c2pa.Settings.from_dict(OFFLINE)) as context,
            c2pa.Builder(manifest(facts), context) as builder,
            path.open("rb") as source,
            signed.open("w+b") as target,
        ):
            builder.sign(signer, kind, source, target)
            shutil.copymode(path, signed)
    except (c2pa.C2paError, OSError, RunError) as error:
        raise SinkError(f"{path.name} is whole but carries no credentials, signing failed: {error}") from error
    log.debug("%s signed: %s", path.name, facts.source_type)


def manifest(facts: ProvenanceFacts) -> dict[str, Any]:
    """The claim in c2pa's terms (C2PA 2.x, actions v2)."""
    action = {
        "action": "c2pa.created",
        "digitalSourceType": SOURCE_TYPE + facts.source_type,
        "softwareAgent": {"name": "livepuppet", "version": __version__},
        "description": "Generated by livepuppet from a still portrait and a driving performance.",
    }
    return {
        "claim_generator_info": [{"name": "livepuppet", "version": __version__}],
        "title": "livepuppet recording",
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [action]}},
            {"label": ASSERTION, "data": facts.statement()},
        ],
    }


def read_credentials(path: Path) -> Credentials | None:
    """What the credentials in the file say; None: it has none, or is of a kind that cannot carry any.

    Raises:
        OSError: its message says what is wrong.
    """
    import c2pa

    kind = media_type(path)
    if kind is None:
        return None
    with c2pa.Context(c2pa.Settings.from_dict(OFFLINE)) as context, path.open("rb") as stream:
        try:
            with c2pa.Reader(kind, stream, context=context) as reader:
                return parse_manifest(json.loads(reader.json()))
        except c2pa.C2paError.ManifestNotFound:
            return None
        except (c2pa.C2paError, ValueError, RecursionError) as error:
            if not holds_manifest(path):  # a file that was never signed, of a kind that c2pa cannot parse
                return None
            if isinstance(error, c2pa.C2paError.Other | c2pa.C2paError.Io):  # whoever signed it could still parse it
                return Credentials("invalid", "", None, (), "", (str(error), BROKEN))
            return Credentials("unreadable", "", None, (), "", (str(error),))


def holds_manifest(path: Path) -> bool:
    """Whether C2PA's mark of a manifest stands anywhere in the file."""
    if not path.stat().st_size:  # nothing cannot be mapped
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(MANIFEST_MARK) >= 0


def parse_manifest(store: Any) -> Credentials:
    """c2pa's manifest store, read with nothing taken for granted: anyone can write a manifest."""
    store = _mapping(store)
    active = _mapping(_mapping(store.get("manifests")).get(str(store.get("active_manifest"))))
    generators = _list(active.get("claim_generator_info")) or [{}]
    statement: dict[str, Any] | None = None
    source_types: list[str] = []
    for assertion in map(_mapping, _list(active.get("assertions"))):
        data = assertion.get("data")
        if not isinstance(data, dict):
            continue
        if assertion.get("label") == ASSERTION:
            statement = data
        elif str(assertion.get("label", "")).startswith("c2pa.actions"):
            actions = map(_mapping, _list(data.get("actions")))
            source_types += [str(action["digitalSourceType"]).rpartition("/")[2] for action in actions if "digitalSourceType" in action]
    return Credentials(
        state=str(store.get("validation_state", "Invalid")).lower(),
        generator=" ".join(str(_mapping(generators[0]).get(key, "")) for key in ("name", "version")).strip(),
        statement=statement,
        source_types=tuple(source_types),
        issuer=str(_mapping(active.get("signature_info")).get("issuer", "")),
        problems=tuple(str(status.get("code")) for status in map(_mapping, _list(store.get("validation_status")))),
    )


def _mapping(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []
