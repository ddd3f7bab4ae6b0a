"""Many videos: split and joined without a seam, on processes and on a Ray cluster, a bad row alone, a dead worker's work done again."""

from __future__ import annotations

import csv
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blob_engine import BlobEngine
from rendering_fixtures import ADA, PERFORMANCE, audio_hash, blob_job, frame_times, run_render, write_blob_video, write_opening

from livepuppet.errors import RunError, UsageError
from livepuppet.rendering import chunks
from livepuppet.rendering.batch import BatchRow, RenderBatch
from livepuppet.rendering.chunks import split_into_chunks
from livepuppet.rendering.executors import LocalExecutor, count_gpus, open_executor
from livepuppet.rendering.pipeline import RenderPipeline
from livepuppet.video.reader import VideoReader
from livepuppet.video.writer import VideoWriter, h264

PLACES = [0.5 + 0.15 * float(np.sin(i / 9)) for i in range(150)]


class InProcessExecutor:
    """Does the work here and at once; like workers elsewhere it may not see the files."""

    def __init__(self, shares_disk: bool = True, size: int = 4) -> None:
        self.size, self.shares_disk = size, shares_disk
        self.calls: list[str] = []

    def share(self, data: bytes) -> Any:
        return data

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        self.calls.append(arguments[0].__name__)
        task: Future[Any] = Future()
        try:
            task.set_result(function(*arguments))
        except Exception as error:
            task.set_exception(error)
        return task

    def close(self) -> None:
        """Nothing is left behind."""


@pytest.fixture
def blob_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "worker_engine", lambda name, device, model: BlobEngine())


def images(path: Path) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
    video = VideoReader(path)
    found = [p.image.astype(np.int64) for p in video]
    video.close()
    return found


def test_films_are_split_at_key_frames(tmp_path: Path) -> None:
    video = write_blob_video(tmp_path / "d.mp4", PLACES)  # a key frame each second
    keys = VideoReader(video).key_pts()
    assert len(keys) == 6
    spans = split_into_chunks(blob_job(tmp_path, video), 2.0)
    assert [s.first for s in spans] == [keys[0], keys[2], keys[4]] and [s.before for s in spans] == [keys[2], keys[4], None]
    assert [s.first for s in split_into_chunks(blob_job(tmp_path, video, start=1.0, end=4.0), 1.0)] == [keys[1], keys[2], keys[3]]
    assert split_into_chunks(blob_job(tmp_path, video), 60.0) == []
    assert split_into_chunks(blob_job(tmp_path, video, output=tmp_path / "o.gif"), 1.0) == []


@pytest.mark.parametrize("shares_disk", [True, False])
@pytest.mark.parametrize("choice", ["best", "first"])
@pytest.mark.parametrize("name", ["o.mp4", "o.webm"])
def test_joins_cannot_be_seen(tmp_path: Path, blob_workers: None, shares_disk: bool, choice: str, name: str) -> None:
    """A video with an absence across a join, in chunks and in one go: the same frames, times and sound."""
    places = [*PLACES[:40], *[-1.0] * 30, *PLACES[70:]]
    video = write_blob_video(tmp_path / "d.mp4", places, audio=True)
    whole = tmp_path / f"whole{Path(name).suffix}"
    from livepuppet.types import Tuning

    settings: dict[str, Any] = {"reference": choice, "tuning": Tuning(smoothing=1.0)}
    RenderPipeline(blob_job(tmp_path, video, output=whole, **settings), BlobEngine()).run()
    executor = InProcessExecutor(shares_disk)
    row = BatchRow(2, name, blob_job(tmp_path, video, output=tmp_path / name, **settings))
    assert RenderBatch([row], executor, chunk_s=1.0).run(), row.reason
    assert row.state == "done" and row.frames == 150 and row.lost == 30
    assert row.job is not None and executor.calls.count("render_chunk") == len(split_into_chunks(row.job, 1.0)) >= 4
    assert frame_times(tmp_path / name) == frame_times(whole)
    assert audio_hash(tmp_path / name) == audio_hash(whole)
    far = [float(np.abs(a - b).mean()) for a, b in zip(images(tmp_path / name), images(whole), strict=True)]
    assert max(far) < 2.0
    assert not [p for p in tmp_path.iterdir() if "chunk" in p.name or p.name.startswith(".") or "joining" in p.name]


