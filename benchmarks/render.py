"""How fast and how large `livepuppet render` is, measured from outside on the command itself.

    python benchmarks/render.py [speed memory cores ray] [--minutes 10] [--out benchmarks/out]

speed    frames per second at 512 x 512, 1280 x 720 and 1920 x 1080, beside the clip's own rate
memory   peak memory for a clip of ten seconds and for one of ten minutes (--minutes): it must not grow
cores    one video on one core and on two; a table of videos with one worker and with two
ray      a table of videos in chunks on a Ray cluster of one node, and of two (one core each; needs the extra `ray`)

Every figure is of a process of its own, start included: wall seconds, processor seconds of all threads and children, peak memory. Prints
tables in Markdown and writes render.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

from livepuppet.diagnostics.system import describe_machine, package_versions, system_load
from livepuppet.video.reader import VideoReader
from livepuppet.video.writer import VideoWriter, h264
from livepuppet.vision.portrait import ASSETS

AVATAR = ASSETS / "avatars" / "ada.jpg"
PERFORMANCE = ASSETS / "performance.mp4"
SIZES = ("512x512", "1280x720", "1920x1080")
ROOT = Path(__file__).parents[1]


def measured(arguments: list[str], cores: int | None = None, environment: dict[str, str] | None = None) -> dict[str, float]:
    """Run `livepuppet ARGUMENTS`: wall and processor seconds, peak MB. cores: how many of the machine's it may use."""
    command = [sys.executable, "-m", "livepuppet", *arguments]
    if cores:
        command = ["taskset", "--cpu-list", f"0-{cores - 1}", *command]
    began = time.monotonic()
    child = subprocess.Popen(command, cwd=ROOT, env=os.environ | (environment or {}), stderr=subprocess.PIPE, text=True)
    said = child.stderr.read() if child.stderr else ""
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed ({child.returncode}): {said.strip()}")
    return {
        "wall_s": round(time.monotonic() - began, 2),
        "processor_s": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_mb": round(usage.ru_maxrss / 1024, 1),
    }


def render(
    output: Path, *, driving: Path = PERFORMANCE, size: str = "512x512", extra: tuple[str, ...] = (), cores: int | None = None
) -> dict[str, float]:
    words = [
        "render",
        "--avatar",
        str(AVATAR),
        "--driving",
        str(driving),
        "--output",
        str(output),
        "--size",
        size,
        "--quiet",
        "--overwrite",
        *extra,
    ]
    return measured(words, cores)


def repeated(path: Path, seconds: float, every: int = 1) -> Path:
    """The performance over and over, with a key frame each second, small enough that decoding is not what is measured.

    every: take each n-th frame only, and fewer per second.
    """
    video = VideoReader(PERFORMANCE, limit=320)
    images = [image.image for image in video][::every]
    writer = VideoWriter(path, video.size, format=h264(".mp4", "ultrafast"), fps=video.fps / every, time_base=Fraction(1, 15360))
    for i in range(round(seconds * video.fps / every)):
        writer.write(images[i % len(images)], i * 512 * every)
    writer.close()
    video.close()
    return path


def frames(path: Path) -> int:
    video = VideoReader(path)
    try:
        return video.frame_count or video.count_packets()
    finally:
        video.close()


def speed(folder: Path) -> list[dict[str, Any]]:
    rows = []
    video = VideoReader(PERFORMANCE)
    rate = video.fps
    video.close()
    for reference in ("best", "first"):
        for size in SIZES:
            begun = render(folder / "one.mp4", size=size, extra=("--end", "0.1", "--reference", reference))  # what starting costs
            whole = render(folder / "o.mp4", size=size, extra=("--reference", reference))
            count = frames(folder / "o.mp4") - frames(folder / "one.mp4")
            per_second = count / max(1e-6, whole["wall_s"] - begun["wall_s"])
            cpu = (whole["processor_s"] - begun["processor_s"]) / count * 1000
            rows.append(
                {
                    "size": size,
                    "reference": reference,
                    "fps": round(per_second, 1),
                    "clip_fps": rate,
                    "processor_ms_per_frame": round(cpu, 1),
                }
                | {"start_s": begun["wall_s"], **whole}
            )
            print(rows[-1], flush=True)
    return rows


