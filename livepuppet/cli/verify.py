"""`livepuppet verify FILE…`: do pictures and videos carry the marks that livepuppet leaves, and what do the pictures show?"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from livepuppet.errors import UsageError

if TYPE_CHECKING:
    from livepuppet.evidence.report import EvidenceReport

SUMMARY = "Look for livepuppet's marks in pictures and videos: content credentials and the invisible mark."
EPILOG = """
examples:
  livepuppet verify film.mp4
  livepuppet verify film.mp4 --evidence --report film.html     tests with their measured error rates; they change no exit code
exit codes:
  0  every file carries a mark of livepuppet's: it is synthetic
  2  a file cannot be read as a picture or video
  3  a file carries no mark of livepuppet's, which does not prove that it is genuine
  4  a file was altered after its credentials were signed, and carries no other mark of livepuppet's
Where files differ, the first of 2, 4, 3 that applies.
"""

CODES = {"livepuppet": 0, "nothing": 3, "other": 3, "altered": 4}
PRECEDENCE = (2, 4, 3, 0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="pictures and videos")
    parser.add_argument("--json", action="store_true", help="print all that was found as JSON: one list, an object per file")
    parser.add_argument(
        "--evidence",
        action="store_true",
        help="also test what the pictures show: values, usual ranges and measured error rates, no verdict",
    )
    parser.add_argument("--report", type=Path, metavar="PAGE.html", help="with --evidence, for one file: write it as a page with pictures")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors; the exit code says it")


def run(options: argparse.Namespace) -> int:
    from livepuppet.files import refuse_overwriting
    from livepuppet.provenance.verification import VerificationResult, verify

    if options.report is not None:
        if not options.evidence or len(options.files) > 1:
            raise UsageError("--report takes the evidence about one file: give one file, and --evidence")
        refuse_overwriting(options.files, [("report", options.report)])
    codes: set[int] = set()
    report: list[dict[str, Any]] = []
    for path in options.files:
        try:
            found = examine_file(path, options.report) if options.evidence else verify(path)
        except UsageError as error:
            codes.add(2)
            report.append({"file": str(path), "verdict": "unreadable", "error": str(error)})
            print(f"livepuppet: {error}", file=sys.stderr)
            continue
        provenance = found if isinstance(found, VerificationResult) else found.provenance
        codes.add(CODES[provenance.verdict])
        report.append(found.as_json())
        if not options.json and not options.quiet:
            print("\n  ".join([str(path), *found.sentences()]))
    if options.json:
        print(json.dumps(report, indent=2, ensure_ascii=False))
    return next(code for code in PRECEDENCE if code in codes)


def examine_file(path: Path, page: Path | None) -> EvidenceReport:
    """Evidence about a file, and a page of it where one is asked for."""
    from livepuppet.evidence.examine import examine
    from livepuppet.evidence.page import write_page

    found = examine(path)
    if page is not None:
        write_page(found, page)
    return found
