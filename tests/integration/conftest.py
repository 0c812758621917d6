"""A core with controllable providers, clients of it, a clock that can be moved."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from tests.integration.described import DescribedTransport, Description
from tests.integration.shelf import Shelf, Stool, Workshop

from enopax_core import Core, Settings, create_app
from enopax_core.engine import engine, worker
from enopax_core.records.operation import OperationRecord

ORGANISATION, PROJECT = "Acme Inc", "Größe 1"
PLACE = {"organisationName": ORGANISATION, "projectName": PROJECT}
WHERE = {"org": ORGANISATION, "project": PROJECT}
ASYNC = {"Prefer": "respond-async"}


class Hands:
    """A clock that runs like the machine's and can be moved on."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def move(self, **by: float) -> None:
        """Move on by `days=1` and the like."""
        self.offset += timedelta(**by)


class House:
    """An open core with all a test needs around it."""

    def __init__(self, core: Core, workshop: Workshop, hands: Hands) -> None:
        self.core, self.workshop, self.hands = core, workshop, hands
        self.app = create_app(core)
        self.description = Description(core)
        self.owner = self.client(core.owner_key_file.read_text().strip())

    def client(self, key: str | None, address: str = "127.0.0.1") -> httpx.AsyncClient:
        """A client with a key, or with none."""
        headers = {} if key is None else {"X-API-Key": key}
        transport = DescribedTransport(self.app, self.description, address)
        return httpx.AsyncClient(transport=transport, base_url="http://enopax.test", headers=headers)

    async def key(self, role: str = "member", organisation: str | None = ORGANISATION, **more: Any) -> httpx.AsyncClient:
        """A client with a new key of a role."""
        body = {"name": role, "role": role, **({"organisation": organisation} if organisation else {}), **more}
        answer = await self.owner.post("/v1/keys", json=body)
        assert answer.status_code == 201, answer.text
        return self.client(answer.json()["key"])

    async def make(self, name: str = "one", endpoint: str = "shelf", **more: Any) -> dict[str, Any]:
        """Provision and wait until it is ready."""
        answer = await self.owner.post(f"/v1/{endpoint}", json={"name": name, **PLACE, **more})
        assert answer.status_code == 201, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def begin(self, name: str = "one", endpoint: str = "shelf", **more: Any) -> dict[str, Any]:
        """Provision without waiting."""
        answer = await self.owner.post(f"/v1/{endpoint}", json={"name": name, **PLACE, **more}, headers=ASYNC)
        assert answer.status_code == 202, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def ended(self, operation: str) -> OperationRecord:
        """Wait for an operation's end."""
        with anyio.fail_after(60):
            while True:
                record = await self.core.operations.wait(operation, 60)
                assert record is not None
                if record.state.ended:
                    return record

    async def get(self, path: str) -> Any:
        """The body of a successful GET of the owner."""
        answer = await self.owner.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until something has come about: looked at again and again, decided by nothing but itself."""
        with anyio.fail_after(60):
            while not condition():  # noqa: ASYNC110  # what is waited for lies in a provider, which has no event for it
                await anyio.sleep(0.005)


@contextlib.asynccontextmanager
async def opened(
    data_dir: Path,
    *plugins: object,
    workshop: Workshop | None = None,
    hands: Hands | None = None,
    **settings: Any,
) -> AsyncIterator[House]:
    """A house on a data directory; `plugins` beside the two providers."""
    workshop, hands = workshop or Workshop(), hands or Hands()
    chosen = Settings(data_dir=data_dir, **settings)
    async with Core(chosen, plugins=[Shelf(workshop), Stool(workshop), *plugins], clock=hands) as core:
        yield House(core, workshop, hands)


@pytest.fixture(autouse=True)
def _brisk() -> Iterator[None]:
    """The engine's own pauses are short, so that no test has to wait for them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "FIRST_BACKOFF", timedelta(milliseconds=1))
        patch.setattr(engine, "SWEEP_SECONDS", 0.02)
        patch.setattr(engine, "FLUSH_SECONDS", 0.02)
        yield


@pytest.fixture
async def house(data_dir: Path) -> AsyncIterator[House]:
    """An open core with the providers `shelf` and `stool`."""
    async with opened(data_dir) as found:
        yield found
