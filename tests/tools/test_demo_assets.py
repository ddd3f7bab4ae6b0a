"""`python -m tools.demo_assets`: the shipped pictures come out of the repository's own program."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from livepuppet.errors import UsageError
from livepuppet.synthetic.acting import Acting
from livepuppet.synthetic.head import Head
from livepuppet.types import Image
from tools.demo_assets import writing
from tools.demo_assets.__main__ import main
from tools.demo_assets.assets import FRAMES, NAMES, PERFORMANCE_NAME, Stage, actings, chosen, distinct, render_portrait

ASSETS = Path(__file__).parents[2] / "livepuppet" / "assets"


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Head:
    try:
        return Head.load(cache=tmp_path_factory.mktemp("geometry"))
    except UsageError as error:
        pytest.skip(str(error))


def picture(path: Path) -> Image:
    found = cv2.imread(str(path))
    assert found is not None
    return np.asarray(found[..., ::-1], np.uint8)


def decibels(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(10 * np.log10(255**2 / ((one.astype(float) - other) ** 2).mean()))


def test_everything_that_is_shipped_has_its_recipe() -> None:
    shipped = {path.stem for path in (ASSETS / "avatars").glob("*.jpg")}
    assert shipped | {PERFORMANCE_NAME} == set(NAMES) and len(shipped) == 10
    with av.open(str(ASSETS / "performance.mp4")) as film:
        assert sum(1 for _ in film.decode(video=0)) == FRAMES == len(actings())


def test_names_are_chosen_with_commas() -> None:
    assert chosen(None) == NAMES
    assert chosen("juno_toon, ada") == ("ada", "juno_toon")
    with pytest.raises(UsageError, match="nothing named 'mona' is shipped: choose from ada, bruno"):
        chosen("ada,mona")
    with pytest.raises(UsageError, match="--only names nothing"):
        chosen(" ,")


def test_a_still_face_is_drawn_once() -> None:
    runs = list(distinct(actings()))
    assert sum(length for _, length in runs) == FRAMES
    assert runs[0][1] >= 30 and runs[-1][1] > 1  # neutral for a second, and at rest at the end
    assert [length for _, length in distinct([Acting({}), Acting({}), Acting({"jawOpen": 1.0})])] == [2, 1]


@pytest.mark.slow
def test_a_moment_of_the_performance_is_the_shipped_one(head: Head) -> None:
    """While the head is turned and the mouth speaks: nearer to its own frame than to the neutral one, by far."""
    number = 200
    with av.open(str(ASSETS / "performance.mp4")) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame, _ in zip(film.decode(video=0), range(number + 1), strict=False)]
    made = Stage(head).frame(actings()[number])
    assert made.shape == (480, 640, 3)
    assert decibels(made, frames[number]) > 30 > 26 > decibels(made, frames[0])


@pytest.mark.slow
def test_a_shipped_portrait_is_made_again(head: Head) -> None:
    """At full size, but for JPEG (44 dB here) and for single hairs where another processor rounds otherwise; other people: 9 dB."""
    made = render_portrait(head, "chidi")
    assert decibels(made, picture(ASSETS / "avatars" / "chidi.jpg")) > 30
    assert decibels(made, picture(ASSETS / "avatars" / "farid.jpg")) < 20


@pytest.mark.slow
@pytest.mark.usefixtures("head")
def test_the_command_paints_a_portrait_and_goes_on_where_it_stopped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(tmp_path / "demo"), "--size", "256", "--only", "chidi,juno_toon"]
    assert main(arguments) == 0
    assert "2 of 2 files, 2 frames" in capsys.readouterr().out
    for name, other in (("chidi", "elin"), ("juno_toon", "ada_oil")):
        made = picture(tmp_path / "demo" / "avatars" / f"{name}.jpg")
        own, strange = (
            cv2.resize(picture(ASSETS / "avatars" / f"{who}.jpg"), (256, 256), interpolation=cv2.INTER_AREA).astype(np.uint8)
            for who in (name, other)
        )
        assert decibels(made, own) > 20 and decibels(made, own) > decibels(made, strange) + 8
    (tmp_path / "demo" / "avatars" / "juno_toon.jpg").unlink()
    assert main(arguments) == 0
    assert "1 of 2 files, 1 frames" in capsys.readouterr().out
    assert main(arguments) == 0
    assert "nothing to do: all 2 are in" in capsys.readouterr().out


@pytest.mark.usefixtures("head")
def test_the_film_holds_every_frame_however_few_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four moments in place of 300, drawn as flat pictures: what is asked here is how they become a video."""
    script = [Acting({}), Acting({}), Acting({"jawOpen": 0.6}), Acting({})]
    monkeypatch.setattr(writing, "actings", lambda: script)
    drawn: list[Acting] = []

    def quick(acting: Acting) -> Image:
        drawn.append(acting)
        return np.full((48, 64, 3), 40 + round(300 * acting.expression.get("jawOpen", 0.0)), np.uint8)

    monkeypatch.setattr(writing, "make_frame", quick)
    assert writing.write_demo(tmp_path, (PERFORMANCE_NAME,)) == (1, 4)
    assert len(drawn) == 3
    with av.open(str(tmp_path / "performance.mp4")) as film:
        levels = [float(frame.to_ndarray(format="rgb24").mean()) for frame in film.decode(video=0)]
    assert levels == pytest.approx([40, 40, 220, 40], abs=4)
    assert writing.write_demo(tmp_path, (PERFORMANCE_NAME,)) == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "nobody"], "nothing named 'nobody' is shipped"),
        (["--size", "100"], "--size must be a multiple of 16"),
        (["--workers", "0"], "--workers must be at least 1"),
    ],
)
def test_bad_requests_are_one_clear_line(arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "demo"), *arguments]) == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / "demo").exists()
