"""A camera on the network that pauses or drops: reached again, and recorded on the clock at the wall."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image as PILImage
from session_fixtures import Script, Shelf, clip, session_for

from livepuppet.errors import SourceError
from livepuppet.live.session import SILENCE_S, Limits
from livepuppet.sinks.recorder import RecordingClock
from livepuppet.sources.video import VideoSource
from livepuppet.types import Frame
from livepuppet.video import playback

HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"


@contextmanager
def network_camera(frames: int) -> Iterator[tuple[str, list[int]]]:
    """A phone's camera on loopback that hangs up after so many frames, and can be called again. Gives its address and the calls it had."""
    buffer = io.BytesIO()
    PILImage.fromarray(np.full((120, 160, 3), 90, np.uint8)).save(buffer, "JPEG")
    jpeg = buffer.getvalue()
    calls: list[int] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # closed: the camera is switched off
            with connection:
                connection.recv(4096)
                connection.sendall(HEAD)
                calls.append(0)
                for _ in range(frames):
                    connection.sendall(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg) + jpeg + b"\r\n")
                    calls[-1] += 1

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/video", calls
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_a_stream_that_drops_is_reached_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playback, "RETRY_S", 0.05)
    with network_camera(frames=40) as (address, calls):
        source = VideoSource(address, paced=True)
        frames = [source.read() for _ in range(100)]
        source.close()
    assert len(calls) >= 3
    assert all(frame is not None and frame.media_time is None for frame in frames)  # a camera has no place in a video
    assert [frame.index for frame in frames if frame] == list(range(100))
    assert source.trouble == "" and source.read() is None


def test_trouble_is_told_until_the_stream_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playback, "RETRY_S", 30.0)
    with network_camera(frames=40) as (address, _):
        source = VideoSource(address, paced=True)
    reader = threading.Thread(target=lambda: [source.read() for _ in range(60)])
    reader.start()
    reader.join(1.0)
    assert reader.is_alive() and "connecting again every 30 s" in source.trouble
    source.close()  # ends the wait
    reader.join(10.0)
    assert not reader.is_alive()


def test_an_address_where_nobody_answers_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(SourceError, match="cannot open"):
        VideoSource(f"http://127.0.0.1:{port}/video", paced=True)


def frame(captured: float, media: float | None = None) -> Frame:
    return Frame(np.zeros((2, 2, 3), np.uint8), 0, captured, media)


def test_resting_frames_are_recorded_on_the_clock_of_the_others() -> None:
    """The machine has been up for two hours; a video plays, stops for 2 s while the portrait rests, and goes on."""
    clock = RecordingClock()
    up = 7200.0
    playing = [clock(frame(up + i / 30, i / 30)) for i in range(30)]
    resting = [clock(frame(up + 1 + i / 30)) for i in range(60)]
    again = [clock(frame(up + 3 + i / 30, 1 + i / 30)) for i in range(30)]
    times = [*playing, *resting, *again]
    assert times[0] == 0 and times[-1] == pytest.approx(4 - 1 / 30, abs=1e-6)
    assert np.diff(times) == pytest.approx(1 / 30, abs=1e-6)


def test_a_film_that_is_drawn_slower_than_it_plays_keeps_its_own_time() -> None:
    clock = RecordingClock()
    times = [clock(frame(100 + i / 5, i / 30)) for i in range(30)]
    assert times == pytest.approx([i / 30 for i in range(30)])


def test_the_time_asked_for_ends_a_session_whose_source_is_silent() -> None:
    source = Script(clip(30), live=True, silent_after=30)
    shelf = Shelf()
    session = session_for(source, [shelf], limits=Limits(seconds=SILENCE_S + 0.8))
    watchdog = threading.Timer(20.0, session.end, ["hung"])
    watchdog.start()
    session.run()
    watchdog.cancel()
    assert session.reason.endswith("seconds are over")
    assert shelf.frames[-1].captured_at - shelf.frames[0].captured_at < SILENCE_S + 0.8


def test_a_film_on_the_network_ends(tmp_path: Path) -> None:
    """What has a length is no camera: at its end it is over."""
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("mpeg4", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for i in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), 20 * i, np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: %d\r\n\r\n" % len(data) + data)

        thread = threading.Thread(target=serve)
        thread.start()
        source = VideoSource(f"http://127.0.0.1:{listener.getsockname()[1]}/a.mp4", paced=True)
        frames = [source.read() for _ in range(10)]
        assert [f.media_time for f in frames if f] == pytest.approx([i / 25 for i in range(10)])
        with pytest.raises(SourceError, match="has ended"):
            source.read()
        source.close()
        thread.join()
