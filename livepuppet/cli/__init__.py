"""The command line: finds the command, runs it, and turns every error into one line and an exit code.

Each command is one module of this package with `SUMMARY`, `add_arguments(parser)` and `run(options) -> exit code`, and if it likes `USAGE`
and `EPILOG`. Without a command's name the arguments are those of `live`: `livepuppet --avatar mona_lisa.jpg` moves the puppet.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import logging
import os
import sys
import textwrap
import traceback
from collections.abc import Iterator, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any, NoReturn

from livepuppet.cli.suggestions import invalid_choice, unknown_command, unknown_option
from livepuppet.errors import LivepuppetError
from livepuppet.version import __version__

COMMANDS = (
    *("live", "studio", "control", "cameras", "virtual-camera", "doctor"),
    *("render", "models", "bench", "verify", "protect", "about", "synth", "train"),
)
"""In the order `--help` shows them; module names, with '-' for '_'."""


PICTURE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".avif")
"""Files that are taken for portraits where somebody gives one without --avatar."""


def command(name: str) -> ModuleType:
    return import_module(f"livepuppet.cli.{name.replace('-', '_')}")


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal, at most 100 columns, option names apart from their text."""

    def __init__(self, prog: str) -> None:
        width = min(
            100,
            max(60, int(os.environ.get("COLUMNS", 0) or os.get_terminal_size().columns if sys.stdout.isatty() else 100)),
        )
        super().__init__(prog, max_help_position=30, width=width)


class CommandParser(argparse.ArgumentParser):
    """Says mistakes in one line. Its help may end with the list of the other commands; they are imported only when somebody reads it."""

    others = False

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """See argparse, which overloads it by the namespace's type."""
        options, extra = self.parse_known_args(args, namespace)
        if extra:
            self.error(unknown_option(extra, self._option_string_actions))
        return options

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"livepuppet: {invalid_choice(message)} ('{self.prog} --help' shows the options)\n")

    def format_help(self) -> str:
        page = super().format_help()
        if self.others:
            lines = [f"  {name:<16} {command(name).SUMMARY}" for name in COMMANDS if name != "live"]
            page += "\nother commands (livepuppet COMMAND --help):\n" + "\n".join(lines) + "\n"
        return page


def build_parser(name: str) -> argparse.ArgumentParser:
    """The parser of one command; that of `live` also carries --version and lists the other commands."""
    module = command(name)
    live = name == "live"
    parser = CommandParser(
        prog="livepuppet" if live else f"livepuppet {name}",
        usage=getattr(module, "USAGE", None),
        description=module.SUMMARY,
        epilog=getattr(module, "EPILOG", ""),
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.others = live
    module.add_arguments(parser)
    if live:
        parser.add_argument("--version", action="version", version=f"livepuppet {__version__}")
    parser.add_argument("--verbose", action="store_true", help="show how it decides, and whole tracebacks")
    return parser


class LineFormatter(logging.Formatter):
    """What the program says: plain lines; only warnings and errors are named as such."""

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        parameter = getattr(record, "parameter", "")
        hint = f" (choose with {option(parameter)})" if parameter else ""
        return f"livepuppet: {level}{record.getMessage()}{hint}"


def option(parameter: str) -> str:
    """'label_position' -> '--label-position'."""
    return "--" + parameter.replace("_", "-")


def in_words(error: LivepuppetError) -> str:
    """The error's one line, with the option to change where it names a parameter."""
    name = option(error.parameter)
    return f"{error} (see {name})" if error.parameter and name not in str(error) else str(error)


@contextlib.contextmanager
def log_to_stderr(verbose: bool, quiet: bool) -> Iterator[None]:
    """Send the package's log to stderr meanwhile, as lines for a person."""
    logger = logging.getLogger("livepuppet")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    handlers, propagate, level = logger.handlers[:], logger.propagate, logger.level
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
    try:
        yield
    finally:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 done, 1 failed on the way, 2 a request that cannot be met, 130 Ctrl-C."""
    os.environ.setdefault("OPENCV_VIDEOIO_MSMF_ENABLE_HW_TRANSFORMS", "0")  # Windows cameras take a minute to open otherwise
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        print(f"livepuppet: {unknown_command(words[0], COMMANDS, PICTURE_SUFFIXES)}", file=sys.stderr)
        return 2
    name = words.pop(0) if words and words[0] in COMMANDS else "live"
    options = build_parser(name).parse_args(words)
    with contextlib.suppress(OSError, ValueError, AttributeError):  # stderr may be no file (a test, an embedding program)
        faulthandler.enable()
    with log_to_stderr(options.verbose, getattr(options, "quiet", False)):
        return run_command(name, options)


def run_command(name: str, options: argparse.Namespace) -> int:
    try:
        return int(command(name).run(options))
    except LivepuppetError as error:
        if options.verbose:
            traceback.print_exc()
        print(f"livepuppet: {in_words(error)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("livepuppet: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 1
    except Exception as error:
        if options.verbose:
            raise
        if isinstance(error, OSError) and error.filename and error.strerror:  # a name that is too long, a folder that may not be read
            print(f"livepuppet: {textwrap.shorten(str(error.filename), 100)}: {error.strerror}", file=sys.stderr)
            return 1
        print(
            f"livepuppet: a fault in the program: {type(error).__name__}: {error} (please report it, with what --verbose shows)",
            file=sys.stderr,
        )
        return 1
