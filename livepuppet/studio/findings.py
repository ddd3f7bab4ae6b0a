"""What the doctor says about this machine, asked while a session runs: without opening cameras that it may be using."""

from __future__ import annotations

import logging
import threading

from livepuppet.diagnostics.checks import all_checks
from livepuppet.diagnostics.finding import brief_line

LEFT_OUT = frozenset({"cameras", "speed", "display"})
"""They would take the session's camera or its processor time, or do not concern a page."""

_asked = threading.Lock()
_known: list[dict[str, str]] = []

log = logging.getLogger("livepuppet.studio")


def look_at_machine() -> list[dict[str, str]]:
    """Section, state, text and fix of every finding; looked for once. May be called from any thread."""
    with _asked:
        if not _known:
            _known.extend(_look())
        return list(_known)


def _look() -> list[dict[str, str]]:
    findings = []
    for section, check in all_checks().items():
        if section in LEFT_OUT:
            continue
        try:
            findings += [{"section": found.section, "state": found.state, "text": found.text, "fix": found.fix} for found in check()]
        except Exception as error:  # one check that fails is itself a finding
            log.debug("%s", section, exc_info=True)
            text = f"this check itself failed: {type(error).__name__}: {brief_line(error)}"
            findings.append({"section": section, "state": "bad", "text": text, "fix": ""})
    return findings
