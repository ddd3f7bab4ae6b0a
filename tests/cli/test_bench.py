from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image as Pillow

from livepuppet.cli import bench, build_parser, main
from livepuppet.cli.bench import print_measurement
from livepuppet.cli.bench_plot import plot_measurement
from livepuppet.diagnostics.measurement import Measurement
from livepuppet.diagnostics.system import core_count, describe_machine, package_versions
from livepuppet.errors import RunError, UsageError
from livepuppet.live.stats import Distribution, Statistics

ROOT = Path(__file__).parents[2]
AVATAR = str(ROOT / "livepuppet" / "assets" / "avatars" / "ada.jpg")


def run(*words: str) -> int:
    """The command in this process; only `main` turns errors into lines and exit codes."""
    return bench.run(build_parser("bench").parse_args(["--camera", "demo", "--avatar", AVATAR, *words]))


def made_up(latencies_ms: list[float], *, bound_ms: float = 50.0, live: bool = True) -> Measurement:
    """A measurement of a run that never was, for looking at its report."""
    late = np.array(latencies_ms)
    p50, p95, p99 = (float(value) for value in np.percentile(late, (50, 95, 99)))
    numbers = Statistics(
        seconds=len(late) / 30, taken=len(late), delivered=len(late), dropped=len(late), fps=30.0, mean_fps=29.97, source_fps=59.94,
        latency=Distribution(len(late), float(late.mean()), p50, p95, p99, float(late.max())), age_bound_ms=bound_ms,
        stages={"wait": Distribution(9, 4, 4, 9, 9, 9), "render": Distribution(9, 6.5, 6.25, 7, 8, 9)},
        about={"engine": "landmark", "device": "CPU", "source": "demo", "picture": "512 x 512", "avatar": "ada"},
    )  # fmt: skip
    return Measurement(
        statistics=numbers, driver_frames=np.arange(len(late)) / 30, latencies=late / 1000, stages={"render": late / 2000}, output="none",
        warm_up_s=2.0, live=live, machine=describe_machine(), packages=package_versions(), failures=(),
    )  # fmt: skip


