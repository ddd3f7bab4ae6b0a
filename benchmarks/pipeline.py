"""How fast the whole way of a frame is, from the source to the sink: the product's own session, as `livepuppet bench` measures it.

    python benchmarks/pipeline.py [--seconds 8] [--sizes 512x512 1024x1024 1280x720] [--output none] [--out benchmarks/out]

The demo performance drives the first shipped avatar at each size, once paced like a camera of 30 frames per second (what a person gets)
and once as fast as it goes (what the computer can do). Prints a table in Markdown and writes pipeline.md and pipeline.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from livepuppet.cli import build_parser
from livepuppet.cli.bench import Measurement, measure_session
from livepuppet.diagnostics.system import describe_machine, package_versions, system_load

SIZES = ("512x512", "1024x1024", "1280x720")
STAGES = ("wait", "observe", "smooth", "transfer", "render", "mark")


def one(options: argparse.Namespace, size: str, unpaced: bool) -> Measurement:
    words = ["--camera", "demo", "--size", size, "--output", options.output, "--engine", options.engine]
    words += ["--seconds", str(options.seconds), "--warm-up", str(options.warm_up)] + (["--unpaced"] if unpaced else [])
    return measure_session(build_parser("bench").parse_args(words))


def row(size: str, measurement: Measurement) -> list[str]:
    numbers, late = measurement.statistics, measurement.statistics.latency
    sink = [name for name in numbers.stages if name not in STAGES]
    times = [numbers.stages[name].p50 if name in numbers.stages else 0.0 for name in (*STAGES, *sink[:1])]
    return [
        size,
        "30 fps" if measurement.live else "unpaced",
        f"{numbers.mean_fps:.1f}",
        *(f"{value:.1f}" for value in (late.p50, late.p95, late.p99)),
        f"{numbers.cpu_ms:.1f}",
        f"{numbers.drop_rate:.0%}",
        f"{numbers.age_bound_ms:.0f}, {'kept' if measurement.bound_kept else 'EXCEEDED'}" if measurement.live else "",
        *(f"{value:.2f}" for value in times),
    ]


def table(rows: list[list[str]], output: str) -> list[str]:
    head = ["size", "source", "fps", "p50", "p95", "p99", "cpu", "dropped", "age bound", *STAGES, output]
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0, help="measure each so long (default: 8)")
    parser.add_argument("--warm-up", type=float, default=2.0, help="after so long a warm-up (default: 2)")
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), metavar="WxH")
    parser.add_argument("--output", default="none", help="none, window, virtual or FILE.mp4 (default: none)")
    parser.add_argument("--engine", default="landmark")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    facts = describe_machine()
    heading = f"{facts['processor']}, {facts['cores']} cores, {facts['system']}, Python {facts['python']}; load before: {facts['load']}"
    versions = ", ".join(f"{name} {number}" for name, number in package_versions().items())
    condition = f"{options.seconds:g} s each after {options.warm_up:g} s of warm-up; times in ms, stages as medians"
    condition += "; cpu: processor time per frame, all threads; unpaced ages include a frame's wait for its turn"
    print(f"{heading}\n{versions}\n{condition}\n", flush=True)
    rows, runs = [], []
    for size in options.sizes:
        for unpaced in (False, True):
            measurement = one(options, size, unpaced)
            rows.append(row(size, measurement))
            runs.append({"size": size, "unpaced": unpaced, **measurement.as_dict()})
            print(rows[-1], flush=True)
    text = [*table(rows, options.output), "", f"{heading}, after: {system_load()}.", f"{versions}.", f"{condition}."]
    print("\n" + "\n".join(text))
    (options.out / "pipeline.md").write_text("\n".join(text) + "\n")
    (options.out / "pipeline.json").write_text(
        json.dumps({"machine": facts, "packages": package_versions(), "runs": runs}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
