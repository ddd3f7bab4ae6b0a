"""Damaged and hostile files of every kind through the product's own readers: does anything but a plain refusal ever come out?

    python benchmarks/fuzz.py [--kind jpeg --kind mp4 …] [--count 2000] [--seconds 60] [--seed 1] [--out benchmarks/out]
    python benchmarks/fuzz.py --kind mp4 --case 1234            one case again, with its traceback; the file is kept

Each kind's cases are read one after the other in a child process that may take MEMORY_BYTES and write FILE_BYTES; a crash costs one restart
and names the case. A case passes where the file is read, or refused with an error of livepuppet's own. It fails with

    fault      any other exception (also one for want of memory), with the place in the code that it came from
    crash      the interpreter died: a fault of a library, named
    hang       more than HANG_S of processor time
    touched    a file written, read or removed outside the case's folder, a program started, an address looked up or connected to

A case is made from the seed, its kind and its number alone, so that a number in the report is enough to make it again (with the same
versions of the libraries that write the whole files). Writes fuzz.json; exit code 1 where anything failed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from fuzzing.guard import FILE_BYTES, MEMORY_BYTES, Guard, limit_process
from fuzzing.readers import READERS, clear
from fuzzing.seeds import read_seeds, write_film, write_seeds

HANG_S = 10.0
"""Processor seconds of one case; a machine that is busy with something else makes nothing hang."""
WALL_S = 120.0
"""What a case may wait for something that takes no processor time."""
START_S = 900.0
"""What a child may take to import everything, on a machine that is busy with other things."""
ROOT = Path(__file__).parents[1]


def make_case(kind: str, seed: int, number: int, seeds: list[bytes]) -> tuple[bytes, random.Random]:
    """A case's content, and the generator with which its reader goes on choosing."""
    rng = random.Random(f"{seed}/{kind}/{number}")
    damage, _ = READERS[kind]
    return damage(rng, seeds), rng


def run_case(kind: str, folder: Path, content: bytes, rng: random.Random) -> dict[str, Any]:
    """Read it, and say what came out."""
    from livepuppet.errors import LivepuppetError

    try:
        READERS[kind][1](folder, content, rng)
    except LivepuppetError as error:
        lines = str(error).strip().splitlines()
        if len(lines) != 1 or len(str(error)) > 1500:
            return {"verdict": "fault", "what": f"a message of {len(lines)} lines and {len(str(error))} characters", "where": origin(error)}
        return {"verdict": "refused"}
    except BaseException as error:
        return {"verdict": "fault", "what": f"{type(error).__name__}: {str(error)[:200]}", "where": origin(error)}
    return {"verdict": "read"}


