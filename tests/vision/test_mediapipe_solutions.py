"""MediaPipe's graphs come without the plotting library, which stays usable."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from livepuppet.vision.mediapipe_solutions import solution

assert solution("face_mesh").FaceMesh.__module__ == "mediapipe.python.solutions.face_mesh"
assert "matplotlib.font_manager" not in sys.modules and "matplotlib.pyplot" not in sys.modules
assert solution("selfie_segmentation").SelfieSegmentation

plotting = solution("drawing_utils").plt
figure = plotting.figure
import matplotlib.pyplot
assert figure is matplotlib.pyplot.figure and type(matplotlib.pyplot) is type(sys)
assert not hasattr(plotting, "nonesuch")
"""


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="MediaPipe on Python 3.13 carries no graphs")
def test_a_graph_is_had_without_pyplot_and_pyplot_when_it_is_asked_for() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM], check=True, cwd=Path(__file__).parents[2])
