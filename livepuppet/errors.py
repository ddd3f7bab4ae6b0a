"""Every error livepuppet raises on purpose. Its text is one line for a person: what is wrong and what to do about it.

LivepuppetError
├── UsageError (ValueError)          the request itself cannot be met: a wrong option, a path that is no image    exit code 2
│   ├── PortraitError                the file is not a usable portrait
│   │   └── NoFaceError              a picture, but nobody in it
│   ├── OutputExistsError            a file would be overwritten, and nobody asked for that
│   └── MissingPartError             no engine, source or sink of that name, or its extra is not installed
└── RunError (RuntimeError)          it could be met, but something failed on the way                              exit code 1
    ├── SourceError                  the camera or the video stopped delivering
    ├── SinkError                    the window, virtual camera or file cannot be written
    ├── ModelError                   a model directory or checkpoint is missing, damaged or not what it says
    └── FrameError                   no picture can be computed for this one motion: show the one before
"""

from __future__ import annotations


class LivepuppetError(Exception):
    """The root: catch it to catch all that livepuppet raises on purpose.

    Attributes:
        parameter: name of the parameter or setting to change ("face", "size"), '' where it is none. The command line turns it into its
            option; the message itself names none, since it is read by Python's users too.
        exit_code: what the command line ends with.
    """

    exit_code = 1

    def __init__(self, message: str = "", *, parameter: str = "") -> None:
        super().__init__(message)
        self.parameter = parameter

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross from worker processes to the one who asked: the parameter goes with them."""
        return _rebuild, (type(self), str(self), self.parameter)


class UsageError(LivepuppetError, ValueError):
    """The request cannot be met as it stands; the person can correct it."""

    exit_code = 2


class OutputExistsError(UsageError):
    """A file that is there would be overwritten, and nobody has asked for that. Nothing was written."""


class PortraitError(UsageError):
    """The file given as a portrait cannot be used as one."""


class NoFaceError(PortraitError):
    """No face was found where one is needed."""


class MissingPartError(UsageError):
    """No engine, source or sink has that name, or the package it needs is not installed."""


class RunError(LivepuppetError, RuntimeError):
    """Something outside the program failed while it ran."""


class SourceError(RunError):
    """A camera or video cannot be opened or stopped delivering frames."""


class SinkError(RunError):
    """A window, virtual camera or file cannot be opened or written."""


class ModelError(RunError):
    """A model directory or checkpoint is missing, damaged, unsafe or not what it claims to be."""


class FrameError(RunError):
    """An engine cannot compute a picture for this one motion (a network gave NaN). The next motion may be fine."""


def _rebuild(kind: type[LivepuppetError], message: str, parameter: str) -> LivepuppetError:
    return kind(message, parameter=parameter)
