"""Tables of videos as spreadsheets write them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from media import shared_path
from rendering_fixtures import ADA, PERFORMANCE, frame_times, run_render

from livepuppet.errors import UsageError
from livepuppet.rendering.jobs_table import decimal_point, read_table

KNOWN = ("end", "size")
PLAIN = "avatar,driving,output,end\r\na.jpg,d.mp4,out/Müller.mp4,0.5\r\n"
ROW = {"avatar": "a.jpg", "driving": "d.mp4", "output": "out/Müller.mp4", "end": "0.5"}


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode(),
        PLAIN.encode("utf-8-sig"),
        PLAIN.encode("cp1252"),
        PLAIN.encode("utf-16"),
        PLAIN.encode("utf-16-le"),
        b"\xfe\xff" + PLAIN.encode("utf-16-be"),
        PLAIN.replace(",", ";").encode(),
        PLAIN.replace(",", "\t").encode("utf-16"),
        PLAIN.replace(",", ", ").encode(),
        PLAIN.replace(",", " , ").encode(),
        PLAIN.replace("\r\n", "\r").encode(),
        PLAIN.replace("avatar,driving", "Avatar,DRIVING ").encode(),
        ("sep=;\r\n" + PLAIN.replace(",", ";")).encode(),
        PLAIN.replace("\r\n", ",,\r\n").encode(),
        ("\r\n,,,\r\n" + PLAIN + ",,,\r\n\r\n").encode(),
        PLAIN.replace("a.jpg", '"a.jpg"').encode(),
        PLAIN.replace("a.jpg", "\u00a0a.jpg ").encode(),
    ],
)
def test_any_spreadsheet_s_table_is_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "jobs.csv").write_bytes(content)
    assert [row for _, row in read_table(tmp_path / "jobs.csv", KNOWN)] == [ROW]


def test_rows_have_the_numbers_that_a_spreadsheet_shows(tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_text('avatar,driving,output\n\na,b,"c\nd"\n,,\ne,f,g\n')
    assert [number for number, _ in read_table(tmp_path / "jobs.csv", KNOWN)] == [3, 5]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"PK\x03\x04rest", "save it as CSV UTF-8"),
        (b"\xd0\xcf\x11\xe0rest", "save it as CSV UTF-8"),
        (b"avatar,driving,output\n\x81,b,c\n", "save it as CSV UTF-8"),
        (b'avatar,driving,output\n"a,b,c\n', "cannot read the jobs file"),
        (b"avatar,driving,output,avatar\na,b,c,d\n", "the column avatar twice"),
        (b"avatar,driving,output,\na,b,c,d\n", "columns that mean nothing: one without a name"),
        (b"\n\n", "lacks the column avatar and driving and output"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "jobs.csv").write_bytes(content)
    with pytest.raises(UsageError, match=says) as refusal:
        read_table(tmp_path / "jobs.csv", KNOWN)
    assert "\n" not in str(refusal.value)


def test_decimal_commas() -> None:
    assert [decimal_point(cell) for cell in ("0,5", "-1,25", "best", "1.5", "1,2,3")] == ["0.5", "-1.25", "best", "1.5", "1,2,3"]


@pytest.mark.parametrize("name", ["comma", "excel_german", "excel_german_utf8", "spaces_after_commas"])
def test_tables_that_people_have(name: str) -> None:
    (number, row), *rest = read_table(shared_path(f"cases/csv/{name}.csv"), KNOWN)
    assert number == 2 and not rest and row["output"] == "out/Müller.mp4" and decimal_point(row["end"]) == "0.5"


@pytest.mark.slow
def test_bad_rows_fail_at_once_and_alone_and_are_named_at_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "there.mp4").write_bytes(b"somebody's")
    rows = [
        f"{ADA};{PERFORMANCE};good.mp4;0,2",
        f"nobody.jpg;{PERFORMANCE};a.mp4;0,2",
        f"{ADA};{PERFORMANCE};nowhere/b.mp4;0,2",
        f"{ADA};{PERFORMANCE};there.mp4;0,2",
    ]
    (tmp_path / "jobs.csv").write_bytes(("avatar;driving;output;end\r\n" + "\r\n".join(rows)).encode("cp1252"))
    assert run_render("--jobs", tmp_path / "jobs.csv", "--size", "64x64", "--workers", "1", "--reference", "first") == 1
    with (tmp_path / "jobs.summary.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["state"] for row in table] == ["done", "failed", "failed", "failed"]
    says = ["no such picture", "there is not a folder", "exists: choose another name"]
    assert all(part in row["reason"] for row, part in zip(table[1:], says, strict=True))
    said = capsys.readouterr().err
    assert "3 of 4 rows failed: row 3 (a.mp4), row 4 (nowhere/b.mp4), row 5 (there.mp4)" in said and "1 of 4 videos are there" in said
    assert (tmp_path / "there.mp4").read_bytes() == b"somebody's" and len(frame_times(tmp_path / "good.mp4")) == 6
    assert run_render("--jobs", tmp_path / "jobs.csv", "--size", "64x64", "--workers", "1", "--reference", "first", "--resume") == 1
    with (tmp_path / "jobs.summary.csv").open(newline="") as file:
        assert [row["state"] for row in csv.DictReader(file)] == ["there already", "failed", "failed", "failed"]


def test_a_file_that_is_no_summary_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "jobs.csv").write_text(f"avatar,driving,output\n{ADA},{PERFORMANCE},o.mp4\n")
    (tmp_path / "jobs.summary.csv").write_text("my own notes\n")
    assert run_render("--jobs", tmp_path / "jobs.csv") == 2
    assert "in the place of the summary" in capsys.readouterr().err
    assert (tmp_path / "jobs.summary.csv").read_text() == "my own notes\n"
