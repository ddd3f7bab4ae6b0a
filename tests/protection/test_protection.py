"""Protecting a photo stays within its limits, is measured honestly, and beats plain noise against the model it knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media import shared_path
from PIL import Image as PILImage

from livepuppet.cli import main
from livepuppet.engines.fomm import model_store as artifacts
from livepuppet.errors import NoFaceError
from livepuppet.protection.departure import Departure, measure_departure, ssim
from livepuppet.protection.landmarks import apply_change, mislead
from livepuppet.protection.report import AFTER_JPEG, PROTECTED, ProtectionReport, ReportLine
from livepuppet.protection.sheet import comparison_sheet
from livepuppet.types import Image
from livepuppet.vision.face_landmarks import find_faces
from livepuppet.vision.portrait import load_portrait, shipped_avatars
from livepuppet.vision.windows import bounding_box, cut_window, window_round

ADA = shipped_avatars()[0]


@pytest.fixture(scope="module")
def photo() -> Image:
    return load_portrait(ADA, 256)


def test_landmarks_move_a_little_within_the_limit(photo: Image) -> None:
    misled = mislead(photo, np.zeros(photo.shape, np.float32), strength=8, trials=40)
    assert misled.before == 0 and misled.after > 0.001
    assert 4 < np.abs(misled.change).max() <= 8
    assert np.abs(apply_change(photo, misled.change).astype(int) - photo).max() <= 8


def test_nobody_in_the_picture() -> None:
    with pytest.raises(NoFaceError, match="nothing to protect"):
        mislead(np.full((128, 128, 3), 90, np.uint8), np.zeros((128, 128, 3), np.float32), 4, 1)


def test_departure_tells_alike_shifted_and_destroyed(photo: Image) -> None:
    same = measure_departure([photo], [photo])
    assert same.l1 == 0 and same.ssim == pytest.approx(1) and same.akd < 1e-6 and same.lost == 0 and not same.disturbed
    moved = measure_departure([photo], [np.roll(photo, 12, axis=1)])
    width = np.ptp(find_faces(photo)[0][:, 0])
    assert moved.akd == pytest.approx(12 / width, rel=0.25) and moved.disturbed
    gone = measure_departure([photo], [np.full_like(photo, 60)])
    assert gone.lost == 1 and np.isnan(gone.akd) and gone.disturbed


def test_ssim_falls_with_noise(photo: Image) -> None:
    rng = np.random.default_rng(0)
    values = [ssim(photo, np.clip(photo + rng.normal(0, sigma, photo.shape), 0, 255).astype(np.uint8)) for sigma in (0.01, 4, 16, 64)]
    assert values == sorted(values, reverse=True) and values[0] > 0.99 and values[-1] < 0.4


def test_sheet_has_a_row_per_title(photo: Image) -> None:
    one, two = comparison_sheet([("first", [photo])]), comparison_sheet([("first", [photo]), ("second", [photo, photo])])
    assert two.shape[0] == 2 * one.shape[0] and two.shape[1] == 2 * one.shape[1]


@pytest.fixture(scope="module", params=["installed", "checkpoint"])
def victim(request: pytest.FixtureRequest) -> Any:
    torch = pytest.importorskip("torch")
    from livepuppet.protection.disturbance import InstalledTarget, NetworkTarget

    if request.param == "installed":
        pytest.importorskip("onnx")
        return InstalledTarget(artifacts.find_model("fomm-synth-256"), torch.device("cpu"))
    from livepuppet.engines.fomm.networks import checkpoint

    folder = shared_path("models/fomm-synth-256")
    configuration = checkpoint.load_configuration(folder / "fomm-synth-256.yaml")
    return NetworkTarget(checkpoint.load_checkpoint(folder / "fomm-synth-256.pth.tar", configuration=configuration), torch.device("cpu"))


@pytest.mark.slow
def test_attack_on_a_model_beats_noise_and_survives_another_crop(photo: Image, victim: Any) -> None:
    import torch

    from livepuppet.protection.disturbance import Attack

    window = window_round(*bounding_box(find_faces(photo)[0]), 1.9)
    driving = [cut_window(load_portrait(path, 256), window, 256) for path in shipped_avatars()[:2]]
    attack = Attack(victim, photo, window, driving, torch.device("cpu"))
    seen: list[float] = []
    change = attack.perturb(4, 6, progress=lambda step, value: seen.append(value))
    assert change.shape == photo.shape and np.abs(change).max() <= 4 + 1e-4
    assert len(seen) == 6 and max(seen[3:]) > 3 * seen[0]
    protected = apply_change(photo, change)
    noisy = apply_change(photo, np.random.default_rng(0).choice([-4.0, 4.0], photo.shape).astype(np.float32))
    plain, hit, missed = attack.animate(photo), attack.animate(protected), attack.animate(noisy)
    assert len(plain) == 2 and plain[0].shape == (256, 256, 3)
    assert np.abs(hit[1].astype(float) - plain[1]).mean() > 2 * np.abs(missed[1].astype(float) - plain[1]).mean()
    assert attack.keypoint_shift(protected) > 5 * attack.keypoint_shift(noisy)
    left, top, side = window
    closer = Attack(victim, photo, (left + 7, top - 5, side * 0.95), driving, torch.device("cpu"))
    assert closer.keypoint_shift(protected) > 3 * closer.keypoint_shift(noisy)


def test_gradients_run_through_the_installed_model_as_it_is(photo: Image) -> None:
    """PyTorch's replay of the graphs gives what ONNX Runtime gives, and its gradient is no rounding noise: a step along it pays."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    import onnxruntime

    from livepuppet.protection.replay import Replay

    directory = artifacts.find_model("fomm-synth-256")
    path = directory.file(directory.manifest.graphs["onnx"]["prepare"])
    replay = Replay(path, torch.device("cpu"))
    image = np.ascontiguousarray(photo[:256, :256])
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    expected = dict(zip((output.name for output in session.get_outputs()), session.run(None, {"portrait": image}), strict=True))
    portrait = torch.from_numpy(image).float().requires_grad_(True)
    found = replay.run(portrait=portrait)
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert np.abs(found[name].detach().numpy() - value).max() < 1e-3, name
    (slope,) = torch.autograd.grad(found["source_value"].sum(), portrait)
    with torch.no_grad():
        ahead = replay.run(portrait=portrait + 2 * slope.sign())["source_value"].sum()
        behind = replay.run(portrait=portrait - 2 * slope.sign())["source_value"].sum()
    assert behind + 0.05 < found["source_value"].sum() < ahead - 0.05


