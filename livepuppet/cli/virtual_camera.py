"""`livepuppet virtual-camera install`: the steps that give this machine a virtual camera."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from livepuppet.devices import list_virtual_cameras
from livepuppet.diagnostics.virtual_camera_setup import Plan, plan_for_this_machine
from livepuppet.errors import RunError, UsageError

SUMMARY = "Set up the virtual camera that meeting programs show."
EPILOG = """
examples:
  livepuppet virtual-camera install          the steps for this machine, to read and copy
  livepuppet virtual-camera install --yes    ... and run them (Linux; asks for your password through sudo)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("install",), help="print the steps")
    parser.add_argument("--yes", action="store_true", help="run them (Linux)")


def run(options: argparse.Namespace) -> int:
    plan = plan_for_this_machine()
    print(plan.text())
    present = [device for device in list_virtual_cameras() if "livepuppet" in device.name] if sys.platform == "linux" else []
    if present and not options.yes:
        print(f"\nThis machine already has one: {present[0].path}. Use it: livepuppet --output virtual")
    if options.yes:
        if not plan.commands:
            raise UsageError("these steps are done by hand: nothing was run")
        execute_plan(plan)
        print("\nDone. Use it: livepuppet --output virtual, and choose 'livepuppet' as the camera in your meeting.")
    return 0


def execute_plan(plan: Plan) -> None:
    """Run the commands one by one, showing each.

    Raises:
        RunError: at the first that fails, with what that usually means.
    """
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    for command in plan.commands:
        line = command.replace("sudo ", "") if root else command
        print(f"\n$ {line}", flush=True)
        done = subprocess.run(["/bin/sh", "-c", line], check=False)
        if done.returncode:
            hint = f" {plan.note}" if plan.note and "modprobe" in command else ""
            raise RunError(f"this step failed (exit code {done.returncode}): {line}.{hint}")
