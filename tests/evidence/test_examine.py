"""`livepuppet.examine` and `verify --evidence`, as a person uses them: evidence, never a verdict, and honest where it knows too little."""

from __future__ import annotations

import json
import re
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from media import write_numbered_video

import livepuppet
from livepuppet.cli import main
from livepuppet.evidence.footage import read_footage
from livepuppet.evidence.measurement import measure
from livepuppet.evidence.page import write_page
from livepuppet.evidence.report import TOO_LITTLE, EvidenceReport
from livepuppet.live.assembly import open_puppet
from livepuppet.sources.demo import PERFORMANCE
from livepuppet.types import Frame, Image
from livepuppet.video.reader import VideoReader
from livepuppet.video.writer import VideoWriter, h264
from livepuppet.vision.portrait import shipped_avatars

FRAMES = 100


@pytest.fixture(scope="module")
def performance() -> list[Image]:
    """Three seconds of talk."""
    video = VideoReader(PERFORMANCE)
    try:
        return [frame.image for frame in islice(video, 60, 60 + FRAMES)]
    finally:
        video.close()


def write(path: Path, images: list[Image]) -> Path:
    height, width = images[0].shape[:2]
    writer = VideoWriter(path, (width, height), format=h264(".mp4", "veryfast"), fps=30)
    for number, image in enumerate(images):
        writer.write(np.ascontiguousarray(image), number * 3000)
    writer.close()
    return path


@pytest.fixture(scope="module")
def recording(performance: list[Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("evidence") / "recording.mp4", performance)


@pytest.fixture(scope="module")
def report(recording: Path) -> EvidenceReport:
    return livepuppet.examine(recording)


def all_too_little(report: EvidenceReport) -> bool:
    return all(measured.value is None and measured.reason for _, measured, _ in report.rows()) and report.combined is None


@pytest.mark.slow
def test_a_puppet_shows_less_new_light_than_the_person_it_was_made_of(performance: list[Image], recording: Path, tmp_path: Path) -> None:
    with open_puppet(performance[0]) as puppet:
        moved = [puppet.animate(Frame(image, i, i / 30, i / 30)).image for i, image in enumerate(performance)]
    found = [measure(read_footage(path)).clues["new_pixels"].value for path in (recording, write(tmp_path / "puppet.mp4", moved))]
    assert found[0] is not None and found[1] is not None
    assert found[1] < 0.75 * found[0]


def test_each_test_has_value_range_rates_and_limit_and_provenance_comes_first(report: EvidenceReport) -> None:
    said = report.sentences()
    assert said[0] == report.provenance.sentences()[0]
    evidence = said[len(report.provenance.sentences()) :]
    tests = [sentence for sentence in evidence if "false alarms" in sentence]
    assert tests
    assert all("misses" in sentence and "nine of ten camera recordings" in sentence and "Cannot show" in sentence for sentence in tests)
    entry = report.as_json()["evidence"]["tests"]["new_pixels"]
    assert entry["value"] > 0 and entry["cannot_show"] and len(entry["usual_range"]) == 2
    json.dumps(report.as_json())


def test_nobody_is_called_genuine(report: EvidenceReport, tmp_path: Path) -> None:
    write_page(report, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text("utf-8")
    assert text.count("<img") == 2 and "Cannot show" in text
    for word in ("real", "authentic", "fake"):
        assert not re.search(
            rf"\b{word}\b", " ".join([*report.sentences()[len(report.provenance.sentences()) :], re.sub('base64,[^"]*', "", text)]), re.I
        )


def test_a_second_of_video_is_too_little(performance: list[Image], tmp_path: Path) -> None:
    report = livepuppet.examine(write(tmp_path / "second.mp4", performance[:30]))
    assert all_too_little(report)
    assert sum(TOO_LITTLE in sentence for sentence in report.sentences()) >= 2


def test_nobody_in_sight_is_too_little(tmp_path: Path) -> None:
    report = livepuppet.examine(write_numbered_video(tmp_path / "numbers.mp4"))
    assert all_too_little(report) and report.seconds is None
    write_page(report, tmp_path / "page.html")
    assert "no face" in (tmp_path / "page.html").read_text("utf-8")


def test_two_people_are_too_little(performance: list[Image], tmp_path: Path) -> None:
    two = [np.concatenate([image, image[:, ::-1]], 1) for image in performance[:70]]
    report = livepuppet.examine(write(tmp_path / "two.mp4", two))
    assert all_too_little(report)
    assert "more than one person" in " ".join(report.sentences())


def test_a_picture_is_too_little(tmp_path: Path) -> None:
    assert all_too_little(livepuppet.examine(shipped_avatars()[0]))


def test_from_the_command_line(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    assert main(["verify", str(recording), "--evidence", "--report", str(page), "--json"]) == 3
    assert json.loads(capsys.readouterr().out)[0]["evidence"]["tests"]
    assert page.is_file()
    assert main(["verify", str(recording), "--evidence", "--report", str(recording)]) == 2
    assert main(["verify", str(recording), "--report", str(page)]) == 2
    assert "--report" in capsys.readouterr().err
