"""A program that shows a PipeWire camera, run by test_pipewire.py with the system's Python (for GStreamer): prints what it sees.

One line per picture: the number in its top left blocks, how old it is in milliseconds, and the colour in its middle.
"""

import sys
import time

import gi  # type: ignore[import-not-found]

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
from gi.repository import Gst, GstApp  # type: ignore[import-not-found]  # noqa: E402, F401

Gst.init(None)
pipeline = Gst.parse_launch(
    "pipewiresrc target-object=livepuppet always-copy=true ! videoconvert ! video/x-raw,format=RGB "
    "! appsink name=sink max-buffers=60 drop=false sync=false"
)
sink = pipeline.get_by_name("sink")
pipeline.set_state(Gst.State.PLAYING)
until = time.monotonic() + float(sys.argv[1])
while time.monotonic() < until:
    sample = sink.try_pull_sample(200 * Gst.MSECOND)
    if sample is None:
        continue
    now = int(time.monotonic() * 1000)
    shape = sample.get_caps().get_structure(0)
    wide, high = shape.get_value("width"), shape.get_value("height")
    stride = (3 * wide + 3) // 4 * 4
    _, memory = sample.get_buffer().map(Gst.MapFlags.READ)
    number = sum((memory.data[8 * stride + 3 * (16 * place + 8)] > 128) << place for place in range(10))
    written = sum((memory.data[24 * stride + 3 * (16 * place + 8)] > 128) << place for place in range(20))
    middle = high // 2 * stride + wide // 2 * 3
    print(number, (now - written) & 0xFFFFF, *memory.data[middle : middle + 3], wide, high, flush=True)
    sample.get_buffer().unmap(memory)
pipeline.set_state(Gst.State.NULL)
