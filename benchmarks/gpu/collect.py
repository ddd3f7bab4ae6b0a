"""One step's outcome into check.json, beside those before it: what it wrote itself, how it ended, and which tests passed.

python -m benchmarks.gpu.collect CHECK.json NAME --code 0 --seconds 12 --limit 60 [--log FILE] [--result FILE]
python -m benchmarks.gpu.collect CHECK.json --show

The exit status of --show is 1 where a step failed or a test did.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from pathlib import Path
from typing import Any

TEST = re.compile(r"^(\S+::\S.*?) (PASSED|FAILED|ERROR|SKIPPED)\b(?: \((.*)\))?", re.MULTILINE)
SKIPPED = re.compile(r"^SKIPPED \[\d+\] (\S+): (.*)$", re.MULTILINE)
CUT_SHORT = (124, 137)
LAST_LINES = 15


def outcomes(log: str) -> dict[str, Any]:
    """The outcome of each test that pytest's -v names, also where it was cut short."""
    tests = {name: outcome.lower() for name, outcome, _ in TEST.findall(log)}
    counts: dict[str, int] = {}
    for outcome in tests.values():
        counts[outcome] = counts.get(outcome, 0) + 1
    return {"counts": counts, "tests": tests, "skipped_because": sorted({reason for _, reason in SKIPPED.findall(log)})}


def step(options: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {"code": options.code, "seconds": options.seconds, "limit_s": options.limit}
    if options.code in CUT_SHORT:
        found["cut_short"] = True
    log = options.log.read_text(errors="replace") if options.log and options.log.is_file() else ""
    if TEST.search(log):
        found |= outcomes(log)
    if options.code:
        found["last_lines"] = log.splitlines()[-LAST_LINES:]
    if options.result and options.result.is_file():
        found["result"] = json.loads(options.result.read_text())
    return found


def failed(steps: dict[str, Any]) -> list[str]:
    return [name for name, found in steps.items() if found["code"] or {"failed", "error"} & set(found.get("counts", {}))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("check", type=Path)
    parser.add_argument("name", nargs="?")
    parser.add_argument("--code", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--limit", type=float, default=0.0)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--result", type=Path)
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    steps: dict[str, Any] = json.loads(options.check.read_text()) if options.check.is_file() else {}
    if options.show:
        for name, found in steps.items():
            print(f"{name:>10}: code {found['code']}, {found['seconds']:.0f} of {found['limit_s']:.0f} s {found.get('counts', '')}")
        bad = failed(steps)
        print(f"failed: {', '.join(bad)}" if bad else "all steps passed")
        return 1 if bad else 0
    steps[options.name] = step(options)
    unfinished = options.check.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(steps, indent=1) + "\n")
    os.replace(unfinished, options.check)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
