"""The interface for programs: HTTP in plain values, described by OpenAPI. The WebSockets are in `sockets`, who may enter is in `guard`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from livepuppet.errors import LivepuppetError, UsageError
from livepuppet.live.control_state import ControlState
from livepuppet.live.controls import ACTIONS, SETTINGS
from livepuppet.studio.context import StudioContext, control_model
from livepuppet.studio.findings import look_at_machine
from livepuppet.studio.sockets import FrameSignal, add_sockets
from livepuppet.version import __version__

PAGE = Path(__file__).parent / "page"
PAGES = {"/": "index.html", "/view": "view.html", "/docs": "docs.html"}
ANSWER_S = 5.0
"""A session that does not come to a request for so long is busy with something else (an engine's first frame, say)."""
BOUNDARY = "livepuppet-frame"

log = logging.getLogger("livepuppet.studio")


class NewValue(BaseModel):
    """What a setting is to be."""

    value: bool | int | float | str = Field(description="true or false, a number, or a text; 'on' and 'off' will do for a switch")


class Steps(BaseModel):
    """How far a setting is to be moved."""

    by: int = Field(default=1, ge=-1000, le=1000, description="steps; a switch turns over at every odd number, a choice goes round")


class Said(BaseModel):
    """What was done, as a line for people; empty where nothing is to be said."""

    line: str


class AvatarEntry(BaseModel):
    """A portrait that can be chosen."""

    name: str
    own: bool = Field(description="added through this interface, and removable")


class Added(BaseModel):
    """A portrait that was taken."""

    name: str
    line: str = Field(description="whose portraits may be animated: said once to every user")


class MachineFinding(BaseModel):
    """One thing that the doctor found."""

    section: str
    state: str = Field(description="good, note, bad or broken")
    text: str
    fix: str


def build_app(context: StudioContext) -> FastAPI:
    """Everything that the server answers, without the guard around it."""
    app = FastAPI(
        title="livepuppet",
        version=__version__,
        summary="Control of a running session",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name if isinstance(route, APIRoute) else "",
    )
    add_error_answers(app)
    add_control_routes(app, context)
    add_avatar_routes(app, context)
    add_picture_routes(app, context)
    add_page_routes(app)
    add_sockets(app, context)
    return app


async def in_session(context: StudioContext, call: Callable[[ControlState], str]) -> str:
    """Have the session's loop do it between two frames, and wait for that."""
    return await asyncio.wait_for(asyncio.wrap_future(context.session.controls.submit(call)), ANSWER_S)


def add_error_answers(app: FastAPI) -> None:
    """One line for every mistake: {"error": …, "parameter": …}."""

    def wrong(request: Request, error: Exception) -> Response:
        assert isinstance(error, LivepuppetError)
        status = 400 if isinstance(error, UsageError) else 503
        return JSONResponse(
            {"error": str(error), "parameter": error.parameter}, 404 if error.parameter in {"setting", "action"} else status
        )

    def malformed(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part != "body")
        return JSONResponse({"error": f"{place or 'the body'}: {first['msg']}", "parameter": place}, 422)

    def plain(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)

    def late(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": "the session is busy: try again"}, 503)

    app.add_exception_handler(LivepuppetError, wrong)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, plain)
    app.add_exception_handler(asyncio.TimeoutError, late)


def add_control_routes(app: FastAPI, context: StudioContext) -> None:
    @app.get("/api/state", tags=["session"])
    async def state() -> dict[str, Any]:
        """How the session stands: every setting's value, what can be chosen, the driver's face, recording, outputs."""
        return context.state()

    @app.get("/api/figures", tags=["session"])
    async def figures() -> dict[str, Any]:
        """Frames per second and capture-to-output latency (ms) of the last seconds."""
        return context.figures()

    @app.get("/api/controls", tags=["session"])
    async def controls() -> dict[str, Any]:
        """All settings and actions: type, range, help, keys."""
        return control_model()

    @app.put("/api/settings/{name}", tags=["control"])
    async def set_setting(name: str, new: NewValue) -> Said:
        """Change a setting."""
        return Said(line=await in_session(context, lambda desk: desk.set(name, new.value)))

    @app.get("/api/settings/{name}", tags=["control"])
    async def get_setting(name: str) -> dict[str, Any]:
        """A setting's present value."""
        if name not in SETTINGS:
            raise UsageError(f"no setting is called {name!r}: there are {', '.join(SETTINGS)}", parameter="setting")
        return {"value": context.session.state.settings[name]}

    @app.post("/api/settings/{name}/step", tags=["control"])
    async def step_setting(name: str, steps: Steps) -> Said:
        """Move a setting some steps, as a key does: turn a switch over, go to the next choice, a little more or less of a number."""
        return Said(line=await in_session(context, lambda desk: desk.step(name, steps.by)))

    @app.post("/api/actions/{name}", tags=["control"], description=f"Do something once: {', '.join(ACTIONS)}.")
    async def press_action(name: str) -> Said:
        return Said(line=await in_session(context, lambda desk: desk.press(name)))

    @app.get("/api/doctor", tags=["session"])
    async def doctor() -> list[MachineFinding]:
        """What works on this machine and what does not, in words. Takes seconds the first time."""
        return [MachineFinding(**finding) for finding in await asyncio.to_thread(look_at_machine)]


def add_avatar_routes(app: FastAPI, context: StudioContext) -> None:
    @app.get("/api/avatars", tags=["avatars"])
    async def list_avatars() -> list[AvatarEntry]:
        """The portraits that can be chosen."""
        return [AvatarEntry(name=name, own=own) for name, own in context.gallery.entries()]

    body = {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}, "required": True}

    @app.post("/api/avatars", tags=["avatars"], openapi_extra={"requestBody": body})
    async def add_avatar(request: Request, name: Annotated[str, Field(max_length=300)] = "portrait") -> Added:
        """Add a photo: the body is the file's content, at most 32 MB. It is kept in the user's folder and can be chosen at once."""
        content = await request.body()
        added, line = await asyncio.to_thread(context.gallery.add, content, name)
        return Added(name=added, line=line)

    @app.get("/api/avatars/{name}/thumbnail", tags=["avatars"], response_class=Response)
    async def thumbnail(name: str) -> Response:
        """A small JPEG of a portrait."""
        return Response(await asyncio.to_thread(context.gallery.thumbnail, name), media_type="image/jpeg")

    @app.delete("/api/avatars/{name}", tags=["avatars"])
    async def remove_avatar(name: str) -> Said:
        """Remove a photo that was added here, file and all."""

        def remove(desk: ControlState) -> str:
            context.gallery.forget(name)
            return f"{name} is removed"

        return Said(line=await in_session(context, remove))


