"""What is left when livepuppet is killed at any moment, and whether the next run makes it good.

    python benchmarks/kill.py [render jobs live] [--times 20] [--seed 1] [--out benchmarks/out]

render   one video, every other time over an older one of the same name
jobs     a table of two videos, on two workers
live     a recording of a video that plays

Each run gets SIGKILL: every other one at a random moment between its start and a little after its end, the others when a random part of its
(first) video is written, since starting and searching take most of the time. Then:

    a file of the finished name is the older one, byte for byte, or whole: the undisturbed run's frames, times and sound
    what is unfinished can be played
    the same command (with --resume, where there is anything to resume) ends well
    its video has the undisturbed run's times and sound; frames that were there before the kill are the same to the bit, and those made
    afterwards differ by less than RESUMED_LEVELS on average, for the encoder and the tracker begin anew there
    nothing else is left in the folder: no locks, no notes, no halves (a recording that was cut off is kept under a name of its own)

Prints a row per kill and a table, and writes kill.json. Unix only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from livepuppet.diagnostics.system import describe_machine, package_versions
from livepuppet.files import unfinished_path
from livepuppet.video.reader import VideoReader
from livepuppet.vision.portrait import ASSETS

AVATAR = ASSETS / "avatars" / "ada.jpg"
PERFORMANCE = ASSETS / "performance.mp4"
ROOT = Path(__file__).parents[1]
RESUMED_LEVELS = 3.0
AFTER_THE_END = 1.05
"""Part of the undisturbed run's time within which the kill falls."""
ORPHANS_S = 30.0
"""How long workers may take to see that nobody is left to work for."""


@dataclass(frozen=True)
class Film:
    """A video's frames by hash and in small, its times, and its sound by hash."""

    hashes: list[str]
    images: list[NDArray[np.int16]]
    times: list[float]
    sound: str


def film(path: Path) -> Film:
    video = VideoReader(path)
    try:
        frames = [(frame.image, float(frame.pts * video.time_base)) for frame in video]
    finally:
        video.close()
    digest = hashlib.sha256()
    with av.open(str(path)) as container:
        for packet in container.demux(audio=0) if container.streams.audio else ():
            digest.update(bytes(packet) if packet.size else b"")
    hashes = [hashlib.sha256(image.tobytes()).hexdigest() for image, _ in frames]
    return Film(hashes, [image.astype(np.int16) for image, _ in frames], [second for _, second in frames], digest.hexdigest())


@dataclass
class Kind:
    """A command to be killed.

    Attributes:
        words: its arguments, run in a folder of its own.
        again: what is added the second time.
        outputs: the videos that it makes.
        others: what else is in the folder when all is well.
    """

    name: str
    words: list[str]
    again: list[str]
    outputs: list[str]
    others: set[str] = field(default_factory=set)
    may_replace: bool = False


MADE = ["--size", "128x128", "--no-watermark"]
KINDS = {
    "render": Kind(
        "render",
        ["render", "--avatar", str(AVATAR), "--driving", str(PERFORMANCE), "--output", "o.mp4", "--end", "5", "--quiet", *MADE],
        ["--resume"],
        ["o.mp4"],
        may_replace=True,
    ),
    "jobs": Kind(
        "jobs",
        ["render", "--jobs", "jobs.csv", "--workers", "2", "--quiet", *MADE],
        ["--resume"],
        ["a.mp4", "b.mp4"],
        {"jobs.csv", "jobs.summary.csv"},
    ),
    "live": Kind(
        "live",
        ["--avatar", str(AVATAR), "--camera", str(PERFORMANCE), "--output", "o.mp4", "--seconds", "5", *MADE],
        [],
        ["o.mp4"],
    ),
}
JOBS = f"avatar,driving,output,end\n{AVATAR},{PERFORMANCE},a.mp4,4\n{AVATAR},{PERFORMANCE},b.mp4,5\n"


