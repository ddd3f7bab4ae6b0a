"""The report as one HTML page that needs nothing beside it: provenance, the table of tests, and pictures of what was looked at."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from html import escape
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from livepuppet.errors import SinkError
from livepuppet.evidence.measurement import Measured
from livepuppet.evidence.rates import ErrorRates
from livepuppet.evidence.report import COMBINED_LIMIT, TEXTS, TOO_LITTLE, EvidenceReport
from livepuppet.files import write_atomically
from livepuppet.types import Image

STILL_PX = 360
BRIGHTEST_PERCENT = 6.0
"""Change of the skin that is drawn in the brightest colour."""
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1c1c1c; background: #fff; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th:first-child { width: 45% }
th, td { text-align: left; vertical-align: top; padding: .45rem .6rem; border-top: 1px solid #ccc }
td.number { font-variant-numeric: tabular-nums }
figure { display: inline-block; margin: 0 1rem 1rem 0; max-width: 360px; vertical-align: top }
figcaption, .note { color: #555; font-size: .9em }
img { max-width: 100% }
h1 { font-size: 1.4rem }
h2 { font-size: 1.1rem; margin-top: 1.6rem }
"""


def write_page(report: EvidenceReport, path: Path) -> None:
    """Write the report as HTML.

    Raises:
        SinkError: the file cannot be written.
    """
    page = "\n".join(lines_of(report)).encode()
    try:
        write_atomically(path, lambda file: file.write(page))
    except OSError as error:
        raise SinkError(f"cannot write {path}: {error.strerror or error}", parameter="report") from error


def lines_of(report: EvidenceReport) -> Iterator[str]:
    name = escape(report.path.name)
    yield f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Evidence: {name}</title><style>{STYLE}</style></head><body>'
    yield f"<h1>Evidence about {name}</h1>"
    yield '<p class="note">This page gives values and how often such values mislead. It gives no verdict.</p>'
    yield "<h2>What the file says about itself</h2>"
    yield from (f"<p>{escape(sentence)}</p>" for sentence in report.provenance.sentences())
    yield "<h2>What was measured</h2>"
    if report.seconds is not None:
        yield f"<p>From {report.seconds[0]:.1f} to {report.seconds[1]:.1f} s: the longest stretch with one face and no cut.</p>"
    heads = ("Test", "Value", "Nine of ten camera recordings", "False alarms", "Misses", "Area under ROC")
    yield "<table><tr>" + "".join(f"<th>{head}</th>" for head in heads) + "</tr>"
    for clue, measured, rates in report.rows():
        text = TEXTS[clue]
        yield row_of(f"<b>{escape(text.title)}</b>: {escape(text.question)}.", text.limit, measured, rates, text.unit)
    together = Measured(report.combined, "no test has enough to go on")
    yield row_of("<b>Taken together</b>", COMBINED_LIMIT, together, report.benchmark.combined, "points")
    yield "</table>"
    combined = report.benchmark.combined
    yield (
        '<p class="note">False alarms: camera recordings on the puppets\' side; misses: puppets on the other. '
        f"Measured on {combined.recordings} recordings and {combined.puppets} puppets of {report.benchmark.people} people, "
        "each person with thresholds chosen on the others: so few people make the rates rough.</p>"
    )
    yield from figures_of(report)
    yield "</body></html>"


def row_of(question: str, limit: str, measured: Measured, rates: ErrorRates, unit: str) -> str:
    low, high = rates.usual
    value = f"{measured.value:.2f} {unit}" if measured.value is not None else f"{TOO_LITTLE}: {measured.reason}"
    side = ""
    if measured.value is not None:
        whose = "the puppets" if measured.value < rates.threshold else "camera recordings"
        side = f"<br>on the side of {whose} (threshold {rates.threshold:.2f})"
    return (
        f'<tr><td>{question}<br><span class="note">{escape(limit)}</span></td><td class="number">{escape(value)}{side}</td>'
        f'<td class="number">{low:.2f} to {high:.2f} {escape(unit)}</td><td class="number">{rates.false_alarms:.0%}</td>'
        f'<td class="number">{rates.misses:.0%}</td><td class="number">{rates.area:.2f} ({rates.area_interval[0]:.2f} to '
        f"{rates.area_interval[1]:.2f})</td></tr>"
    )


def figures_of(report: EvidenceReport) -> Iterator[str]:
    """The frame that was looked at, and where the skin changes."""
    if report.still is not None:
        scale = min(1.0, STILL_PX / max(report.still.shape[:2]))
        still = np.asarray(cv2.resize(report.still, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        yield figure_of(still, "The first frame of that stretch.")
    if report.measurements.skin_change is not None:
        caption = (
            "Where the skin's brightness changes beyond what a warp of one frame explains: "
            f"black 0 %, bright {BRIGHTEST_PERCENT:g} % and more; the face laid flat, "
            "without eyes, brows, lips and rim. A warped still is dark all over."
        )
        yield figure_of(heat_of(report.measurements.skin_change), caption)


def heat_of(change: NDArray[np.float32]) -> Image:
    """Percent in colours; white where nothing was measured."""
    levels = np.clip(np.nan_to_num(change) / BRIGHTEST_PERCENT, 0, 1)
    colours = cv2.cvtColor(cv2.applyColorMap((levels * 255).astype(np.uint8), cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    out = np.where(np.isnan(change)[..., None], 255, colours).astype(np.uint8)
    return np.asarray(cv2.resize(out, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST), dtype=np.uint8)


def figure_of(image: Image, caption: str) -> str:
    _, png = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    coded = base64.b64encode(png.tobytes()).decode()
    return f'<figure><img src="data:image/png;base64,{coded}" alt="{escape(caption)}"><figcaption>{escape(caption)}</figcaption></figure>'