def test_a_real_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The demo drives a portrait, paced like a camera; every number of the report comes from that run."""
    numbers, picture = tmp_path / "b.json", tmp_path / "b.png"
    assert run("--size", "256x256", "--seconds", "1", "--warm-up", "0.5", "--json", str(numbers), "--plot", str(picture)) == 0
    data = json.loads(numbers.read_text())
    assert data["delivered"] > 2 and data["taken"] == pytest.approx(data["delivered"], abs=1)
    assert 0.3 < data["seconds"] < 30 and 0 < data["mean_fps"] < 35, "a camera of 30 frames per second cannot be outrun"
    assert data["latency"]["p50"] <= data["latency"]["p95"] <= data["latency"]["p99"] <= data["latency"]["worst"]
    assert data["age_bound_kept"] is True and data["latency"]["worst"] <= data["age_bound_ms"]
    stages = data["stages"]
    assert list(stages)[:5] == ["wait", "observe", "smooth", "transfer", "render"] and "none" in stages
    parts = sum(spread["mean"] for spread in stages.values())
    assert parts == pytest.approx(data["latency"]["mean"], rel=0.1, abs=1.0), "the stages explain the latency"
    assert len(data["samples"]["latency_ms"]) == len(data["samples"]["at_s"]) == data["delivered"]
    assert data["about"]["picture"] == "256 x 256" and data["machine"]["cores"] == str(core_count())
    said = capsys.readouterr().out
    assert f"{data['mean_fps']:.1f}" in said and "observe" in said and "never exceeded" in said
    with Pillow.open(picture) as image:
        assert image.size == (1540, 924) and len(np.unique(np.asarray(image.convert("L")))) > 50


def test_unpaced_runs_lose_nothing(tmp_path: Path) -> None:
    numbers = tmp_path / "b.json"
    words = ["--size", "128x128", "--seconds", "0.6", "--warm-up", "0", "--unpaced", "--no-watermark"]
    assert run(*words, "--json", str(numbers)) == 0
    data = json.loads(numbers.read_text())
    assert data["dropped"] == 0 and data["live"] is False and data["age_bound_kept"] is None and "mark" not in data["stages"]


def test_a_film_as_output_is_measured_and_written(tmp_path: Path) -> None:
    film = tmp_path / "out.mp4"
    assert run("--size", "128x128", "--seconds", "2", "--warm-up", "0", "--output", str(film)) == 0
    with av.open(str(film)) as container:
        assert sum(1 for _ in container.decode(video=0)) > 2


def test_a_source_that_ends_during_the_warm_up(tmp_path: Path) -> None:
    clip = tmp_path / "short.mp4"
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width = stream.height = 64
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")))
        container.mux(stream.encode(None))
    with pytest.raises(RunError, match=r"nothing was measured: .* gave no frame after 5 s of warm-up .*--warm-up"):
        run("--camera", str(clip), "--size", "128x128", "--seconds", "1", "--warm-up", "5")


@pytest.mark.parametrize("option", ["--json", "--plot"])
def test_places_that_cannot_be_written_are_said_before_the_measuring(option: str, tmp_path: Path) -> None:
    for place in (tmp_path / "nowhere" / "b.png", tmp_path):
        with pytest.raises(UsageError, match=str(place.parent)):
            run("--seconds", "1000", option, str(place))


def test_on_the_command_line() -> None:
    words = ["bench", "--camera", "no such camera", "--seconds", "1"]
    done = subprocess.run([sys.executable, "-m", "livepuppet", *words], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode in (1, 2) and done.stdout == ""
    assert done.stderr.startswith("livepuppet: ") and "no such camera" in done.stderr and "Traceback" not in done.stderr


def test_the_pipeline_benchmark_writes_its_tables(tmp_path: Path) -> None:
    script = ROOT / "benchmarks" / "pipeline.py"
    words = ["--seconds", "0.4", "--warm-up", "0", "--sizes", "128x128", "--out", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, str(script), *words], check=True, capture_output=True, env=environment, cwd=tmp_path)
    runs = json.loads((tmp_path / "pipeline.json").read_text())["runs"]
    assert [(run["size"], run["unpaced"], run["live"]) for run in runs] == [("128x128", False, True), ("128x128", True, False)]
    lines = (tmp_path / "pipeline.md").read_text().splitlines()
    assert len({line.count("|") for line in lines[:4]}) == 1 and f"{runs[1]['mean_fps']:.1f}" in lines[3]


def test_the_report_calls_a_queue_a_queue() -> None:
    good, bad = made_up([20.0] * 90), made_up([20.0] * 89 + [400.0])
    assert good.bound_kept and not bad.bound_kept
    assert "never exceeded" in "\n".join(print_measurement(good)) and "EXCEEDED" in "\n".join(print_measurement(bad))
    assert not any(line.startswith("age bound") for line in print_measurement(made_up([400.0] * 9, live=False)))
    lines = {line[:18].strip(): line[18:] for line in print_measurement(good) if line}
    assert lines["dropped"] == "90 of 180 (50.0%)" and "6.50" in lines["render"] and "6.25" in lines["render"]


@pytest.mark.parametrize(
    "latencies",
    [[20.0], [0.0, 0.0], [20.0] * 200 + [3000.0], list(np.random.default_rng(0).gamma(8, 3, 400))],
    ids=["one frame", "no time at all", "a straggler", "many"],
)
def test_any_run_can_be_drawn(latencies: list[float], tmp_path: Path) -> None:
    place = tmp_path / "b.png"
    plot_measurement(made_up(latencies), place)
    with Pillow.open(place) as image:
        assert image.size == (1540, 924)


def test_a_picture_format_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write the picture"):
        plot_measurement(made_up([1.0, 2.0]), tmp_path / "b.nonsense")


def test_json_is_plain(tmp_path: Path) -> None:
    measurement = made_up([1.0, 2.0])
    assert json.loads(json.dumps(measurement.as_dict()))["samples"]["latency_ms"] == [1.0, 2.0]
    assert replace(measurement, failures=("disk full",)).as_dict()["failures"] == ["disk full"]


def test_the_machine_is_described() -> None:
    facts = describe_machine()
    assert set(facts) == {"system", "processor", "cores", "load", "python"} and facts["processor"] and int(facts["cores"]) >= 1
    assert {"livepuppet", "numpy", "mediapipe"} <= set(package_versions())


def test_a_plot_without_matplotlib_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("livepuppet.cli.bench.find_spec", lambda name: None)
    assert main(["bench", "--camera", "demo", "--plot", str(tmp_path / "speed.png")]) == 2
    assert "pip install 'livepuppet[plot]'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
