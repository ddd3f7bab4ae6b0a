"""`livepuppet doctor`: one screen that says what works here, what does not, and which command helps."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from itertools import groupby

from livepuppet.diagnostics.checks import all_checks
from livepuppet.diagnostics.finding import Finding, brief_line

SUMMARY = "Check cameras, virtual camera, display, models, GPU and speed, and say how to mend what is wrong."
EPILOG = """
exit codes:
  0  livepuppet works here
  1  the default run would not work
"""
PAGE_COLUMNS = 140
"""Where the output is no terminal."""
SIGNS = {"good": ("green", "ok"), "note": ("cyan", "note"), "bad": ("yellow", "!!"), "broken": ("red", "XX")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(options: argparse.Namespace) -> int:
    if not options.verbose:
        logging.getLogger("livepuppet").setLevel(logging.ERROR)  # what the parts would say is said in the report
    findings = run_checks(options.json)
    broken = any(finding.state == "broken" for finding in findings)
    if options.json:
        print(json.dumps({"works": not broken, "findings": [findings_as_dict(finding) for finding in findings]}, indent=2))
    else:
        print_findings(findings)
    return 1 if broken else 0


def run_checks(quiet: bool) -> list[Finding]:
    """All findings. A check that fails in a way nobody thought of is itself a finding."""
    from rich.console import Console

    console = Console(stderr=True, quiet=quiet)
    findings: list[Finding] = []
    with console.status("looking ...") as status:
        for section, check in all_checks().items():
            status.update(f"looking at {section} ...")
            try:
                findings.extend(check())
            except Exception as error:  # a doctor that dies of what it should report is of no use
                logging.getLogger("livepuppet").debug("%s", section, exc_info=True)
                findings.append(Finding(section, "bad", f"this check itself failed: {type(error).__name__}: {brief_line(error)}"))
    return findings


def findings_as_dict(finding: Finding) -> dict[str, object]:
    return {"section": finding.section, "state": finding.state, "text": finding.text, "fix": finding.fix, **finding.facts}


def print_findings(findings: Sequence[Finding]) -> None:
    """The screen: a line per finding under its section, what to do about it below it, and the verdict at the end."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else PAGE_COLUMNS)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for section, group in groupby(findings, key=lambda finding: finding.section):
        heading = section
        for finding in group:
            colour, sign = SIGNS[finding.state]
            table.add_row(heading, Text(sign, style=colour), Text(finding.text))
            if finding.fix:
                table.add_row("", "", Text(f"-> {finding.fix}", style="bold"))
            heading = ""
    console.print(Padding(table, (1, 0)))
    console.print(Text(*verdict(findings)))


def verdict(findings: Sequence[Finding]) -> tuple[str, str]:
    """The last line, and its colour."""
    broken = [finding for finding in findings if finding.state == "broken"]
    bad = [finding for finding in findings if finding.state == "bad"]
    if broken:
        return f"livepuppet does not work here yet: {broken[0].text}", "bold red"
    if bad:
        return f"livepuppet works here; {len(bad)} thing{'s' if len(bad) > 1 else ''} could be better (!!)", "bold yellow"
    return "livepuppet works here", "bold green"
