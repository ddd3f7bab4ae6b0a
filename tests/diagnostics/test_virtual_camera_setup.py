"""The steps to a virtual camera, per distribution."""

from __future__ import annotations

from pathlib import Path

import pytest

from livepuppet.cli import main
from livepuppet.cli.virtual_camera import execute_plan
from livepuppet.diagnostics.virtual_camera_setup import OPTIONS, Plan, distribution_family, linux_plan, os_release
from livepuppet.errors import RunError

RELEASES = {
    "debian": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
    "ubuntu": "ID=ubuntu\nID_LIKE=debian\n",
    "tuxedo": '# like others\nID=tuxedo\nID_LIKE="ubuntu debian"\n',
    "fedora": "ID=fedora\n",
    "manjaro": "ID=manjaro\nID_LIKE=arch\n",
    "tumbleweed": 'ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"\n',
    "unknown": "ID=plan9\n",
}


@pytest.mark.parametrize(
    ("name", "family", "package"),
    [
        ("debian", "debian", "linux-headers-6.1.0-9-amd64"),
        ("ubuntu", "debian", "v4l2loopback-dkms"),
        ("tuxedo", "debian", "v4l2loopback-dkms"),
        ("fedora", "fedora", "rpmfusion"),
        ("manjaro", "arch", "pacman"),
        ("tumbleweed", "suse", "zypper"),
        ("unknown", "", "https://github.com/umlaeute/v4l2loopback"),
    ],
)
def test_each_distribution_gets_its_package_and_the_same_module_options(name: str, family: str, package: str) -> None:
    release = os_release(RELEASES[name])
    assert distribution_family(release) == family
    plan = linux_plan(release, "6.1.0-9-amd64")
    assert package in plan.text()
    assert plan.commands[-1] == f"sudo modprobe v4l2loopback {OPTIONS}"
    assert any("/etc/modprobe.d/" in command and OPTIONS in command for command in plan.commands)
    assert any("/etc/modules-load.d/" in command for command in plan.commands)
    assert "Secure Boot" not in plan.text()


def test_arch_headers_fit_the_kernel() -> None:
    assert "linux-lts-headers" in linux_plan({"ID": "arch"}, "6.6.30-1-lts").text()
    assert "linux-zen-headers" in linux_plan({"ID": "arch"}, "6.9.1-zen1-1-zen").text()


def test_secure_boot_is_mentioned_where_it_is_on() -> None:
    assert "mokutil" in linux_plan(os_release(RELEASES["debian"]), "6.1", secure_boot=True).text()


def test_where_no_module_can_be_loaded_nothing_is_to_be_run() -> None:
    for plan in (linux_plan({"ID": "ubuntu"}, "5.15-microsoft", shared_kernel=True), linux_plan({"ID": "nixos"}, "6.1")):
        assert plan.commands == ()
        assert len(plan.text()) > 100


def test_running_stops_at_the_first_step_that_fails(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done = tmp_path / "done"
    execute_plan(Plan("", commands=(f"touch {done}", "echo said")))
    assert done.exists() and "said" in capfd.readouterr().out
    never = tmp_path / "never"
    with pytest.raises(RunError, match=r"exit code 3.*Enroll it"):
        execute_plan(Plan("", commands=("exit 3 # modprobe", f"touch {never}"), note="Enroll it."))
    assert not never.exists()


def test_the_command_prints_the_steps(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["virtual-camera", "install"]) == 0
    printed = capsys.readouterr().out
    assert "v4l2loopback" in printed or "OBS" in printed or "kernel" in printed
