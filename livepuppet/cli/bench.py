"""`livepuppet bench`: how fast is it here, with this camera, this engine and these outputs?"""

from __future__ import annotations

import argparse
import json
import logging
import threading
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

from livepuppet.cli.options import (
    add_output_arguments,
    add_overwrite_argument,
    add_puppet_arguments,
    choose_outputs,
    confirm_overwriting,
    driver_from,
    number_between,
    positive_float,
    settings_from,
)
from livepuppet.diagnostics.measurement import Measurement
from livepuppet.diagnostics.system import describe_machine, package_versions
from livepuppet.errors import MissingPartError, RunError
from livepuppet.factory import make_sink, open_source, sign_files
from livepuppet.files import check_ending, check_folder, refuse_overwriting, write_atomically
from livepuppet.live.assembly import assemble_session, interruptible
from livepuppet.live.session import Limits
from livepuppet.live.stats import Meter
from livepuppet.provenance.marks import Mark, sign_video

SUMMARY = "Measure speed and latency with your own camera, engine and outputs."
EPILOG = """\
examples:
  livepuppet bench                            your webcam, or the demo, and no output
  livepuppet bench --output window            ... with what the window costs
  livepuppet bench --camera demo --unpaced    how many frames per second at most
  livepuppet bench --json speed.json --plot speed.png

Capture to sink is the age of the driving picture when the animated one has reached every output. It
leaves out what a camera needs before it hands over a picture, and a screen before it lights it up.
"""
WARM_UP_S = 2.0

