"""`livepuppet doctor`: what it finds here, and what it says about what it might find."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from livepuppet.cli import doctor, main
from livepuppet.diagnostics.checks import all_checks, missing_features
from livepuppet.diagnostics.finding import Check, Finding
from livepuppet.diagnostics.inference import PROBE

SECTIONS = ["versions", "cameras", "virtual camera", "display", "face model", "inference", "models", "speed"]


@pytest.mark.slow
def test_the_report_of_this_machine_has_every_section_and_the_exit_code_fits() -> None:
    done = subprocess.run([sys.executable, "-m", "livepuppet", "doctor", "--json"], capture_output=True, text=True, timeout=300)
    report = json.loads(done.stdout)
    findings = report["findings"]
    assert list(dict.fromkeys(finding["section"] for finding in findings)) == SECTIONS
    assert done.returncode == (0 if report["works"] else 1)
    assert not [finding for finding in findings if "check itself failed" in finding["text"]]
    face = next(finding for finding in findings if finding["section"] == "face model")
    assert face["state"] == "good" and face["faces"] == 1
    speed = next(finding for finding in findings if finding["section"] == "speed")
    assert speed["fps"] > 0 and "at 720p" in speed["text"]
    for finding in findings:
        assert finding["state"] in {"good", "note", "bad", "broken"}
        assert "\n" not in finding["text"] + finding["fix"]
        if finding["state"] == "bad" and finding["section"] != "cameras":
            assert finding["fix"], f"no way out is named: {finding}"


def test_every_section_has_a_check() -> None:
    assert list(all_checks()) == SECTIONS


def test_what_this_python_cannot_do_is_said_a_line_each() -> None:
    assert not list(missing_features(True))
    said = [finding.text for finding in missing_features(False)]
    assert len(said) == 3 and all(word in text for word, text in zip(("still background", "transparent", "small faces"), said, strict=True))


def given(*findings: Finding) -> dict[str, Check]:
    def check() -> Iterator[Finding]:
        yield from findings

    return {"cameras": check}


@pytest.mark.parametrize(
    ("states", "code", "said"),
    [
        (("good", "note"), 0, "livepuppet works here\n"),
        (("good", "bad"), 0, "1 thing could be better"),
        (("bad", "broken"), 1, "does not work here yet: what is found 1"),
    ],
)
def test_verdict_and_exit_code(
    states: tuple[str, ...], code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    findings = [Finding("cameras", state, f"what is found {number}", f"help {number}") for number, state in enumerate(states)]  # type: ignore[arg-type]
    monkeypatch.setattr(doctor, "all_checks", lambda: given(*findings))
    assert main(["doctor"]) == code
    printed = capsys.readouterr().out
    assert said in printed
    assert "-> help 0" in printed
    assert main(["doctor", "--json"]) == code
    assert [finding["text"] for finding in json.loads(capsys.readouterr().out)["findings"]] == [finding.text for finding in findings]


def test_a_check_that_dies_is_a_finding(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def cameras() -> Iterator[Finding]:
        raise KeyError("driver\nfell over")
        yield

    monkeypatch.setattr(doctor, "all_checks", lambda: {"cameras": cameras})
    assert main(["doctor"]) == 0
    assert "this check itself failed: KeyError" in capsys.readouterr().out


def test_the_probe_is_a_valid_model() -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(str(PROBE))
    onnx.checker.check_model(model)
    assert [node.op_type for node in model.graph.node] == ["Relu"]
