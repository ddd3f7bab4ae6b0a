"""A browser's camera as a call: real WebRTC on both ends, and what is no offer."""

from __future__ import annotations

import asyncio
import fractions
import json

import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from av import VideoFrame
from blob_engine import driver
from studio_fixtures import RunningStudio, until
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from livepuppet.errors import UsageError
from livepuppet.studio.page_camera import CameraSeat, PageCamera, convert_call_frame
from livepuppet.studio.webrtc import LONGEST_OFFER, CameraCall


class BlobTrack(VideoStreamTrack):
    """A camera that sees the blob."""

    async def recv(self) -> VideoFrame:
        pts, base = await self.next_timestamp()
        frame = VideoFrame.from_ndarray(driver(0.5, side=128), format="rgb24")
        frame.pts, frame.time_base = pts, fractions.Fraction(base)
        return frame


async def offer_of(peer: RTCPeerConnection) -> str:
    peer.addTrack(BlobTrack())
    await peer.setLocalDescription(await peer.createOffer())
    return str(peer.localDescription.sdp)


def test_a_call_drives_the_session_and_ends_with_the_visitor(studio: RunningStudio) -> None:
    async def visit() -> None:
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        address = f"ws://{studio.host}/api/camera"
        async with connect(address, additional_headers=studio.bearer, compression=None, proxy=None) as socket:
            assert json.loads(await socket.recv()) == {"seat": "yours", "call": True}
            await socket.send(json.dumps({"offer": await offer_of(peer)}))
            answer = json.loads(await socket.recv())["answer"]
            assert "stun" not in answer
            await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
            assert json.loads(await asyncio.wait_for(socket.recv(), 60)) == {"call": "seen"}
            await asyncio.to_thread(until, lambda: studio.session.state.face and studio.seat.way == "WebRTC", 60)
        await peer.close()

    asyncio.run(visit())
    until(lambda: not studio.seat.taken)
    until(lambda: "waiting for a browser" in studio.session.state.trouble)


@pytest.mark.parametrize("offer", [None, 5, "", "hello", "v=0\r\n", "v=0\r\nm=video 9 x 1\r\n", "x" * (LONGEST_OFFER + 1)], ids=range(7))
def test_what_is_no_offer_is_refused_in_one_line(offer: object) -> None:
    async def refused() -> None:
        call = CameraCall(lambda frame: True, lambda: None)
        try:
            with pytest.raises(UsageError) as refusal:
                await call.answer(offer)
            assert "\n" not in str(refusal.value)
        finally:
            await call.close()

    asyncio.run(refused())


def test_a_false_offer_frees_the_seat(studio: RunningStudio) -> None:
    with studio.socket("/api/camera") as socket:
        socket.recv(20)
        socket.send('{"offer": "hello"}')
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(20)
        assert closed.value.rcvd is not None and "no offer" in closed.value.rcvd.reason
    until(lambda: not studio.seat.taken)


def test_a_frame_of_a_call_is_converted_only_when_it_is_taken() -> None:
    frame = VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), format="rgb24")
    seat = CameraSeat()
    assert seat.sit("visitor") and seat.offer("visitor", frame) and not seat.offer("another", frame)
    read = PageCamera(seat).read()
    assert read is not None and read.image.shape == (48, 64, 3) and read.image[0, 0, 0] == 90
    assert convert_call_frame(VideoFrame(2000, 16, "rgb24")) is None
