"""Files that are whole or untouched, and downloads that are what was expected."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from pathlib import Path
from typing import IO

import pytest
from media import files_no_larger_than

from livepuppet.errors import RunError
from livepuppet.files import cache_folder, config_folder, data_folder, fetch, write_atomically

CONTENT = b"geometry" * 1000


def test_a_file_is_written_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        write_atomically(tmp_path / "note", lambda file, content=content: file.write(content))  # type: ignore[misc]
    assert (tmp_path / "note").read_bytes() == b"second" and os.listdir(tmp_path) == ["note"]


@pytest.mark.skipif(os.name != "posix", reason="no limit on file sizes, no permission bits here")
def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "note").write_bytes(b"before")
    with files_no_larger_than(100), pytest.raises(RunError, match="untouched"):
        write_atomically(tmp_path / "note", lambda file: file.write(CONTENT))
    assert (tmp_path / "note").read_bytes() == b"before" and os.listdir(tmp_path) == ["note"]


def test_a_failure_of_the_writer_leaves_what_was_there(tmp_path: Path) -> None:
    def stop(file: IO[bytes]) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    (tmp_path / "note").write_bytes(b"before")
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "note", stop)
    assert (tmp_path / "note").read_bytes() == b"before" and os.listdir(tmp_path) == ["note"]


def test_no_folder_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot write") as refusal:
        write_atomically(tmp_path / "nowhere" / "note", lambda file: file.write(b"x"))
    assert "\n" not in str(refusal.value)


def test_threads_may_write_the_same_file_at_once(tmp_path: Path) -> None:
    """All are inside their writing at the same time; each file is whole."""
    together, failures = threading.Barrier(4), []

    def write(number: int) -> None:
        def content(file: IO[bytes]) -> None:
            together.wait(30)
            file.write(bytes([number]) * 5000)
            file.flush()
            together.wait(30)

        try:
            write_atomically(tmp_path / "note", content)
        except RunError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = (tmp_path / "note").read_bytes()
    assert not failures and len(written) == 5000 and len(set(written)) == 1 and os.listdir(tmp_path) == ["note"]


@pytest.mark.skipif(os.name != "posix", reason="no permission bits here")
def test_a_private_file_is_never_readable_by_others(tmp_path: Path) -> None:
    modes = []

    def look(file: IO[bytes]) -> None:
        modes.append(stat.S_IMODE(os.fstat(file.fileno()).st_mode))

    before = os.umask(0)
    try:
        write_atomically(tmp_path / "key", look, private=True)
        write_atomically(tmp_path / "note", look)
    finally:
        os.umask(before)
    assert modes == [0o600, 0o666] and stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_a_download_is_kept_only_if_it_is_what_was_expected(tmp_path: Path) -> None:
    source, digest = tmp_path / "source", hashlib.sha256(CONTENT).hexdigest()
    source.write_bytes(CONTENT)
    folder = tmp_path / "cache"
    folder.mkdir()
    for wrong in ({"sha256": "0" * 64, "limit": 1 << 20}, {"sha256": digest, "limit": 100}):
        with pytest.raises(RunError):
            fetch(source.as_uri(), folder / "it", **wrong)  # type: ignore[arg-type]
    with pytest.raises(RunError, match="cannot fetch"):
        fetch((tmp_path / "absent").as_uri(), folder / "it", digest, limit=1 << 20)
    assert os.listdir(folder) == []
    fetch(source.as_uri(), folder / "it", digest, limit=1 << 20)
    assert (folder / "it").read_bytes() == CONTENT and os.listdir(folder) == ["it"]


def test_the_folders_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEPUPPET_CONFIG", str(tmp_path))
    assert config_folder() == tmp_path
    monkeypatch.delenv("LIVEPUPPET_CONFIG")
    assert all("livepuppet" in str(folder) for folder in (config_folder(), data_folder(), cache_folder()))