def origin(error: BaseException) -> str:
    """The deepest line of livepuppet's on the way to the error, and the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{os.sep}livepuppet{os.sep}" in frame.filename and "site-packages" not in frame.filename]
    last = frames[-1]
    inner = f"{Path(last.filename).name}:{last.name}"
    return f"{Path(ours[-1].filename).relative_to(ROOT)}:{ours[-1].lineno} {ours[-1].name} < {inner}" if ours else inner


def child(kind: str, seed: int, first: int, work: Path, reports: int) -> None:
    """Cases from `first` on, each announced and reported on a pipe, until somebody ends it."""
    import logging

    logging.disable(logging.CRITICAL)
    warned: list[str] = []
    warnings.simplefilter("always")
    warnings.showwarning = lambda message, category, *_: warned.append(f"{category.__name__}: {str(message)[:80]}")
    folder, outside = work / "case", work / "outside"
    clear(folder)
    os.chdir(folder)
    seeds = read_seeds(work / "seeds", kind)
    for content in seeds:  # what libraries load late they load now, before anybody counts
        run_case(kind, folder, content, random.Random(0))
        clear(folder)
    limit_process()
    guard = Guard(folder, outside)
    number = first
    while True:
        content, rng = make_case(kind, seed, number, seeds)
        clear(folder)
        os.write(reports, f"B {number}\n".encode())
        began = time.process_time()
        guard.begin()
        result = run_case(kind, folder, content, rng)
        touched = guard.end()
        result |= {"cpu_s": round(time.process_time() - began, 3), "warned": sorted(set(warned))[:3]}
        warned.clear()
        if touched:
            result |= {"verdict": "touched", "what": touched[0], "where": ""}
        os.write(reports, f"E {json.dumps(result)}\n".encode())
        number += 1


class Campaign:
    """The cases of one kind."""

    def __init__(self, kind: str, seed: int, work: Path) -> None:
        self.kind, self.seed, self.work = kind, seed, work
        self.verdicts: Counter[str] = Counter()
        self.findings: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.warnings: Counter[str] = Counter()
        self.slowest_s = 0.0
        self._left_s = 0.0

    def run(self, count: int, seconds: float) -> None:
        """As many cases as are asked for, or fit into the time."""
        number = 0
        self._left_s = seconds
        while number < count and self._left_s > 0:
            number = self._run_child(number, count)

    def _run_child(self, number: int, count: int) -> int:
        """One child until it dies, hangs or is no longer needed; returns the next case's number. Its start does not count as time."""
        reading, writing = os.pipe()
        command = [sys.executable, str(Path(__file__).resolve()), "--child", str(writing), "--kind", self.kind]
        command += ["--seed", str(self.seed), "--case", str(number), "--work", str(self.work)]
        said = self.work / "said"
        with said.open("wb") as words:
            process = subprocess.Popen(command, pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=words)
        os.close(writing)
        buffer, begun = b"", False
        quiet_since, cpu_from = time.monotonic(), 0.0
        try:
            while True:
                ready, _, _ = select.select([reading], [], [], 0.5)
                if not ready:
                    now = time.monotonic()
                    used = processor_seconds(process.pid) - cpu_from
                    if begun and (used > HANG_S or now - quiet_since > WALL_S):
                        self._note(number, {"verdict": "hang", "what": f"more than {HANG_S:g} s", "where": ""})
                        return number + 1
                    if not begun and now - quiet_since > START_S:
                        raise SystemExit(f"{self.kind}: the child does not start: {last_words(said)}")
                    continue
                block = os.read(reading, 65536)
                if not block:
                    code = process.wait()
                    if not begun:
                        raise SystemExit(f"{self.kind}: the child ended with {code} before any case: {last_words(said)}")
                    name = signal.Signals(-code).name if code < 0 else f"exit {code}"
                    self._note(number, {"verdict": "crash", "what": name, "where": last_words(said)})
                    return number + 1
                buffer += block
                *lines, buffer = buffer.split(b"\n")
                for line in lines:
                    if line.startswith(b"B"):
                        now = time.monotonic()
                        self._left_s -= now - quiet_since if begun else 0.0
                        number, begun = int(line[2:]), True
                        quiet_since, cpu_from = now, processor_seconds(process.pid)
                        if number >= count or self._left_s <= 0:
                            return number
                    else:
                        self._note(number, json.loads(line[2:]))
        finally:
            process.kill()
            process.wait()
            os.close(reading)

    def _note(self, number: int, result: dict[str, Any]) -> None:
        verdict = result["verdict"]
        self.verdicts[verdict] += 1
        self.warnings.update(result.get("warned", ()))
        self.slowest_s = max(self.slowest_s, result.get("cpu_s", 0.0))
        if verdict not in {"read", "refused"}:
            key = (verdict, result["where"], result["what"].split(":")[0])
            found = self.findings.setdefault(key, {**result, "case": number, "times": 0})
            found["times"] += 1

    def report(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "cases": sum(self.verdicts.values()),
            **{name: self.verdicts[name] for name in ("read", "refused", "fault", "crash", "hang", "touched")},
            "slowest_s": self.slowest_s,
            "findings": list(self.findings.values()),
            "warnings": dict(self.warnings.most_common(5)),
        }


