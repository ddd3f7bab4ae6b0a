"""The bundled typeface, and what is done for letters that it lacks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from livepuppet.errors import UsageError
from livepuppet.vision import fonts
from livepuppet.vision.fonts import BOLD, REGULAR, font_folders, font_for, has_letters, system_fonts, typeface

OWN_SIGNS = "… · \u00d7 \u2013 — “ ” ° → ← ↑ ↓ ✓ ● ■"


@pytest.mark.parametrize("path", [REGULAR, BOLD], ids=lambda path: path.name)
def test_the_typeface_has_what_livepuppet_writes(path: Path) -> None:
    assert has_letters(path, OWN_SIGNS + "Künstlich erzeugt, создано искусственно, τεχνητό, żółć 0123456789")


def test_other_alphabets_need_no_font_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "font_folders", list)
    for text in ("ստեղծված", "נוצר באופן מלאכותי", "تم إنشاؤه", "ხელოვნურად"):
        assert font_for(text) == REGULAR


def test_a_letter_that_the_typeface_lacks_is_looked_for_in_the_system_s_fonts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bold, which lacks Hebrew, stands in for a typeface that lacks a script; the system has a damaged font and one with that script."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "damaged.ttf").write_bytes(b"no font at all")
    good = tmp_path / "a" / "z.TTF"
    good.write_bytes(REGULAR.read_bytes())
    (tmp_path / "a" / "notes.txt").write_text("no font")
    monkeypatch.setattr(fonts, "REGULAR", BOLD)
    monkeypatch.setattr(fonts, "font_folders", lambda: [tmp_path / "nowhere", tmp_path])
    font_for.cache_clear()
    try:
        assert [path.name for path in system_fonts()] == ["damaged.ttf", "z.TTF"]
        assert not has_letters(BOLD, "שלום") and font_for("שלום") == good
        with pytest.raises(UsageError, match="no installed font can draw"):
            font_for("日本")
    finally:
        font_for.cache_clear()


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_every_system_has_its_folders(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", system)
    assert len(font_folders()) >= 2 and all(folder.is_absolute() or system == "win32" for folder in font_folders())


def test_bold_is_bolder_and_digits_have_one_width() -> None:
    assert typeface(20, bold=True).getlength("livepuppet") > typeface(20).getlength("livepuppet")
    assert len({typeface(20).getlength(digit) for digit in "0123456789"}) == 1


def test_text_is_drawn_where_there_is_no_matplotlib() -> None:
    program = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import numpy as np\n"
        "from livepuppet.provenance.label import draw_label\n"
        "from livepuppet.protection.sheet import comparison_sheet\n"
        "from livepuppet.sinks.virtual_camera.placeholder import starting_placeholder\n"
        "from livepuppet.sinks.window.sprite import written\n"
        "grey = np.full((128, 128, 3), 128, np.uint8)\n"
        "assert (draw_label(grey, 'artificial') != grey).any()\n"
        "assert written('keys', 16, (255, 255, 255)).colour.any() and starting_placeholder((320, 180)).std() > 1\n"
        "assert comparison_sheet([('before', [grey])]).shape[0] > 224\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])
