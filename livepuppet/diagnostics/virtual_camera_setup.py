"""How a virtual camera gets onto a machine: commands and notes per operating system and Linux distribution."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from pathlib import Path

OPTIONS = "exclusive_caps=1 card_label=livepuppet"
"""exclusive_caps: Chrome and Zoom list only devices that say they capture and nothing else."""
PACKAGES: dict[str, tuple[str, ...]] = {
    "debian": ("sudo apt-get install -y v4l2loopback-dkms linux-headers-{kernel}",),
    "fedora": (
        "sudo dnf install -y https://mirrors.rpmfusion.org/free/fedora/rpmfusion-free-release-$(rpm -E %fedora).noarch.rpm",
        "sudo dnf install -y akmod-v4l2loopback kernel-devel-{kernel}",
        "sudo akmods --force",
    ),
    "arch": ("sudo pacman -S --needed --noconfirm v4l2loopback-dkms {arch_headers}",),
    "suse": ("sudo zypper --non-interactive install v4l2loopback-kmp-default",),
}
FAMILIES = {
    "debian": ("debian", "ubuntu", "linuxmint", "pop", "raspbian", "elementary", "zorin", "kali", "neon"),
    "fedora": ("fedora", "nobara"),
    "arch": ("arch", "manjaro", "endeavouros", "cachyos", "garuda"),
    "suse": ("suse", "opensuse", "opensuse-tumbleweed", "opensuse-leap"),
}
SECURE_BOOT_VARIABLE = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
SECURE_BOOT = (
    "Secure Boot is on, so the kernel takes only signed modules: if the installation asks for a password, choose one, reboot, pick "
    "'Enroll MOK' in the blue screen and type it; if it does not ask: sudo mokutil --import /var/lib/dkms/mok.pub, then reboot."
)
NIXOS = """\
Add to /etc/nixos/configuration.nix and run `sudo nixos-rebuild switch`:
    boot.extraModulePackages = [ config.boot.kernelPackages.v4l2loopback ];
    boot.kernelModules = [ "v4l2loopback" ];
    boot.extraModprobeConfig = "options v4l2loopback exclusive_caps=1 card_label=livepuppet";"""
OTHER_LINUX = """\
This distribution is not known here. Install the kernel module v4l2loopback with its package manager, or from
https://github.com/umlaeute/v4l2loopback, then:"""
CONTAINER = """\
This Linux shares its kernel with another system (WSL or a container), so a kernel module cannot be loaded from inside it. Run
livepuppet on the host instead."""
WINDOWS = """\
1. Install OBS Studio:  winget install OBSProject.OBSStudio   (or from https://obsproject.com)
2. Start OBS once, press 'Start Virtual Camera', then 'Stop Virtual Camera', and close OBS.
3. livepuppet --output virtual, and choose 'OBS Virtual Camera' in your meeting. OBS need not run.
To have a camera beside the one of OBS, install Unity Capture (https://github.com/schellingb/UnityCapture) and use
--output virtual:unitycapture."""
MACOS = """\
Needs macOS 13 or later and OBS 30 or later.
1. Install OBS:  brew install --cask obs   (or from https://obsproject.com)
2. Start OBS once, press 'Start Virtual Camera', and allow its camera extension when asked:
   macOS 15: System Settings > General > Login Items & Extensions > Camera Extensions;
   macOS 13 and 14: System Settings > Privacy & Security. Restart the Mac if it asks for that.
3. Press 'Stop Virtual Camera' and quit OBS.
4. livepuppet --output virtual, and choose 'OBS Virtual Camera' in your meeting. The picture is 1280x720."""


@dataclass(frozen=True)
class Plan:
    """What to do.

    Attributes:
        commands: for a shell, empty where there is nothing to run.
        before, after: text around them.
        note: in case of trouble.
    """

    title: str
    before: str = ""
    commands: tuple[str, ...] = ()
    after: str = ""
    note: str = ""

    def text(self) -> str:
        parts = [self.title, self.before, "\n".join(f"    {command}" for command in self.commands), self.after, self.note]
        return "\n\n".join(part for part in parts if part)


def plan_for_this_machine() -> Plan:
    if sys.platform == "win32":
        return Plan("A virtual camera on Windows:", before=WINDOWS)
    if sys.platform == "darwin":
        return Plan("A virtual camera on macOS:", before=MACOS)
    return linux_plan(os_release(), platform.release(), shared_kernel=shares_kernel(), secure_boot=secure_boot())


def linux_plan(release: dict[str, str], kernel: str, *, shared_kernel: bool = False, secure_boot: bool = False) -> Plan:
    """The steps for the distribution that /etc/os-release describes."""
    name = release.get("PRETTY_NAME") or "this Linux"
    title = f"A virtual camera on {name}, kernel {kernel}:"
    if shared_kernel:
        return Plan(title, before=CONTAINER)
    distribution = release.get("ID", "")
    if distribution == "nixos":
        return Plan(title, before=NIXOS)
    family = distribution_family(release)
    packages = PACKAGES.get(family, ())
    headers = "linux-lts-headers" if "-lts" in kernel else "linux-zen-headers" if "-zen" in kernel else "linux-headers"
    commands = (
        *(line.format(kernel=kernel, arch_headers=headers) for line in packages),
        f"echo 'options v4l2loopback {OPTIONS}' | sudo tee /etc/modprobe.d/livepuppet.conf",
        "echo v4l2loopback | sudo tee /etc/modules-load.d/livepuppet.conf",
        "sudo modprobe -r v4l2loopback || true",
        f"sudo modprobe v4l2loopback {OPTIONS}",
    )
    after = (
        "The two files keep the camera there after a restart. To be rid of it: sudo modprobe -r v4l2loopback, and remove them.\n"
        "Then: livepuppet --output virtual, and choose 'livepuppet' as the camera in your meeting."
    )
    note = SECURE_BOOT if secure_boot else ""
    return Plan(title, before="" if packages else OTHER_LINUX, commands=commands, after=after, note=note)


def distribution_family(release: dict[str, str]) -> str:
    """debian, fedora, arch, suse, or '' for a distribution that is not known."""
    names = [release.get("ID", ""), *release.get("ID_LIKE", "").split()]
    return next((family for name in names for family, members in FAMILIES.items() if name in members), "")


def os_release(text: str | None = None) -> dict[str, str]:
    """The fields of /etc/os-release; empty where there is none."""
    if text is None:
        try:
            text = Path("/etc/os-release").read_text("utf-8")
        except OSError:
            return {}
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip().strip("\"'") for key, value in pairs}


def shares_kernel() -> bool:
    """Whether this is WSL or a container: a module of its own kernel cannot be loaded there."""
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return True
    try:
        return "microsoft" in Path("/proc/sys/kernel/osrelease").read_text().casefold()
    except OSError:
        return False


def secure_boot() -> bool:
    """Whether the firmware lets only signed code into the kernel; the variable's last byte says it (UEFI 2.x, 3.3)."""
    try:
        return (Path("/sys/firmware/efi/efivars") / SECURE_BOOT_VARIABLE).read_bytes()[-1:] == b"\1"
    except OSError:
        return False
