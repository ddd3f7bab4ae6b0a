"""How well `verify` tells camera recordings from puppets by evidence alone: error rates per test, on people it never saw.

    python benchmarks/evidence.py --clips DIR --out DIR [--seconds 6] [--same A,B] [--docs docs/evidence.md] [--ship]

DIR of --clips: camera recordings, one person each; --same names the files (without suffix) that show one person. Every recording is set
against puppets of the same person: `landmark` and `fomm` live, from the recording's first frame and driven by the next person's recording,
and `render`, driven by the person's own. Each is encoded as H.264 at 4, 1 and 0.3 Mbit/s. Nothing carries livepuppet's mark.

Areas under the ROC curve come with 95 % intervals (bootstrap over people). Thresholds are chosen on all people but one and applied to that
one, in turn; the rates are those of the people left out. --docs writes the table, --ship the rates that `verify` prints.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from catchlights import CatchlightWatcher
from evidence_clips import METHODS, RATES_KBIT, SUFFIXES, choose_drivers, length_of, make_clips

from livepuppet.evidence.footage import read_footage
from livepuppet.evidence.measurement import CLUES, measure
from livepuppet.evidence.rates import FLOOR, standardised

TRIED = (*CLUES, "catchlights")
SAFETY = 2.0
"""Standard deviations below the recordings' mean at which a threshold is set."""
SHIPPED = Path(__file__).parents[1] / "livepuppet" / "evidence" / "rates.json"


Score: TypeAlias = Callable[["Sample"], "float | None"]


@dataclass(frozen=True, eq=False)
class Sample:
    """One measured clip.

    Attributes:
        person, driver: who is shown, and whose motion it is.
        values: clue -> value, None where there was too little to tell.
    """

    person: str
    driver: str
    method: str
    rate: int
    values: dict[str, float | None]
    length_s: float = 0.0
    cpu_s: float = 0.0

    @property
    def puppet(self) -> bool:
        return self.method != "camera"


def values_of(path: Path) -> dict[str, float | None]:
    """The clues' values, by name, and those of what was tried beside them."""
    watcher = CatchlightWatcher()
    measured = measure(read_footage(path, watcher))
    return {name: one.value for name, one in measured.clues.items()} | {"catchlights": watcher.agreement}


def measure_clips(folder: Path, people: dict[str, str], drivers: dict[str, str], most: int | None = None) -> list[Sample]:
    """Every clip of the folder, measured once and remembered in folder/measured.json.

    Args:
        people: recording's name -> person.
        drivers: the same for who drives its puppets.
    """
    memory = folder / "measured.json"
    known: dict[str, Any] = json.loads(memory.read_text()) if memory.is_file() else {}
    samples = []
    for path in sorted(folder.glob("[!.]*.*.*.mp4")):
        name, method, rate = path.stem.rsplit(".", 2)
        if name not in people or method not in METHODS:
            continue
        if path.name not in known:
            if most is not None and most <= 0:
                continue
            start = time.process_time()
            values = values_of(path)
            known[path.name] = {"values": values, "length_s": length_of(path), "cpu_s": time.process_time() - start}
            memory.write_text(json.dumps(known, indent=1))
            print(path.name, {clue: value and round(value, 3) for clue, value in values.items()}, flush=True)
        driver = people[name] if method in ("camera", "render") else people[drivers[name]]
        samples.append(Sample(people[name], driver, method, int(rate), **known[path.name]))
    return samples


def area_with_interval(samples: list[Sample], score: Score, rounds: int = 1000) -> tuple[float, tuple[float, float]]:
    """The area under the ROC curve, and 95 % of it when the people are drawn anew; NaN where there are no two to compare.

    The area is how often a recording's value is above a puppet's, ties counting half (Mann and Whitney).
    """
    by_person: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for sample in samples:
        value = score(sample)
        if value is not None:
            by_person[sample.person][sample.puppet].append(value)
    values = [(np.array(recordings), np.array(puppets)) for recordings, puppets in by_person.values()]
    wins = np.array([[((r[:, None] > p) + (r[:, None] == p) / 2).sum() for _, p in values] for r, _ in values]).reshape(len(values), -1)
    counts = np.array([[len(r), len(p)] for r, p in values], dtype=np.float64).reshape(-1, 2)
    drawn = np.random.default_rng(0).multinomial(len(values), np.full(len(values), 1 / max(len(values), 1)), rounds)
    weights = np.concatenate([np.ones((1, len(values))), drawn])  # everybody once; then as drawn
    pairs = (weights @ counts).prod(1)
    areas = np.where(pairs > 0, ((weights @ wins) * weights).sum(1) / np.maximum(pairs, 1), np.nan)
    if np.isnan(areas).all():
        return float("nan"), (float("nan"), float("nan"))
    low, high = np.nanquantile(areas[1:], [0.025, 0.975])
    return float(areas[0]), (float(low), float(high))