log = logging.getLogger("livepuppet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_puppet_arguments(parser.add_argument_group("what moves, and what moves it"))
    out = parser.add_argument_group("where it goes")
    add_output_arguments(out, default="none")
    out.add_argument("--no-watermark", action="store_true", help="leave out the invisible mark")
    run_time = parser.add_argument_group("how it is measured")
    run_time.add_argument("--seconds", type=positive_float, default=10.0, metavar="S", help="measure for so long (default: 10)")
    run_time.add_argument("--warm-up", type=warm_up, default=WARM_UP_S, metavar="S", help="run so long beforehand (default: 2)")
    run_time.add_argument("--unpaced", action="store_true", help="play the demo or a video as fast as it goes, not at its own pace")
    run_time.add_argument("--json", type=Path, metavar="FILE", help="write all numbers, and the latency of every frame, as JSON")
    run_time.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the latencies over time, their spread, and the stages")
    add_overwrite_argument(run_time)


def warm_up(text: str) -> float:
    """Seconds, none allowed."""
    return number_between(text, 0.0, 600.0)


def run(options: argparse.Namespace) -> int:
    check_ending(options.json, (".json", ""), "json", "a JSON file")
    for parameter in ("json", "plot"):
        check_folder(getattr(options, parameter), parameter)
    if options.plot:
        if find_spec("matplotlib") is None:
            raise MissingPartError("--plot needs the package matplotlib: pip install 'livepuppet[plot]'")
        from livepuppet.cli.bench_plot import plot_endings

        check_ending(options.plot, plot_endings(), "plot", "a picture")
    options.output = choose_outputs(options.output or ["none"])
    videos = [Path(output) for output in options.output if Path(output).suffix]
    written = [*(("output", video) for video in videos), ("json", options.json), ("plot", options.plot)]
    refuse_overwriting([*map(Path, options.avatar or ()), Path(options.camera)], written)
    options.overwrite = confirm_overwriting(written, options.overwrite)
    measurement = measure_session(options)
    print("\n".join(print_measurement(measurement)))
    if options.json:
        write_json(options.json, measurement.as_dict())
    if options.plot:
        from livepuppet.cli.bench_plot import plot_measurement

        plot_measurement(measurement, options.plot)
        log.info("wrote %s", options.plot)
    return 1 if measurement.failures else 0


def measure_session(options: argparse.Namespace) -> Measurement:
    """Run a session as `livepuppet` would with these options, and measure it.

    Raises what opening the parts raises, and RunError where no frame came through at all.
    """
    facts, mark = describe_machine(), Mark(watermark=not options.no_watermark)
    meter = Meter(warm_up_s=options.warm_up)
    with ExitStack() as cleanup:
        source = open_source(driver_from(options), paced=not options.unpaced, fps=options.fps)
        cleanup.callback(source.close)
        sinks = [make_sink(output, overwrite=options.overwrite) for output in options.output]
        session = assemble_session(settings_from(options, options.output), source, sinks, Limits(fps=options.fps), meter)
        cleanup.callback(session.puppet.engine.close)
        engine = session.puppet.engine.name
        sign_files(sinks, lambda video: sign_video(video, engine, mark, None))
        session.mark = None if options.no_watermark else mark.apply
        log.info("measuring for %g s, after %g s of warm-up", options.seconds, options.warm_up)
        bell = threading.Timer(options.warm_up + options.seconds, session.end, ["the time is over"])
        bell.daemon = True
        bell.start()
        cleanup.callback(bell.cancel)
        with interruptible():
            try:
                session.run()
            except KeyboardInterrupt:
                log.info("stopped early")
    statistics = meter.snapshot()
    if not (meter.warm and statistics.delivered):
        trouble = source.trouble or f"{source.name} gave no frame after {options.warm_up:g} s of warm-up"
        raise RunError(f"nothing was measured: {trouble} (try --camera demo, or a shorter --warm-up)")
    driver_frames, latencies = meter.latencies()
    return Measurement(
        statistics=statistics,
        driver_frames=driver_frames,
        latencies=latencies,
        stages=meter.stage_times(),
        output=", ".join(options.output),
        warm_up_s=options.warm_up,
        live=source.live,
        machine=facts,
        packages=package_versions(),
        failures=tuple(map(str, session.failures)),
    )


def print_measurement(measurement: Measurement) -> list[str]:
    """What a person wants to know, as lines of text."""
    numbers = measurement.statistics
    late = numbers.latency
    about = numbers.about
    facts = [
        ("driver", f"{about.get('source', '')}, {numbers.source_fps:.1f} frames per second"),
        ("picture", f"{about.get('avatar', '')}, {about.get('picture', '')}, by {about.get('engine', '')} on {about.get('device', '')}"),
        ("output", measurement.output),
        ("machine", f"{measurement.machine['processor']}, {measurement.machine['cores']} cores, load {measurement.machine['load'] or '?'}"),
        ("software", ", ".join(f"{name} {number}" for name, number in measurement.packages.items())),
        ("measured", f"{numbers.seconds:.1f} s, {numbers.delivered} frames, after {measurement.warm_up_s:g} s of warm-up"),
    ]
    lines = [f"{name:<18}{text}" for name, text in facts]
    lines += ["", f"{'frames per second':<18}{numbers.mean_fps:.1f}"]
    lines += [f"{'capture to sink':<18}p50 {late.p50:.1f} ms   p95 {late.p95:.1f}   p99 {late.p99:.1f}   worst {late.worst:.1f}"]
    if measurement.live:
        verdict = "never exceeded" if measurement.bound_kept else "EXCEEDED: frames wait in a queue somewhere"
        lines += [f"{'age bound':<18}{numbers.age_bound_ms:.1f} ms, {verdict} (longest work on one frame + longest camera interval)"]
    busy = numbers.cpu_ms * numbers.delivered / 1000 / numbers.seconds if numbers.seconds else 0.0
    lines += [f"{'processor time':<18}{numbers.cpu_ms:.1f} ms per frame, {busy:.1f} cores kept busy by all of livepuppet's threads"]
    lines += [f"{'dropped':<18}{numbers.dropped} of {numbers.dropped + numbers.taken} ({numbers.drop_rate:.1%})", ""]
    lines += [f"{'stage':<18}{'mean':>8}{'p50':>8}{'p95':>8}{'p99':>8}{'worst':>8}   ms"]
    for name, spread in numbers.stages.items():
        lines += [f"{name:<18}{spread.mean:>8.2f}{spread.p50:>8.2f}{spread.p95:>8.2f}{spread.p99:>8.2f}{spread.worst:>8.2f}"]
    return lines


def write_json(path: Path, document: object) -> None:
    """Raises RunError where the file cannot be written."""
    write_atomically(path, lambda file: file.write(json.dumps(document, indent=2).encode() + b"\n"))
    log.info("wrote %s", path)
