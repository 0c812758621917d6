"""The API below a prefix of somebody else's Starlette application, which opens the core itself.

uvicorn mount_starlette:app
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import enopax_example
from enopax_core import Core, Settings, create_app

core = Core(Settings(data_dir=Path(os.environ.get("DATA_DIR", "data"))), plugins=[enopax_example])


async def home(request: Request) -> PlainTextResponse:
    """A page of the application's own."""
    return PlainTextResponse("The infrastructure is at /infrastructure/docs.")


@contextlib.asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """A mounted application gets no lifespan from Starlette."""
    async with core:
        yield


app = Starlette(routes=[Route("/", home), Mount("/infrastructure", create_app(core))], lifespan=lifespan)