def test_a_cut_at_a_join_begins_a_shot(tmp_path: Path, blob_workers: None) -> None:
    one = write_blob_video(tmp_path / "a.mp4", [0.3] * 50)
    job = blob_job(tmp_path, one, reference="best")
    spans = split_into_chunks(job, 1.0)
    worker_job = chunks.WorkerJob(job, None, None)
    found = [chunks.search_chunk(worker_job, chunk, None) for chunk in spans]
    assert [f.continues for f in found] == [False, True] and len(chunks.merge_searches(found)) == 1


def test_a_bad_row_fails_alone(tmp_path: Path, blob_workers: None) -> None:
    video = write_blob_video(tmp_path / "d.mp4", PLACES[:10])
    nobody = write_blob_video(tmp_path / "n.mp4", [-1.0] * 10)
    (tmp_path / "broken.mp4").write_text("no video")
    rows = [
        BatchRow(2, "a", blob_job(tmp_path, video, output=tmp_path / "a.mp4")),
        BatchRow(3, "b", blob_job(tmp_path, nobody, output=tmp_path / "b.mp4")),
        BatchRow(4, "c", blob_job(tmp_path, tmp_path / "broken.mp4", output=tmp_path / "c.mp4")),
        BatchRow(5, "d", None, reason="the row is wrong"),
        BatchRow(6, "e", blob_job(tmp_path, video, output=tmp_path / "nowhere" / "e.mp4")),
        BatchRow(7, "f", blob_job(tmp_path, video, output=tmp_path / "f.mp4")),
    ]
    assert not RenderBatch(rows, InProcessExecutor(), summary=tmp_path / "s.csv").run()
    with (tmp_path / "s.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [r["state"] for r in table] == ["done", "failed", "failed", "failed", "failed", "done"]
    assert [r["frames"] for r in table] == ["10", "0", "0", "0", "0", "10"]
    reasons = [r["reason"] for r in table]
    assert "no face found" in reasons[1] and "not a readable video" in reasons[2] and reasons[3] == "the row is wrong"
    assert "there is not a folder" in reasons[4] and reasons[5] == ""
    rows = [BatchRow(2, "a", blob_job(tmp_path, video, output=tmp_path / "a.mp4", resume=True))]
    executor = InProcessExecutor()
    assert RenderBatch(rows, executor).run() and rows[0].state == "there already" and not executor.calls


def test_stopping_leaves_a_summary(tmp_path: Path, blob_workers: None) -> None:
    video = write_blob_video(tmp_path / "d.mp4", PLACES[:10])
    stop = threading.Event()
    stop.set()
    rows = [BatchRow(2, "a", blob_job(tmp_path, video, output=tmp_path / "a.mp4"))]
    assert not RenderBatch(rows, InProcessExecutor(), summary=tmp_path / "s.csv", stop=stop).run()
    assert "stopped" in (tmp_path / "s.csv").read_text()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot read the jobs file"),
        (b"", "lacks the column avatar and driving and output"),
        (b"avatar,driving\n1,2\n", "lacks the column output"),
        (b"avatar,driving,output,colour\n1,2,3,4\n", "columns that mean nothing: colour"),
        (b"avatar,driving,output\n", "has no rows"),
        (b"\xff\xfe\x00", "cannot read the jobs file"),
    ],
)
def test_a_jobs_file_that_makes_no_sense(tmp_path: Path, content: bytes | None, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    if content is not None:
        (tmp_path / "jobs.csv").write_bytes(content)
    assert run_render("--jobs", tmp_path / "jobs.csv") == 2
    assert says in capsys.readouterr().err


def test_options_that_do_not_go_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_render("--jobs", tmp_path / "jobs.csv", "--avatar", ADA) == 2
    assert "belong in the columns" in capsys.readouterr().err
    assert run_render("--avatar", ADA, "--on", "ray") == 2
    assert "name one with --jobs" in capsys.readouterr().err
    assert run_render("--avatar", ADA) == 2
    assert "--driving and --output missing" in capsys.readouterr().err
    assert run_render("--avatar", ADA, "--driving", PERFORMANCE, "--output", ADA) == 2
    assert "would be lost" in capsys.readouterr().err


def test_rows_take_options_of_their_own(tmp_path: Path) -> None:
    from livepuppet.cli import build_parser
    from livepuppet.cli.render import read_rows

    (tmp_path / "jobs.csv").write_text(
        "avatar,driving,output,size,crf,compare,reference,label\n"
        "a.jpg,d.mp4,o1.mp4,,,,,\n"
        "a.jpg,/x/d.mp4,o2.mp4,128x64,20,yes,1.5,made up\n"
        "a.jpg,d.mp4,o3.mp4,big,,,,\n"
        "a.jpg,d.mp4,o4.mp4,,99,,,\n"
        "a.jpg,d.mp4,o5.mp4,,,maybe,,\n"
        "a.jpg,d.mp4,o1.mp4,,,,,\n"
        "a.jpg,,o6.mp4,,,,,\n"
        "a.jpg,d.mp4,o7.mp4,,,,,,too,many\n"
    )
    options = build_parser("render").parse_args(["--jobs", str(tmp_path / "jobs.csv"), "--crf", "10", "--gain", "0.5"])
    rows = read_rows(tmp_path / "jobs.csv", options)
    one, two = rows[0].job, rows[1].job
    assert one is not None and two is not None
    assert (one.avatar, one.driving, one.crf, one.compare, one.tuning.gain) == (tmp_path / "a.jpg", str(tmp_path / "d.mp4"), 10, False, 0.5)
    assert (two.driving, two.size, two.crf, two.compare, two.reference, two.label) == ("/x/d.mp4", (128, 64), 20, True, 1.5, "made up")
    says = ["not 'big'", "not 99", "yes or no", "output of an earlier row", "--driving missing", "more cells"]
    assert all(row.job is None and said in row.reason for row, said in zip(rows[2:], says, strict=True))


def square(x: int) -> int:
    return x * x


def fail(text: str) -> None:
    raise UsageError(text, parameter="face")


def die_once(mark: str) -> str:
    if not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
def test_local_workers(tmp_path: Path) -> None:
    executor = open_executor(None, size=2)
    assert isinstance(executor, LocalExecutor)
    assert [task.result(120) for task in [executor.submit(square, i) for i in range(6)]] == [i * i for i in range(6)]
    with pytest.raises(UsageError, match="so it is") as wrong:
        executor.submit(fail, "so it is").result(120)
    assert wrong.value.parameter == "face"
    again, beside = executor.submit(die_once, str(tmp_path / "mark")), executor.submit(square, 7)
    assert again.result(120) == "alive" and beside.result(120) == 49
    with pytest.raises(RunError, match="died"):
        executor.submit(die).result(120)
    executor.close()
    executor.close()


def gpu() -> str:
    return os.environ.get("CUDA_VISIBLE_DEVICES", "") + f" {os.getpid()}"


@pytest.mark.parametrize("given", ["4,5", "GPU-1a,GPU-2b"])
def test_workers_are_given_the_gpus_that_their_parent_was_given(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    executor = LocalExecutor(gpus=count_gpus())
    assert executor.size == 2
    seen = dict(reversed(task.result(120).split()) for task in [executor.submit(gpu) for _ in range(40)])
    executor.close()
    assert set(seen.values()) <= set(given.split(",")) and len(seen) <= 2
    assert len(seen) < 2 or set(seen.values()) == set(given.split(","))


def test_a_fault_of_ours_ends_its_row_only(tmp_path: Path, blob_workers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    video = write_blob_video(tmp_path / "d.mp4", PLACES[:10])
    real = chunks.render_whole

    def faulty(worker_job: chunks.WorkerJob) -> Any:
        if worker_job.job.output.name == "a.mp4":
            raise TypeError("unsupported operand")
        return real(worker_job)

    monkeypatch.setattr("livepuppet.rendering.batch.render_whole", faulty)
    rows = [BatchRow(n, name, blob_job(tmp_path, video, output=tmp_path / name)) for n, name in ((2, "a.mp4"), (3, "b.mp4"))]
    assert not RenderBatch(rows, InProcessExecutor(size=1)).run()
    assert [row.state for row in rows] == ["failed", "done"] and rows[0].reason == "TypeError: unsupported operand"


def test_gpus_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,2")
    assert count_gpus() == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert count_gpus() == 0


def write_jobs(folder: Path, rows: int, end: float) -> Path:
    write_opening(folder / "talk.mp4")
    lines = [f"{ADA},talk.mp4,out{i}.mp4,64x64,{end}" for i in range(rows)]
    lines.append(f"{ADA},nothing.mp4,bad.mp4,,")
    (folder / "jobs.csv").write_text("avatar,driving,output,size,end\n" + "\n".join(lines) + "\n")
    return folder / "jobs.csv"


@pytest.mark.slow
def test_the_command_with_local_workers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_render("--jobs", write_jobs(tmp_path, 3, 0.5), "--workers", "2") == 1
    with (tmp_path / "jobs.summary.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [r["state"] for r in table] == ["done", "done", "done", "failed"] and "no such video" in table[3]["reason"]
    assert all(len(frame_times(tmp_path / f"out{i}.mp4")) == 15 for i in range(3))
    assert "3 of 4 videos are there" in capsys.readouterr().err


def talk(path: Path, frames: int) -> Path:
    """The beginning of the performance, with a key frame each second."""
    video = VideoReader(PERFORMANCE)
    writer = VideoWriter(path, video.size, format=h264(".mp4", "veryfast"), fps=video.fps, time_base=video.time_base)
    for _, image in zip(range(frames), video, strict=False):
        writer.write(image.image, image.pts)
    writer.close()
    video.close()
    return path


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A real Ray cluster of two nodes (raylets) on this machine, one core each."""
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    from ray.cluster_utils import Cluster

    tests = str(Path(__file__).parents[1])
    root = str(Path(__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, tests, os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    memory = 150 * 2**20
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": memory})
    second = cluster.add_node(num_cpus=1, object_store_memory=memory)
    cluster.wait_for_nodes()
    yield cluster, second
    cluster.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_node_of_a_ray_cluster_dies_in_the_middle(tmp_path: Path, two_nodes: Any) -> None:
    """A video in chunks and a bad row on two nodes; one node is killed once the first chunks are there. Nothing is lost or doubled."""
    import ray

    from livepuppet.rendering.executors import RayExecutor
    from livepuppet.rendering.job import RenderJob

    cluster, second = two_nodes
    ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
    try:
        executor = RayExecutor("ray")
        assert executor.size == 2
        video = talk(tmp_path / "talk.mp4", 180)
        job = RenderJob(ADA, str(video), tmp_path / "o.mp4", size=(128, 128))
        rows = [BatchRow(2, "o.mp4", job), BatchRow(3, "bad.mp4", RenderJob(ADA, str(tmp_path / "nothing.mp4"), tmp_path / "bad.mp4"))]
        jobs = RenderBatch(rows, executor, summary=tmp_path / "s.csv", chunk_s=1.0)
        killed = threading.Event()

        def kill() -> None:
            while not list(tmp_path.glob(".o-*/chunk-*")):
                time.sleep(0.05)
            cluster.remove_node(second, allow_graceful=False)
            killed.set()

        killer = threading.Thread(target=kill, daemon=True)
        killer.start()
        assert not jobs.run()
        assert killed.is_set()
        killer.join()
    finally:
        ray.shutdown()
    assert rows[0].state == "done", rows[0].reason
    assert rows[0].frames == 180 and rows[1].state == "failed" and "nothing.mp4" in rows[1].reason
    assert frame_times(tmp_path / "o.mp4") == frame_times(tmp_path / "talk.mp4")
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]