def memory(folder: Path, minutes: float, every: int) -> list[dict[str, Any]]:
    rows = []
    for seconds in (10.0, minutes * 60):
        clip = repeated(folder / "clip.mp4", seconds, every)
        how = render(folder / "o.mp4", driving=clip, size="256x256", extra=("--no-watermark",))
        rows.append({"seconds": seconds, "frames": frames(folder / "o.mp4"), **how})
        print(rows[-1], flush=True)
    return rows


def table_of_films(folder: Path, clips: list[Path]) -> Path:
    lines = [f"{AVATAR},{clip},{folder / f'out{i}.mp4'},256x256" for i, clip in enumerate(clips)]
    (folder / "jobs.csv").write_text("avatar,driving,output,size\n" + "\n".join(lines) + "\n")
    return folder / "jobs.csv"


def cores(folder: Path) -> list[dict[str, Any]]:
    one_thread = {"OMP_NUM_THREADS": "1"}
    rows = [{"what": f"one video, {n} core{'s' * (n > 1)}", **render(folder / "o.mp4", cores=n)} for n in (1, 2)]
    clip = repeated(folder / "clip.mp4", 5.0)
    jobs = str(table_of_films(folder, [clip] * 6))
    for n in (1, 2):
        how = measured(["render", "--jobs", jobs, "--workers", str(n), "--quiet", "--overwrite"], cores=n, environment=one_thread)
        rows.append({"what": f"6 videos of 5 s, {n} worker{'s' * (n > 1)}", **how})
        print(rows[-1], flush=True)
    return rows


def ray(folder: Path) -> list[dict[str, Any]]:
    from ray.cluster_utils import Cluster

    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    os.environ["OMP_NUM_THREADS"] = "1"
    jobs = str(table_of_films(folder, [repeated(folder / "clip.mp4", 80.0)]))
    rows = []
    for nodes in (1, 2):
        store = 150 * 2**20
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": store})
        try:
            if nodes == 2:
                cluster.add_node(num_cpus=1, object_store_memory=store)
            cluster.wait_for_nodes()
            how = measured(
                ["render", "--jobs", jobs, "--on", "ray", "--quiet", "--overwrite"], environment={"RAY_ADDRESS": cluster.address}
            )
            rows.append({"what": f"80 s in chunks, {nodes} node{'s' * (nodes > 1)}", "frames": frames(folder / "out0.mp4"), **how})
            print(rows[-1], flush=True)
        finally:
            cluster.shutdown()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=("speed", "memory", "cores", "ray", []), default=["speed", "memory", "cores"])
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the long clip for `memory` (default: 10)")
    parser.add_argument("--every", type=int, default=1, help="for `memory` take each n-th frame, where time is short (default: 1)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    facts = describe_machine()
    print(
        f"{facts['processor']}, {facts['cores']} cores, {facts['system']}, Python {facts['python']}; load before: {facts['load']}",
        flush=True,
    )
    results: dict[str, Any] = {"machine": facts, "packages": package_versions()}
    path = options.out / "render.json"
    if path.exists():
        results = json.loads(path.read_text()) | results
    with tempfile.TemporaryDirectory(prefix="livepuppet-bench-") as temporary:
        folder = Path(temporary)
        for name in options.what:
            print(f"\n{name}", flush=True)
            measure = {"speed": speed, "cores": cores, "ray": ray}.get(name)
            results[name] = memory(folder, options.minutes, options.every) if measure is None else measure(folder)
            results["load_after"] = system_load()
            path.write_text(json.dumps(results, indent=1) + "\n")
            print("\n" + "\n".join(as_table(results[name])), flush=True)


def as_table(rows: list[dict[str, Any]]) -> list[str]:
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([str(row.get(name, "")) for name in head] for row in rows)]
    return ["| " + " | ".join(line) + " |" for line in lines]


if __name__ == "__main__":
    main()