def begin(kind: Kind, folder: Path, extra: list[str]) -> subprocess.Popen[str]:
    if kind.name == "jobs" and not (folder / "jobs.csv").exists():
        (folder / "jobs.csv").write_text(JOBS)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "livepuppet", *kind.words, *extra]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def group_ended(group: int, seconds: float) -> bool:
    """Whether every process of the group has ended, within that time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


@dataclass(frozen=True)
class Moment:
    """When to kill: after so many seconds, but if `size` is given not before the unfinished video has as many bytes."""

    seconds: float
    size: float | None = None

    def wait(self, running: subprocess.Popen[str], unfinished: Path) -> bool:
        """Until it has come; False where the process ended before."""
        until = time.monotonic() + self.seconds
        while running.poll() is None:
            if self.size is None and time.monotonic() >= until:
                return True
            if self.size is not None and unfinished.is_file() and unfinished.stat().st_size >= self.size:
                return True
            time.sleep(0.005)
        return False


def killed_once(kind: Kind, moment: Moment, folder: Path, whole: dict[str, Film], older: Path | None) -> dict[str, Any]:
    """Kill it once, look, and run it again. Every fault is a line of 'faults'."""
    faults: list[str] = []
    extra = []
    if older is not None:
        shutil.copy(older, folder / kind.outputs[0])
        extra = ["--overwrite"]
    began = time.monotonic()
    running = begin(kind, folder, extra)
    was = "killed" if moment.wait(running, unfinished_path(folder / kind.outputs[0])) else "ended before"
    at = time.monotonic() - began
    running.send_signal(signal.SIGKILL)
    running.communicate()
    if not group_ended(running.pid, ORPHANS_S):
        faults.append(f"workers still run {ORPHANS_S:g} s after their parent's death")
        os.killpg(running.pid, signal.SIGKILL)
    found = []
    begun = {}
    for name in kind.outputs:
        path, unfinished = folder / name, unfinished_path(folder / name)
        state = "nothing"
        if unfinished.is_file() and unfinished.stat().st_size:
            begun[name] = len(playable(unfinished, faults))
            state = f"{begun[name]} frames"
        if path.is_file():
            if older is not None and path.read_bytes() == older.read_bytes():
                state += ", older kept"
            else:
                faults += different(name, film(path), whole[name], 0.0)
                state = "whole"
        found.append(state)
    again = begin(kind, folder, [*extra, *kind.again] if kind.again or was == "killed" else ["--overwrite"])
    _, said = again.communicate()
    already = not kind.again and found == ["whole"]
    if already and again.returncode == 2 and "exists" in said:  # a recording that was whole is not played over
        said = ""
    elif again.returncode:
        faults.append(f"the second run ended with {again.returncode}: {said.strip().splitlines()[-1:]}")
    same, worst = [], 0.0
    for name in kind.outputs:
        if not (folder / name).is_file():
            faults.append(f"{name} is missing")
            continue
        made = film(folder / name)
        faults += different(name, made, whole[name], RESUMED_LEVELS)
        same.append(sum(a == b for a, b in zip(made.hashes, whole[name].hashes, strict=False)) / max(1, len(made.hashes)))
        worst = max([worst, *(levels(a, b) for a, b in zip(made.images, whole[name].images, strict=False))])
    kept = {"o-interrupted.mp4"} if kind.name == "live" else set()
    left = {path.name for path in folder.iterdir()} - set(kind.outputs) - kind.others - kept
    if left:
        faults.append(f"left behind: {', '.join(sorted(left))}")
    return {
        "kind": kind.name,
        "at_s": round(at, 2),
        "was": was,
        "found": "; ".join(found),
        "identical": round(min(same, default=0.0), 3),
        "levels": round(worst, 2),
        "faults": faults,
    }


def playable(path: Path, faults: list[str]) -> list[str]:
    """The hashes of an unfinished video's frames; a file that holds no frame yet (a header) plays as nothing."""
    try:
        return film(path).hashes
    except Exception as error:
        if path.stat().st_size > 4096:  # more than a header
            faults.append(f"{path.name} ({path.stat().st_size} bytes) cannot be played: {error}")
        return []