def add_picture_routes(app: FastAPI, context: StudioContext) -> None:
    @app.get("/api/picture.jpg", tags=["picture"], response_class=Response)
    async def picture() -> Response:
        """The newest frame, as others see it."""
        jpeg = await asyncio.to_thread(context.picture.jpeg)
        if not jpeg:
            raise HTTPException(503, "there is no picture yet")
        return Response(jpeg, media_type="image/jpeg")

    @app.get("/api/picture.mjpeg", tags=["picture"], response_class=StreamingResponse)
    async def moving_picture() -> StreamingResponse:
        """The moving picture for programs that take MJPEG; always the newest frame."""
        return StreamingResponse(mjpeg_parts(context), media_type=f"multipart/x-mixed-replace; boundary={BOUNDARY}")

    @app.get("/api/recordings", tags=["recordings"])
    async def list_recordings() -> list[str]:
        """Finished recordings, the oldest first."""
        return [path.name for path in context.recordings.finished]

    @app.get("/api/recordings/{name}", tags=["recordings"], response_class=FileResponse)
    async def recording(name: str) -> FileResponse:
        """A finished recording."""
        path = context.recording(name)
        if path is None or not path.is_file():
            raise HTTPException(404, "no recording has that name")
        return FileResponse(path, media_type="video/mp4", filename=path.name)


async def mjpeg_parts(context: StudioContext) -> AsyncIterator[bytes]:
    """Frames as the parts of a multipart answer, until the session ends."""
    with FrameSignal(context) as signal:
        while await signal.wait():
            jpeg = await asyncio.to_thread(context.picture.jpeg)
            if jpeg:
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                yield head.encode() + jpeg + b"\r\n"


def add_page_routes(app: FastAPI) -> None:
    """The page itself: the files in page/, and no others."""
    files = {path.name: path for path in PAGE.iterdir() if path.is_file()}
    types = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

    def page(file: str) -> Callable[[], Response]:
        return lambda: Response((PAGE / file).read_bytes(), media_type="text/html")

    for path, file in PAGES.items():
        app.add_api_route(path, page(file), include_in_schema=False, response_class=Response)

    @app.get("/page/{name}", include_in_schema=False)
    async def page_file(name: str) -> Response:
        path = files.get(name)
        if path is None or path.suffix not in types:
            raise HTTPException(404, "there is no such page")
        return Response(path.read_bytes(), media_type=types[path.suffix])

    @app.get("/favicon.ico", include_in_schema=False)
    async def icon() -> Response:
        return Response((PAGE / "icon.svg").read_bytes(), media_type="image/svg+xml")
