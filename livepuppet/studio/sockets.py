"""The WebSockets: events and commands, the moving picture, and a browser's camera. Nothing is queued: whoever receives asks for more."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from starlette.websockets import WebSocketState

from livepuppet.errors import LivepuppetError, UsageError
from livepuppet.live.control_state import ControlState
from livepuppet.studio.context import StudioContext
from livepuppet.studio.page_camera import PAGE_CAMERA
from livepuppet.studio.webrtc import CameraCall, calls_possible

LOOK_S = 0.05
"""How often the state is looked at for news."""
FIGURES_S = 0.5
MOST_VISITORS = 24
"""WebSockets at once, of all kinds."""
MOST_AHEAD = 3
"""Frames on their way that a viewer may ask for."""
CROWDED, TAKEN, ENDED = 4029, 4009, 4000
"""Why a WebSocket was closed."""
CLOSING_S = 1.0
CHOOSING = 400
"""Looks at the state that a browser's camera may take until it is the session's."""


class FrameSignal:
    """Wakes one viewer when there is a newer frame. A context manager."""

    def __init__(self, context: StudioContext) -> None:
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._new = asyncio.Event()
        self._new.set()

    def __enter__(self) -> FrameSignal:
        self._context.picture.listen(self._wake)
        return self

    def __exit__(self, *reason: object) -> None:
        self._context.picture.unlisten(self._wake)

    async def wait(self) -> bool:
        """Until there is a frame that was not there at the last call; False once the session has ended."""
        while not self._context.session.state.ended:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._new.wait(), 0.25)
                self._new.clear()
                return True
        return False

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the server's loop is closed: nobody looks any longer
            self._loop.call_soon_threadsafe(self._new.set)


class Credit:
    """How many frames a viewer has asked for and not been sent."""

    def __init__(self) -> None:
        self._count = 0
        self._given = asyncio.Event()

    def give(self) -> None:
        self._count = min(MOST_AHEAD, self._count + 1)
        self._given.set()

    async def take(self) -> None:
        """Wait until one is asked for."""
        while not self._count:
            self._given.clear()
            await self._given.wait()
        self._count -= 1


class Visitors:
    """Counts the open WebSockets, and turns away those above the limit."""

    def __init__(self) -> None:
        self._count = 0

    @contextlib.asynccontextmanager
    async def received(self, socket: WebSocket) -> AsyncIterator[bool]:
        """Accept a visitor for the block; False where there are too many."""
        await socket.accept()
        if self._count >= MOST_VISITORS:
            await close(socket, CROWDED, "too many pages are open: close one")
            yield False
            return
        self._count += 1
        try:
            yield True
        except WebSocketDisconnect:
            return
        except RuntimeError:  # what Starlette says where it noticed before us that the visitor has left
            if socket.application_state is not WebSocketState.DISCONNECTED and socket.client_state is not WebSocketState.DISCONNECTED:
                raise
        finally:
            self._count -= 1


async def close(socket: WebSocket, code: int, reason: str) -> None:
    """Say why, and go; somebody who has left already does not hear it."""
    with contextlib.suppress(WebSocketDisconnect, RuntimeError, asyncio.TimeoutError):
        await asyncio.wait_for(socket.close(code, reason[:120]), CLOSING_S)


def add_sockets(app: FastAPI, context: StudioContext) -> None:
    visitors = Visitors()

    @app.websocket("/api/events")
    async def events(socket: WebSocket) -> None:
        async with visitors.received(socket) as welcome:
            if welcome:
                await both(tell_news(socket, context), hear_commands(socket, context))
                await close(socket, ENDED, context.session.state.ended)

    @app.websocket("/api/picture")
    async def picture(socket: WebSocket) -> None:
        async with visitors.received(socket) as welcome:
            if welcome:
                credit = Credit()
                await both(send_frames(socket, context, credit), hear_credit(socket, credit))
                await close(socket, ENDED, context.session.state.ended)

    @app.websocket("/api/camera")
    async def camera(socket: WebSocket) -> None:
        async with visitors.received(socket) as welcome:
            if not welcome:
                return
            if not context.seat.sit(socket):
                return await close(socket, TAKEN, "another browser's camera is in use")
            try:
                await both(receive_camera(socket, context), while_chosen(context))
                reason = context.session.state.ended or "another camera was chosen"
            except LivepuppetError as error:
                reason = str(error)
            finally:
                context.seat.leave(socket)
            await close(socket, ENDED, reason)


async def both(*sides: Any) -> None:
    """Run them until the first one ends; what it raises is raised."""
    tasks = [asyncio.ensure_future(side) for side in sides]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def heard(socket: WebSocket) -> str | bytes:
    """The next message, of either kind."""
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1005), message.get("reason", ""))
    text: str | bytes | None = message.get("text")
    return text if text is not None else message.get("bytes") or b""


# Events


async def tell_news(socket: WebSocket, context: StudioContext) -> None:
    """The whole state at first and whenever it changes, the figures at a steady pace, until the session has ended."""
    told: dict[str, Any] = {}
    figures_at = 0.0
    loop = asyncio.get_running_loop()
    while True:
        state = context.state()
        if state != told:
            told = state
            await socket.send_json({"type": "state", "state": state})
        if state["ended"]:
            return
        if loop.time() >= figures_at:
            figures_at = loop.time() + FIGURES_S
            await socket.send_json({"type": "figures", "figures": context.figures()})
        await asyncio.sleep(LOOK_S)


async def hear_commands(socket: WebSocket, context: StudioContext) -> None:
    """{"set": {"gain": 1.2}}, {"step": {"avatar": 1}}, {"press": "reference"}; each is answered, with the `id` that it carried."""
    while True:
        text = await heard(socket)
        number: object = None
        try:
            command = json.loads(text)
            number = command.get("id") if isinstance(command, dict) else None
            lines = [await asyncio.wrap_future(context.session.controls.submit(call)) for call in calls_of(command)]
        except LivepuppetError as error:
            await socket.send_json({"type": "error", "id": number, "error": str(error), "parameter": error.parameter})
        except (ValueError, RecursionError):
            await socket.send_json({"type": "error", "id": number, "error": "this is not JSON", "parameter": ""})
        else:
            await socket.send_json({"type": "done", "id": number, "lines": [line for line in lines if line]})


def calls_of(command: object) -> list[Callable[[ControlState], str]]:
    """What a command asks for, one call each.

    Raises:
        UsageError: it is no command.
    """
    if not isinstance(command, dict) or not {"set", "step", "press"} & set(command):
        raise UsageError('a command is {"set": {NAME: VALUE}}, {"step": {NAME: STEPS}} or {"press": NAME}')
    calls: list[Callable[[ControlState], str]] = []
    values, steps, action = command.get("set", {}), command.get("step", {}), command.get("press")
    if not isinstance(values, dict) or not isinstance(steps, dict) or len(values) + len(steps) > 50:
        raise UsageError("set and step take an object of names and values")
    if action is not None and not isinstance(action, str):
        raise UsageError("press takes the name of an action")
    for name, value in values.items():
        calls.append(lambda desk, name=name, value=value: desk.set(name, value))  # type: ignore[misc]
    for name, by in steps.items():
        if not isinstance(by, int) or isinstance(by, bool) or abs(by) > 1000:
            raise UsageError(f"{name} is moved by a whole number of steps, not {by!r}", parameter=name)
        calls.append(lambda desk, name=name, by=by: desk.step(name, by))  # type: ignore[misc]
    if action is not None:
        calls.append(lambda desk, action=action: desk.press(action))  # type: ignore[misc]
    return calls


# The moving picture


async def send_frames(socket: WebSocket, context: StudioContext, credit: Credit) -> None:
    """The newest frame for every one that the viewer asked for: a slow viewer sees fewer, never older ones."""
    sent = 0
    with FrameSignal(context) as signal:
        while True:
            await credit.take()
            sequence, bundle = sent, b""
            while sequence == sent or not bundle:
                if not await signal.wait():
                    return
                sequence, bundle = await asyncio.to_thread(context.picture.bundle)
            sent = sequence
            await socket.send_bytes(bundle)


async def hear_credit(socket: WebSocket, credit: Credit) -> None:
    """Each message of the viewer asks for one more frame."""
    while True:
        await heard(socket)
        credit.give()


# A browser's camera


async def receive_camera(socket: WebSocket, context: StudioContext) -> None:
    """JPEGs from the visitor in the seat, each one acknowledged, so that none pile up on the way; or a call, where both sides can."""
    call: CameraCall | None = None
    telling: set[asyncio.Future[None]] = set()

    def seen() -> None:
        telling.add(asyncio.ensure_future(socket.send_json({"call": "seen"})))

    await socket.send_json({"seat": "yours", "call": calls_possible()})
    try:
        while True:
            message = await heard(socket)
            if isinstance(message, bytes):
                if not context.seat.offer(socket, message):
                    return
                await socket.send_json({"more": 1})
            elif call is None and calls_possible():
                call = CameraCall(lambda frame: context.seat.offer(socket, frame), seen)
                await socket.send_json({"answer": await call.answer(offer_in(message))})
    finally:
        if call is not None:
            await call.close()
        await asyncio.gather(*telling, return_exceptions=True)


def offer_in(text: str) -> object:
    """What a message {"offer": ...} offers; None where it is another."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return message.get("offer") if isinstance(message, dict) else None


async def while_chosen(context: StudioContext) -> None:
    """Make the visitor's camera the session's, and return when it is so no longer."""
    session = context.session

    def chosen() -> bool:
        return session.state.settings["camera"] == PAGE_CAMERA

    await asyncio.wrap_future(session.controls.submit(lambda desk: desk.set("camera", PAGE_CAMERA)))
    for _ in range(CHOOSING):
        if chosen():
            break
        await asyncio.sleep(LOOK_S)
    while chosen() and not session.state.ended:
        await asyncio.sleep(LOOK_S)
