"""A measured run as a picture: latencies over time, their spread, and what each stage took."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np

from livepuppet.errors import UsageError
from livepuppet.files import write_atomically

if TYPE_CHECKING:
    from livepuppet.diagnostics.measurement import Measurement

INK, QUIET, GRID = "#1b1f27", "#747c8a", "#e7e9ee"
BLUE, LIGHT_BLUE, GOLD, RED = "#2f6fde", "#b9cff5", "#e0a021", "#d9483b"
INCHES = (11.0, 6.6)
STYLE = {
    "font.family": "DejaVu Sans", "font.size": 9.5, "text.color": INK, "axes.labelcolor": QUIET, "axes.edgecolor": GRID,
    "axes.titlesize": 11, "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.titlepad": 10,
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "axes.grid": True, "grid.color": GRID,
    "xtick.color": QUIET, "ytick.color": QUIET, "xtick.major.size": 0, "ytick.major.size": 0, "figure.facecolor": "white",
}  # fmt: skip


def plot_measurement(measurement: Measurement, path: Path) -> None:
    """Write the picture; the suffix names its format (png, svg, pdf).

    Raises:
        UsageError: for a suffix of no kind of picture.
        RunError: where it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=INCHES, dpi=140)
        FigureCanvasAgg(figure)
        grid = figure.add_gridspec(2, 2, left=0.07, right=0.975, top=0.80, bottom=0.085, hspace=0.46, wspace=0.22, width_ratios=(1, 1.05))
        _headline(figure, measurement)
        _timeline(figure.add_subplot(grid[0, :]), measurement)
        _histogram(figure.add_subplot(grid[1, 0]), measurement)
        _stages(figure.add_subplot(grid[1, 1]), measurement)
        picture = io.BytesIO()
        try:
            figure.savefig(picture, format=path.suffix.lower().removeprefix("."))
        except ValueError as error:
            raise UsageError(f"cannot write the picture to {path}: {error}") from error
    write_atomically(path, lambda file: file.write(picture.getbuffer()))


def plot_endings() -> list[str]:
    """What the names of pictures may end in."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    return sorted(f".{ending}" for ending in FigureCanvasAgg(Figure()).get_supported_filetypes())


def _headline(figure: Any, measurement: Measurement) -> None:
    numbers, about = measurement.statistics, measurement.statistics.about
    figure.text(0.07, 0.945, f"{numbers.mean_fps:.1f} frames per second", fontsize=18, weight="bold")
    figure.text(0.07, 0.905, f"capture to sink {numbers.latency.p50:.0f} ms, 95 of 100 frames within {numbers.latency.p95:.0f} ms, "
                f"{numbers.drop_rate:.0%} of the camera's frames dropped", fontsize=10.5, color=QUIET)  # fmt: skip
    facts = (
        f"{about.get('engine', '')} on {about.get('device', '')}",
        f"{about.get('source', '')}  →  {about.get('picture', '')}  →  {measurement.output}",
        f"{measurement.machine['processor']}, {measurement.machine['cores']} cores, load {measurement.machine['load'] or '?'}",
    )
    for line, text in enumerate(facts):
        figure.text(0.975, 0.955 - 0.025 * line, text, fontsize=8, color=QUIET, ha="right")


def _timeline(axes: Any, measurement: Measurement) -> None:
    latencies = measurement.latencies * 1000
    numbers = measurement.statistics
    top = _top(latencies)
    axes.set_title("Age of the driving picture when its animation is out")
    axes.plot(measurement.driver_frames, latencies, color=LIGHT_BLUE, linewidth=0.7, zorder=2)
    axes.scatter(measurement.driver_frames, np.minimum(latencies, top), s=7, color=BLUE, linewidths=0, zorder=3)
    beyond = latencies > top
    axes.scatter(measurement.driver_frames[beyond], np.full(beyond.sum(), top * 0.985), s=26, marker="^", color=RED, linewidths=0, zorder=4)
    if measurement.live and numbers.age_bound_ms <= top:
        axes.axhline(numbers.age_bound_ms, color=GOLD, linewidth=1.2, zorder=1)
        axes.annotate(
            f"age bound {numbers.age_bound_ms:.0f} ms", (1, numbers.age_bound_ms), xycoords=("axes fraction", "data"),
            xytext=(-4, 4), textcoords="offset points", ha="right", color=GOLD, fontsize=8.5,
        )  # fmt: skip
    axes.set_ylim(0, top)
    axes.set_xlim(min(0.0, float(measurement.driver_frames[0])), float(measurement.driver_frames[-1]) or 1.0)
    axes.set_xlabel("seconds")
    axes.set_ylabel("ms")


def _top(latencies: np.ndarray[Any, Any]) -> float:
    """Where the scale ends: the worst, unless a few stragglers would flatten all the others; those get a mark at the edge."""
    worst, usual = float(latencies.max()), float(np.percentile(latencies, 99))
    return max(1.0, 1.12 * (worst if worst < 2.5 * usual else 1.6 * usual))


def _histogram(axes: Any, measurement: Measurement) -> None:
    latencies = measurement.latencies * 1000
    late, top = measurement.statistics.latency, _top(latencies)
    axes.set_title("Spread")
    axes.hist(np.minimum(latencies, top), bins=np.linspace(0, top, 61).tolist(), color=LIGHT_BLUE, edgecolor="white", linewidth=0.5)
    height = axes.get_ylim()[1] * 1.32
    axes.set_ylim(0, height)
    for place, (name, value, colour) in enumerate((("p50", late.p50, BLUE), ("p95", late.p95, GOLD), ("p99", late.p99, RED))):
        axes.axvline(value, ymax=0.97 - 0.09 * place, color=colour, linewidth=1.4)
        right = value > 0.8 * top
        axes.annotate(
            f"{name} {value:.1f} ms", (value, height * (0.97 - 0.09 * place)), xytext=(-4 if right else 4, -7), textcoords="offset points",
            ha="right" if right else "left", color=colour, fontsize=8.5, weight="bold", zorder=5,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.8},
        )  # fmt: skip
    axes.set_xlim(0, top)
    axes.set_xlabel("capture to sink, ms")
    axes.set_ylabel("frames")
    axes.grid(axis="x", visible=False)


def _stages(axes: Any, measurement: Measurement) -> None:
    stages = measurement.statistics.stages
    names = list(stages)
    longest = max((spread.p95 for spread in stages.values()), default=1.0) or 1.0
    axes.set_title("Where the time goes")
    axes.barh(names, [stages[name].p95 for name in names], height=0.62, color=LIGHT_BLUE, label="p95")
    axes.barh(names, [stages[name].p50 for name in names], height=0.62, color=BLUE, label="p50")
    for row, name in enumerate(names):
        spread = stages[name]
        axes.text(spread.p95 + longest * 0.015, row, f"{spread.p50:.1f}  …  {spread.p95:.1f}", va="center", fontsize=8.5, color=QUIET)
    axes.set_xlim(0, longest * 1.3)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_xlabel("ms per frame: p50 … p95")