def processor_seconds(pid: int) -> float:
    """User and system time of a process so far; 0 where the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def last_words(path: Path) -> str:
    """Where Python was when a library crashed, as its fault handler says; else the last that was said."""
    said = path.read_text(errors="replace")[-20_000:]
    lines = [line.strip() for line in said.splitlines() if line.strip().startswith("File ")]
    return (
        " < ".join(line.replace('File "', "").replace('"', "").rpartition("site-packages/")[2] for line in lines[:2]) or said.strip()[-300:]
    )


def repeat_case(kind: str, seed: int, number: int, work: Path, out: Path) -> None:
    """One case in this process, with its traceback; what it was made of is kept."""
    content, rng = make_case(kind, seed, number, read_seeds(work / "seeds", kind))
    folder = work / "case"
    clear(folder)
    kept = out / f"{kind}-{number}"
    kept.write_bytes(content)
    print(f"{kept} ({len(content)} bytes)")
    os.chdir(folder)
    READERS[kind][1](folder, content, rng)
    print("read")


def prepare(work: Path, kinds: list[str]) -> None:
    """Whole files, a home of the cases' own, and what lies outside as bait."""
    for name in ("home", "outside", "case"):
        (work / name).mkdir(parents=True, exist_ok=True)
    home = str(work / "home")
    os.environ.update({"HOME": home, "XDG_DATA_HOME": home, "XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home})
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    os.environ["PYTHONFAULTHANDLER"] = "1"
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.path.insert(0, str(ROOT))
    write_seeds(work / "seeds", kinds)
    if not (work / "outside" / "bait.txt").exists():
        write_film(work / "outside" / "bait.ts", "libx264", "yuv420p", None)
        write_film(work / "outside" / "bait.mp4", "libx264", "yuv420p", None)
        for suffix in ("txt", "bin", "png"):
            (work / "outside" / f"bait.{suffix}").write_bytes(bytes(range(256)) * 64)


def table(reports: list[dict[str, Any]]) -> list[str]:
    """In Markdown."""
    names = ("kind", "cases", "read", "refused", "fault", "crash", "hang", "touched", "slowest_s")
    rows = [names, ("---",) * len(names), *(tuple(str(report[name]) for name in names) for report in reports)]
    return ["| " + " | ".join(row) + " |" for row in rows]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", action="append", choices=sorted(READERS), metavar="KIND", help=f"of {', '.join(READERS)} (default: all)")
    parser.add_argument("--count", type=int, default=2000, help="cases of each kind (default: 2000)")
    parser.add_argument("--seconds", type=float, default=600.0, help="for each kind, at most (default: 600)")
    parser.add_argument("--seed", type=int, default=1, help="another number makes other cases (default: 1)")
    parser.add_argument("--case", type=int, help="make one case again and show what comes out")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out"))
    parser.add_argument("--work", type=Path, help="a folder for whole files and cases; kept (default: a temporary one)")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    kinds = options.kind or list(READERS)
    if options.child is not None:
        child(kinds[0], options.seed, options.case, options.work, options.child)
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="livepuppet-fuzz-") as temporary:
        work = (options.work or Path(temporary)).resolve()
        prepare(work, kinds)
        if options.case is not None:
            repeat_case(kinds[0], options.seed, options.case, work, options.out.resolve())
            return 0
        return campaign(kinds, options, work)


def campaign(kinds: list[str], options: argparse.Namespace, work: Path) -> int:
    """All kinds, their table and their report; 1 where anything failed."""
    from livepuppet.diagnostics.system import describe_machine, package_versions

    reports = []
    for kind in kinds:
        one = Campaign(kind, options.seed, work)
        one.run(options.count, options.seconds)
        reports.append(one.report())
        print(f"{kind}: {dict(one.verdicts)}, slowest {one.slowest_s:.1f} s", flush=True)
        for found in reports[-1]["findings"]:
            print(f"    {found['verdict']} {found['times']}x, case {found['case']}: {found['what']}  [{found['where']}]", flush=True)
        facts = {"machine": describe_machine(), "packages": package_versions(), "seed": options.seed}
        limits = {"memory_bytes": MEMORY_BYTES, "file_bytes": FILE_BYTES, "hang_s": HANG_S}
        (options.out / "fuzz.json").write_text(json.dumps(facts | {"limits": limits, "kinds": reports}, indent=1) + "\n")
    print("\n" + "\n".join(table(reports)))
    return int(any(report["findings"] for report in reports))


if __name__ == "__main__":
    raise SystemExit(main())
