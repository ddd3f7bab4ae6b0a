"""A video's place: held by one process, an older video kept until the new one is whole, and nothing left behind unnamed."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from livepuppet.errors import SinkError, UsageError
from livepuppet.files import claim_path, free_name, neighbour, process_mark, sweep, unfinished_path
from livepuppet.video.image_sequence import ImageSequenceOutput
from livepuppet.video.output import VideoOutput

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
from livepuppet.video.output import VideoOutput
output = VideoOutput(Path({path!r}))
output.begin().write_bytes(b"half")
output.write_note({note!r})
print("held", flush=True)
time.sleep(600)
"""


def holder(path: Path, note: bytes = b"") -> subprocess.Popen[str]:
    """Another process that has begun a video."""
    program = HOLDER.format(root=str(ROOT), path=str(path), note=note)
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_a_video_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "o.mp4"
    path.write_bytes(b"older")
    with VideoOutput(path) as output:
        output.begin().write_bytes(b"newer")
        output.write_note(b"note")
        assert path.read_bytes() == b"older" and output.working == tmp_path / "o.unfinished.mp4"
        with pytest.raises(SinkError, match="has come to be there meanwhile"):
            output.commit()
        output.commit(overwrite=True)
    assert path.read_bytes() == b"newer" and os.listdir(tmp_path) == ["o.mp4"]


def test_where_nothing_was_made_nothing_is_left(tmp_path: Path) -> None:
    with VideoOutput(tmp_path / "o.mp4") as output:
        output.write_note(b"note")
    assert os.listdir(tmp_path) == []


def test_what_was_made_stays_with_its_note(tmp_path: Path) -> None:
    with VideoOutput(tmp_path / "o.mp4") as output:
        output.begin().write_bytes(b"half")
        output.write_note(b"note")
    assert sorted(os.listdir(tmp_path)) == ["o.mp4.unfinished", "o.unfinished.mp4"]
    with VideoOutput(tmp_path / "o.mp4") as again:
        assert again.left and again.note == b"note"
        place = again.resume()
        place.write_bytes(b"half and more")
        assert again.taken_over(place) == again.working and again.working.read_bytes() == b"half and more"


def test_a_second_one_is_refused_in_this_process_and_in_another(tmp_path: Path) -> None:
    path = tmp_path / "o.mp4"
    with VideoOutput(path), pytest.raises(UsageError, match="being written by another livepuppet") as refusal:
        VideoOutput(path)
    assert "\n" not in str(refusal.value) and refusal.value.exit_code == 2
    other = holder(path)
    try:
        with pytest.raises(UsageError, match="being written by another livepuppet"):
            VideoOutput(path)
        (tmp_path / "link.mp4").symlink_to(path)
        with pytest.raises(UsageError, match="being written by another livepuppet"):
            VideoOutput(tmp_path / "link.mp4")
    finally:
        kill(other)
    assert (tmp_path / "o.unfinished.mp4").read_bytes() == b"half"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "o.mp4"
    kill(holder(path, b"note"))
    with VideoOutput(path) as output:
        assert output.left and output.note == b"note"
        output.begin().write_bytes(b"anew")  # it can be made again, and is
        output.commit()
    assert os.listdir(tmp_path) == ["o.mp4"] and path.read_bytes() == b"anew"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
def test_a_recording_that_cannot_be_made_again_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "o.mp4"
    kill(holder(path))
    with caplog.at_level(logging.WARNING, "livepuppet"), VideoOutput(path) as output:
        output.begin().write_bytes(b"the next")
        output.commit()
    assert path.read_bytes() == b"the next" and (tmp_path / "o-interrupted.mp4").read_bytes() == b"half"
    assert "kept as" in caplog.text and sorted(os.listdir(tmp_path)) == ["o-interrupted.mp4", "o.mp4"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "o.mp4").symlink_to(tmp_path / "elsewhere" / "film.mp4")
    with VideoOutput(tmp_path / "o.mp4") as output:
        output.begin().write_bytes(b"whole")
        output.commit()
    assert (tmp_path / "o.mp4").is_symlink() and (tmp_path / "elsewhere" / "film.mp4").read_bytes() == b"whole"


@pytest.mark.skipif(os.name != "posix", reason="no permission bits here")
def test_a_new_video_may_be_read_by_whom_the_old_one_could(tmp_path: Path) -> None:
    path = tmp_path / "o.mp4"
    path.write_bytes(b"older")
    path.chmod(0o640)
    with VideoOutput(path) as output:
        output.begin().write_bytes(b"newer")
        output.commit(overwrite=True)
    assert path.stat().st_mode & 0o777 == 0o640


def test_numbered_pictures_take_their_places_together(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        (tmp_path / f"x_{number:03d}.png").write_bytes(b"older")
    pattern = tmp_path / "x_%03d.png"
    with ImageSequenceOutput(pattern) as output:
        place = output.begin()
        (place.parent / "x_001.png").write_bytes(b"newer")
        (place.parent / "timecodes.txt").write_text("times")
        assert (tmp_path / "x_001.png").read_bytes() == b"older"
        with pytest.raises(SinkError, match="meanwhile"):
            output.commit()
        output.commit(overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["timecodes.txt", "x_001.png"] and (tmp_path / "x_001.png").read_bytes() == b"newer"


def test_free_names_leave_alone_what_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "o.mp4"
    claim_path(path).touch()
    assert free_name(path).name == "o-2.mp4"
    unfinished_path(tmp_path / "o-2.mp4").touch()
    assert free_name(path).name == "o-3.mp4"


@pytest.mark.skipif(os.name != "posix", reason="whether a process runs is asked by signal 0")
def test_what_killed_processes_left_is_swept(tmp_path: Path) -> None:
    path = tmp_path / "stats.json"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    own = neighbour(path)
    left = own.with_name(own.name.replace(process_mark(), f"{process_mark().partition('-')[0]}-{ended.pid}"))
    elsewhere = own.with_name(own.name.replace(process_mark(), f"00000000-{ended.pid}"))
    for file in (own, left, elsewhere):
        file.write_bytes(b"half")
    sweep(path)
    assert own.exists() and elsewhere.exists() and not left.exists()