def test_report_says_in_words_what_the_figures_mean() -> None:
    alike, broken = Departure(3, 0.97, 0.004, 0), Departure(20, 0.6, 0.2, 0.1)
    unseen = Departure(90, 0.1, float("nan"), 1)
    lines = [
        *(ReportLine("first", version, alike) for version in (PROTECTED, AFTER_JPEG)),
        *(ReportLine("second", version, found) for version, found in ((PROTECTED, broken), (AFTER_JPEG, alike))),
        *(ReportLine("third", version, unseen) for version in (PROTECTED, AFTER_JPEG)),
    ]
    report = ProtectionReport(Path("in.jpg"), Path("out.png"), Path("out-report.png"), 4, 4, tuple(lines))
    first, second, third = report.verdicts()
    assert "NOT stopped" in first and "no longer after" in second and third == "third: disturbed, also after JPEG 80."
    assert all(sentence in report.text() for sentence in (first, second, third)) and "diffusion" in report.text()
    assert json.loads(json.dumps(report.as_json()))["departures"][4]["akd"] is None


@pytest.mark.slow
def test_command_reports_per_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    PILImage.fromarray(load_portrait(ADA, 300)).save(tmp_path / "photo.png")
    output = tmp_path / "out.png"
    code = main(["protect", str(tmp_path / "photo.png"), "--output", str(output), "--trials", "20", "--json", "--model", "none"])
    report = json.loads(capsys.readouterr().out)
    assert code == 0 and (tmp_path / "out-report.png").is_file()
    before, after = np.asarray(PILImage.open(tmp_path / "photo.png"), int), np.asarray(PILImage.open(output), int)
    assert before.shape == after.shape and 0 < np.abs(before - after).max() <= 4
    assert [entry["version"] for entry in report["departures"]][:2] == ["protected", "protected, JPEG 80"]
    assert report["verdicts"][0].startswith("landmark engine: NOT stopped") and "diffusion" in report["limits"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{photo}", "--output", "{photo}"], "is the photo itself"),
        (["{photo}", "--output", "{folder}/out.txt"], "ending in .png"),
        (["{photo}", "--output", "{folder}/absent/out.png"], "there is not a folder"),
        (["{folder}/absent.png", "--output", "{folder}/out.png"], "no such picture"),
        (["{photo}", "--output", "{folder}/out.png", "--checkpoint", "{folder}/absent.tar"], "no checkpoint at"),
    ],
)
def test_bad_requests_are_answered_in_a_line(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], photo: Image
) -> None:
    PILImage.fromarray(photo).save(tmp_path / "photo.png")
    words = [word.format(photo=tmp_path / "photo.png", folder=tmp_path) for word in arguments]
    assert main(["protect", *words]) in {1, 2}
    error = capsys.readouterr().err
    assert says in error and "Traceback" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]
