"""`livepuppet verify FILE…`: do pictures and videos carry the marks that livepuppet leaves?"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from livepuppet.errors import UsageError

SUMMARY = "Look for livepuppet's marks in pictures and videos: content credentials and the invisible mark."
EPILOG = """
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
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors; the exit code says it")


def run(options: argparse.Namespace) -> int:
    from livepuppet.provenance.verification import verify

    codes: set[int] = set()
    report: list[dict[str, Any]] = []
    for path in options.files:
        try:
            finding = verify(path)
        except UsageError as error:
            codes.add(2)
            report.append({"file": str(path), "verdict": "unreadable", "error": str(error)})
            print(f"livepuppet: {error}", file=sys.stderr)
            continue
        codes.add(CODES[finding.verdict])
        report.append(finding.as_json())
        if not options.json and not options.quiet:
            print("\n  ".join([str(path), *finding.sentences()]))
    if options.json:
        print(json.dumps(report, indent=2, ensure_ascii=False))
    return next(code for code in PRECEDENCE if code in codes)
