"""The API below a prefix of a FastAPI application, whose own endpoints use the core too.

uvicorn mount_fastapi:app
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import FastAPI

import enopax_example
from enopax_core import INSTALLATION, Core, Settings, create_app

core = Core(Settings(data_dir=Path(os.environ.get("DATA_DIR", "data"))), plugins=[enopax_example])


@contextlib.asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """A mounted application gets no lifespan."""
    async with core:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/customers/{name}")
async def welcome(name: str) -> dict[str, str]:
    """Every new customer gets a greeting."""
    wanted = {"name": "welcome", "organisationName": name, "projectName": "First", "message": f"Hello {name}"}
    accepted = await core.resources.provision(INSTALLATION, "example", wanted)
    ended = await core.operations.ended(accepted)
    return {"id": accepted.resource.id, "state": ended.state}


app.mount("/infrastructure", create_app(core))
