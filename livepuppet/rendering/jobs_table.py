"""Tables of videos to make, as spreadsheets of any country write them: separated by commas, semicolons or tabs, in UTF-8, UTF-16 or
Windows' own encoding, with spaces around names, empty rows and empty columns."""

from __future__ import annotations

import csv
import io
import logging
import re
import textwrap
from collections.abc import Collection
from pathlib import Path

from livepuppet.errors import UsageError

log = logging.getLogger(__name__)

REQUIRED = ("avatar", "driving", "output")
SEPARATORS = ",;\t|"
BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
SPREADSHEETS = ((b"PK\x03\x04", "a spreadsheet or another packed file"), (b"\xd0\xcf\x11\xe0", "an Excel file"), (b"%PDF", "a PDF"))
LARGEST_BYTES = 100 << 20
DECIMAL_COMMA = re.compile(r"-?\d+,\d+")
SAVE_AS = "save it as CSV UTF-8"


def read_table(path: Path, known: Collection[str]) -> list[tuple[int, dict[str, str]]]:
    """The rows of a table that are not empty: their number as a spreadsheet shows it, and their cells by column, without the empty ones.

    Args:
        known: columns that may be there besides avatar, driving and output.

    Raises:
        UsageError: in one line for a file that is no such table, lacks a column or has one that means nothing.
    """
    table = split_rows(path, read_table_text(path))
    if not table:
        raise UsageError(f"the jobs file {path} lacks the column {' and '.join(REQUIRED)}: it is empty", parameter="jobs")
    (_, head), *content = table
    columns = [cell.lower() for cell in head]
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise UsageError(
            f"the jobs file {path} lacks the column {' and '.join(missing)}: it needs {', '.join(REQUIRED[:-1])} and {REQUIRED[-1]}",
            parameter="jobs",
        )
    unknown = [
        name or f"one without a name (number {number + 1})"
        for number, name in enumerate(columns)
        if name not in REQUIRED and name not in known and (name or any(number < len(row) and row[number] for _, row in content))
    ]
    if unknown:
        names, strange = ", ".join(sorted(known)), textwrap.shorten(", ".join(unknown), 200)
        raise UsageError(
            f"the jobs file {path} has columns that mean nothing: {strange} (known: {names})",
            parameter="jobs",
        )
    twice = next((name for name in columns if name and columns.count(name) > 1), None)
    if twice:
        raise UsageError(f"the jobs file {path} has the column {twice} twice", parameter="jobs")
    if not content:
        raise UsageError(f"the jobs file {path} has no rows", parameter="jobs")
    return [(number, cells_by_name(columns, row)) for number, row in content]


def cells_by_name(columns: list[str], row: list[str]) -> dict[str, str]:
    """The row's cells that are not empty; what stands behind the last column has the name ''."""
    cells = {name: cell for name, cell in zip(columns, row, strict=False) if cell}
    beyond = [cell for cell in row[len(columns) :] if cell]
    return cells | ({"": beyond[0]} if beyond else {})


def decimal_point(cell: str) -> str:
    """'0,5' as '0.5': how half the world's spreadsheets write a number."""
    return cell.replace(",", ".") if DECIMAL_COMMA.fullmatch(cell) else cell


def read_table_text(path: Path) -> str:
    """The file's text, whatever a spreadsheet encoded it in.

    Raises:
        UsageError: it cannot be read, or is no text.
    """
    try:
        if path.is_file() and path.stat().st_size > LARGEST_BYTES:
            raise UsageError(f"{path} is too large for a table of videos", parameter="jobs")
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the jobs file {path}: {error.strerror or error}", parameter="jobs") from error
    for start, what in SPREADSHEETS:
        if data.startswith(start):
            raise UsageError(f"cannot read the jobs file {path}, which is {what}: {SAVE_AS}", parameter="jobs")
    try:
        encoding = encoding_of(data)
        if encoding == "cp1252":
            log.info("%s is not in UTF-8: read as Windows' western encoding; if names come out wrong, %s", path, SAVE_AS)
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UsageError(f"cannot read the jobs file {path}, in no encoding that spreadsheets use: {SAVE_AS}", parameter="jobs") from error
    if "\0" in text:
        raise UsageError(f"cannot read the jobs file {path}, which is no text: {SAVE_AS}", parameter="jobs")
    return text


def encoding_of(data: bytes) -> str:
    """By its mark, else by where its zeros are (the letters of column names in UTF-16), else by whether it is UTF-8."""
    for mark, encoding in BOMS:
        if data.startswith(mark):
            return encoding
    if data[1:2] == b"\0" or data[:1] == b"\0":
        return "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def split_rows(path: Path, text: str) -> list[tuple[int, list[str]]]:
    """The rows that are not empty, with their numbers; cells without the spaces around them.

    Raises:
        UsageError: quotes that are never closed.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
    hint = re.match(r"sep=(.)\n", text)  # Excel's own
    first = next((line for line in text.split("\n") if line.strip(SEPARATORS + " ")), "")
    separator = hint[1] if hint else max(SEPARATORS, key=first.count)
    try:
        rows = [
            (number, [cell.strip() for cell in row])
            for number, row in enumerate(csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True, strict=True), start=1)
            if any(cell.strip() for cell in row)
        ]
    except csv.Error as error:
        raise UsageError(f"cannot read the jobs file {path}: {error}", parameter="jobs") from error
    return rows[1:] if hint else rows