def levels(one: NDArray[np.int16], other: NDArray[np.int16]) -> float:
    return float(np.abs(one - other).mean()) if one.shape == other.shape else 255.0


def different(name: str, made: Film, whole: Film, most: float) -> list[str]:
    """What is not as in the undisturbed run."""
    faults = []
    if made.times != whole.times:
        faults.append(f"{name}: {len(made.times)} frames at other times than the {len(whole.times)} of the undisturbed run")
    if made.sound != whole.sound:
        faults.append(f"{name}: other sound")
    far = max((levels(a, b) for a, b in zip(made.images, whole.images, strict=False)), default=0.0)
    if far > most:
        faults.append(f"{name}: frames differ by up to {far:.2f} levels")
    return faults


def campaign(kind: Kind, times: int, moments: random.Random, work: Path) -> list[dict[str, Any]]:
    quiet = work / kind.name
    quiet.mkdir()
    began = time.monotonic()
    process = begin(kind, quiet, [])
    _, said = process.communicate()
    if process.returncode:
        raise SystemExit(f"the undisturbed run of {kind.name} failed: {said}")
    length = time.monotonic() - began
    whole = {name: film(quiet / name) for name in kind.outputs}
    older = work / "older.mp4"
    if not older.exists():
        shutil.copy(PERFORMANCE, older)
    print(f"\n{kind.name}: {length:.1f} s undisturbed", flush=True)
    rows = []
    for number in range(times):
        folder = work / f"{kind.name}-{number}"
        folder.mkdir()
        size = (quiet / kind.outputs[0]).stat().st_size
        moment = Moment(moments.uniform(0, length * AFTER_THE_END)) if number % 2 else Moment(0, moments.uniform(0, size))
        row = killed_once(kind, moment, folder, whole, older if kind.may_replace and number % 4 in {1, 2} else None)
        rows.append(row)
        print(
            f"  {row['at_s']:6.2f} s  {row['was']:<12}  {row['found']:<32}  identical {row['identical']:.0%}, others within {row['levels']}"
            f"  {'; '.join(row['faults']) or 'good'}",
            flush=True,
        )
        shutil.rmtree(folder)
    return rows


def as_table(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| kind | kills | nothing was there | unfinished | whole | identical to the bit | most any frame differs | faults |",
        "|" + "---|" * 8,
    ]
    for name in dict.fromkeys(row["kind"] for row in rows):
        mine = [row for row in rows if row["kind"] == name]
        states = Counter(
            "whole" if state.startswith("whole") else "nothing" if state.startswith("nothing") else "unfinished"
            for row in mine
            for state in row["found"].split("; ")
        )
        same, worst = sum(row["identical"] == 1 for row in mine), max(row["levels"] for row in mine)
        faults = sum(bool(row["faults"]) for row in mine)
        lines.append(
            f"| {name} | {len(mine)} | {states['nothing']} | {states['unfinished']} | {states['whole']} | {same} of {len(mine)} "
            f"| {worst} levels | {faults} |"
        )
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", help="render, jobs, live (default: all)")
    parser.add_argument("--times", type=int, default=20, metavar="N", help="kills of each kind (default: 20)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (default: 1)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out"))
    options = parser.parse_args()
    if unknown := set(options.what) - set(KINDS):
        parser.error(f"no kind named {', '.join(sorted(unknown))}")
    options.out.mkdir(parents=True, exist_ok=True)
    moments = random.Random(options.seed)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="livepuppet-kill-") as work:
        for name in options.what or KINDS:
            rows += campaign(KINDS[name], options.times, moments, Path(work))
    facts = {"machine": describe_machine(), "packages": package_versions(), "seed": options.seed, "kills": rows}
    (options.out / "kill.json").write_text(json.dumps(facts, indent=1) + "\n")
    print("\n" + "\n".join(as_table(rows)))
    return 1 if any(row["faults"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
