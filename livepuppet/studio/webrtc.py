"""A browser's camera as a WebRTC call: it goes on in a tab that nobody looks at, where browsers slow everything else down.

Optional: where aiortc is not installed or the call does not come about, the browser goes on sending JPEGs. No server in the internet is
asked for anything, and the call is bound to the page by the keys in its offer and answer, which travel over the page's own WebSocket.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from livepuppet.errors import UsageError

if TYPE_CHECKING:
    from aiortc import MediaStreamTrack, RTCPeerConnection

    from livepuppet.studio.page_camera import CallFrame

LONGEST_OFFER = 64 << 10

log = logging.getLogger("livepuppet.studio")


def calls_possible() -> bool:
    """Whether aiortc is installed."""
    from importlib.util import find_spec

    return find_spec("aiortc") is not None


class CameraCall:
    """One visitor's call. Close it.

    Args:
        take: given every frame, as it comes; False ends the call.
        seen: told of the first one.
    """

    def __init__(self, take: Callable[[CallFrame], bool], seen: Callable[[], None]) -> None:
        from aiortc import RTCConfiguration, RTCPeerConnection

        self._take, self._seen = take, seen
        self._peer: RTCPeerConnection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._receiving: asyncio.Task[None] | None = None
        self._peer.on("track", self._begin)

    async def answer(self, offer: object) -> str:
        """The answer to a browser's offer.

        Raises:
            UsageError: it is no offer.
        """
        from aiortc import RTCSessionDescription

        if not isinstance(offer, str) or len(offer) > LONGEST_OFFER or "m=video" not in offer:
            raise UsageError("this is no offer of a call", parameter="offer")
        try:
            await self._peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            await self._peer.setLocalDescription(await self._peer.createAnswer())
        except Exception as error:  # the parser raises whatever the text makes it stumble over
            raise UsageError(f"this is no offer of a call: {type(error).__name__}", parameter="offer") from error
        return str(self._peer.localDescription.sdp)

    async def close(self) -> None:
        """Hang up."""
        if self._receiving is not None:
            self._receiving.cancel()
            await asyncio.gather(self._receiving, return_exceptions=True)
        await self._peer.close()

    def _begin(self, track: MediaStreamTrack) -> None:
        if track.kind == "video" and self._receiving is None:
            self._receiving = asyncio.ensure_future(self._receive(track))

    async def _receive(self, track: MediaStreamTrack) -> None:
        """Take every frame as soon as it is there, so that none waits behind another."""
        from aiortc.mediastreams import MediaStreamError

        first = True
        try:
            while self._take(await track.recv()):  # type: ignore[arg-type]
                if first:
                    first = False
                    self._seen()
        except MediaStreamError:
            log.debug("the call has ended")
