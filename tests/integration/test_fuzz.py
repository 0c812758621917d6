"""Requests made from the API's own description: whatever is sent, the answer is described and nothing breaks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, settings
from tests.integration.shelf import Shelf, Stool, Workshop

from enopax_core import Core, Settings, create_app
from enopax_core.api.openapi import describe
from enopax_core.api.routes import api_routes

EXAMPLES = 25  # for each operation, half of them wrong on purpose
PATIENCE = 60


class Served:
    """A server in a thread of its own: what is found here must not stand in the way of what looks for it."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir, self._started = data_dir, threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self.url = self.key = ""

    def __enter__(self) -> Served:
        self._thread.start()
        assert self._started.wait(PATIENCE)
        self._client = httpx.Client(base_url=self.url, headers={"X-API-Key": self.key}, timeout=PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._server.should_exit = True
        self._thread.join(PATIENCE)

    def make(self) -> dict[str, str]:
        """Things of every kind, by the paths below which their ids stand."""
        made: dict[str, str] = {}
        for kind in ("shelf", "stool"):
            body = {"name": secrets.token_hex(8), "organisationName": "Acme", "projectName": "Fuzz"}
            answer = self._client.post(f"/v1/{kind}", json=body).json()
            made |= {f"/v1/{kind}/": answer["id"], "/v1/operations/": answer["operation"]}
        key = self._client.post("/v1/keys", json={"name": "k", "role": "member"}).json()
        return {**made, "/v1/keys/": key["id"]}

    async def _serve(self) -> None:
        workshop = Workshop()
        chosen = Settings(data_dir=self._data_dir, wait_seconds=0.2)
        async with Core(chosen, plugins=[Shelf(workshop), Stool(workshop)]) as core:
            config = uvicorn.Config(create_app(core), port=0, log_config=None, lifespan="off")
            self._server = uvicorn.Server(config)
            self._server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]  # signals are not its business
            self.key = core.owner_key_file.read_text().strip()
            serving = asyncio.create_task(self._server.serve())
            while not self._server.started:  # noqa: ASYNC110  # uvicorn has no event for it
                await asyncio.sleep(0.01)
            self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"
            self._started.set()
            await serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all of it."""
    with Served(tmp_path_factory.mktemp("fuzz") / "data") as found:
        yield found


def description() -> Any:
    """What the server says of itself, without the streams that never end by themselves."""
    core = Core(Settings(data_dir=Path("never-opened")), plugins=[Shelf(Workshop()), Stool(Workshop())])
    document = json.loads(json.dumps(describe(core, list(api_routes(core)))))
    return schemathesis.openapi.from_dict(document).exclude(path_regex=r"/events$")


described = description()


@pytest.mark.slow
@pytest.mark.timeout(300)
@described.parametrize()  # type: ignore[untyped-decorator]  # schemathesis does not type it
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
def test_whatever_is_sent_the_answer_is_described(case: schemathesis.Case[Any], served: Served) -> None:
    made = served.make() if len(repr(case.path_parameters)) % 3 else {}  # two thirds meet something that is there
    for prefix, id in made.items():
        if case.path_parameters.get("id") is not None and case.path.startswith(prefix):
            case.path_parameters["id"] = id
    response = case.call(base_url=served.url, headers={"X-API-Key": served.key})
    assert response.status_code != 500, response.text
    case.validate_response(
        response,
        checks=[
            schemathesis.checks.not_a_server_error,
            schemathesis.checks.status_code_conformance,
            schemathesis.checks.content_type_conformance,
            schemathesis.checks.response_schema_conformance,
        ],
    )