def fit_terms(samples: list[Sample], clues: Sequence[str]) -> dict[str, tuple[float, float, float]]:
    """Logistic regression on the clues' standardised logarithms, ridge 1, recordings and puppets weighing alike."""
    terms = {}
    for clue in clues:
        logs = np.array([np.log(value + FLOOR) for s in samples if (value := s.values[clue]) is not None])
        terms[clue] = (float(logs.mean()), float(max(logs.std(), 0.1)))
    x = np.array([[0.0 if (v := s.values[c]) is None else standardised(v, *terms[c]) for c in clues] + [1.0] for s in samples])
    y = np.array([0.0 if s.puppet else 1.0 for s in samples])
    balance = np.where(y > 0, 0.5 / max(y.mean(), 1e-9), 0.5 / max(1 - y.mean(), 1e-9))
    w = np.zeros(x.shape[1])
    ridge = np.diag([1.0] * len(clues) + [1e-3])
    for _ in range(30):  # Newton
        p = 1 / (1 + np.exp(-x @ w))
        gradient = x.T @ (balance * (p - y)) + ridge @ w
        w -= np.linalg.solve((x * (balance * p * (1 - p))[:, None]).T @ x + ridge, gradient)
    return {clue: (*terms[clue], float(max(0.0, weight))) for clue, weight in zip(clues, w, strict=False)}


def choose_threshold(values: list[float]) -> float:
    """Below it few camera recordings are expected: the mean of the recordings known, less SAFETY standard deviations."""
    return float(np.mean(values) - SAFETY * np.std(values, ddof=1))


@dataclass(frozen=True)
class Outcome:
    """A clue's or the combination's error rates on people left out, and what ships."""

    rates: dict[str, Any]
    scores: list[tuple[Sample, float]]

    def area(self, method: str | None = None, rate: int | None = None) -> str:
        """Of the puppets of one method or rate, against the recordings at the same rate."""
        kept = {
            id(sample): value
            for sample, value in self.scores
            if rate in (None, sample.rate) and (not sample.puppet or method in (None, sample.method))
        }
        area, (low, high) = area_with_interval([s for s, _ in self.scores if id(s) in kept], lambda s: kept[id(s)])
        return "-" if np.isnan(area) else f"{area:.2f} ({low:.2f} to {high:.2f})"


def left_out(samples: list[Sample], fit: Callable[[list[Sample]], Score], to_value: Callable[[float], float]) -> Outcome:
    """Everything that is chosen (weights, threshold) is chosen without the person it is applied to, whether shown or driving."""
    scores: list[tuple[Sample, float]] = []
    wrong: dict[bool, list[bool]] = {False: [], True: []}
    for person in sorted({sample.person for sample in samples}):
        others = [s for s in samples if person not in (s.person, s.driver)]
        score = fit(others)
        known = [v for s in others if not s.puppet and (v := score(s)) is not None]
        if len(known) < 2:
            continue
        threshold = choose_threshold(known)
        for sample in samples:
            if sample.person == person and (value := score(sample)) is not None:
                scores.append((sample, value))
                wrong[sample.puppet].append((value < threshold) != sample.puppet)
    final = fit(samples)
    finals = [v for s in samples if not s.puppet and (v := final(s)) is not None]
    held = {id(s): v for s, v in scores}
    area, interval = area_with_interval([s for s, _ in scores], lambda s: held.get(id(s)))
    low, high = np.quantile(finals, [0.05, 0.95])
    rates = {
        "threshold": round(to_value(choose_threshold(finals)), 4),
        "usual": [round(to_value(float(low)), 4), round(to_value(float(high)), 4)],
        "false_alarms": round(float(np.mean(wrong[False])), 4),
        "misses": round(float(np.mean(wrong[True])), 4),
        "area": round(area, 4),
        "area_interval": [round(interval[0], 4), round(interval[1], 4)],
        "recordings": len(wrong[False]),
        "puppets": len(wrong[True]),
    }
    return Outcome(rates, scores)


def clue_score(clue: str) -> Score:
    """A clue's value, logarithmic, so that its spread says something."""

    def score(sample: Sample) -> float | None:
        value = sample.values[clue]
        return None if value is None else float(np.log(value + FLOOR))

    return score


def combination_score(samples: list[Sample], clues: Sequence[str]) -> Score:
    terms = fit_terms(samples, clues)

    def score(sample: Sample) -> float | None:
        known = [(c, v) for c in clues if (v := sample.values[c]) is not None]
        return sum(terms[c][2] * standardised(v, *terms[c][:2]) for c, v in known) if known else None

    return score


def evaluate(samples: list[Sample]) -> tuple[dict[str, Outcome], list[str], Outcome, dict[str, tuple[float, float, float]]]:
    """Each clue's outcome; the clues of use, whose area's interval lies above chance; all of these together; and their weights."""
    outcomes = {
        clue: left_out(samples, lambda _, clue=clue: clue_score(clue), lambda v: max(0.0, float(np.exp(v)) - FLOOR)) for clue in TRIED
    }
    useful = [clue for clue, outcome in outcomes.items() if outcome.rates["area_interval"][0] > 0.5]
    combined = left_out(samples, lambda others: combination_score(others, useful), float)
    return outcomes, useful, combined, fit_terms(samples, useful)


def table_of(samples: list[Sample], outcomes: dict[str, Outcome], useful: list[str], combined: Outcome) -> str:
    """The tables of docs/evidence.md."""
    named = {**outcomes, "together": combined}
    by_method = {method: [s for s in samples if s.method == method] for method in METHODS}
    lines = [
        f"{sum(not s.puppet for s in samples)} clips of camera recordings and {sum(s.puppet for s in samples)} of puppets, "
        f"{len({s.person for s in samples})} people: "
        + "; ".join(f"{method} {len(of)} clips of {len({s.person for s in of})} people" for method, of in by_method.items())
        + ".",
        "",
        "| test | area under ROC (95 %) | false alarms | misses | recordings / puppets it could judge | |",
        "|---|---|---|---|---|---|",
    ]
    for name, outcome in named.items():
        r = outcome.rates
        lines.append(
            f"| {name} | {r['area']:.2f} ({r['area_interval'][0]:.2f} to {r['area_interval'][1]:.2f}) | "
            f"{r['false_alarms']:.0%} | {r['misses']:.0%} | "
            f"{r['recordings']} / {r['puppets']} | {'' if name in useful or name == 'together' else 'dropped: no better than chance'} |"
        )
    lines += ["", "Area under ROC by the puppet's maker and by bit rate:", ""]
    lines += [
        "| test | " + " | ".join([*METHODS[1:], *(f"{rate / 1000:g} Mbit/s" for rate in RATES_KBIT)]) + " |",
        "|---" * (1 + 3 + len(RATES_KBIT)) + "|",
    ]
    for name, outcome in named.items():
        cells = [outcome.area(method=method) for method in METHODS[1:]] + [outcome.area(rate=rate) for rate in RATES_KBIT]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_docs(path: Path, table: str) -> None:
    """Between the page's two markers."""
    page = path.read_text("utf-8")
    begin, end = "<!-- made by benchmarks/evidence.py -->", "<!-- end -->"
    path.write_text(re.sub(f"{begin}.*?{end}", lambda _: f"{begin}\n\n{table}\n\n{end}", page, flags=re.DOTALL), "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True, help="folder of camera recordings")
    parser.add_argument("--out", type=Path, required=True, help="folder for the clips that are made, and for evidence.json and evidence.md")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each recording (default: 6)")
    parser.add_argument("--same", action="append", default=[], metavar="A,B", help="recordings that show one person")
    parser.add_argument("--model", help="model of the fomm engine; default: its own")
    parser.add_argument("--only", default="", metavar="A,B", help="make only these recordings' clips: several processes can share the work")
    parser.add_argument("--existing", action="store_true", help="make no clips: measure those that are in --out")
    parser.add_argument("--docs", type=Path, help="page to write the tables into")
    parser.add_argument("--ship", action="store_true", help="write the rates that verify prints")
    options = parser.parse_args()
    recordings = sorted(path for path in options.clips.iterdir() if path.suffix.lower() in SUFFIXES)
    if not options.existing:
        make_clips(recordings, options.out, options.seconds, options.model, [name for name in options.only.split(",") if name])
    if options.only:
        return
    people = {path.stem: path.stem for path in recordings}
    for group in options.same:
        first, *others = group.split(",")
        people |= {name: first for name in others}
    drivers = {path.stem: driver.stem for path, driver in choose_drivers(recordings).items()}
    samples = measure_clips(options.out, people, drivers)
    outcomes, useful, combined, terms = evaluate(samples)
    table = table_of(samples, outcomes, useful, combined)
    pace = [s.cpu_s / s.length_s for s in samples if s.length_s]
    cost = (
        f"Measuring takes {np.median(pace):.2f} s of one core per second of video (median; {platform.machine()}, {os.cpu_count()} cores)."
    )
    print(f"{table}\n\n{cost}")
    (options.out / "evidence.md").write_text(table + "\n", "utf-8")
    report = {
        "people": len(set(people.values())),
        "samples": [asdict(s) for s in samples],
        "rates": {c: o.rates for c, o in outcomes.items()},
    }
    (options.out / "evidence.json").write_text(json.dumps(report | {"combined": combined.rates, "pace": pace}, indent=1), "utf-8")
    if options.docs:
        write_docs(options.docs, table)
    if options.ship:
        shown = {s.person for s in samples}
        shipped = {"people": len(shown), "tests": {c: outcomes[c].rates for c in useful}, "terms": terms, "combined": combined.rates}
        SHIPPED.write_text(json.dumps(shipped, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
