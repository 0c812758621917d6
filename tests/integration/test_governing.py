"""The governing hooks, each used by a plugin as small as can be."""

from __future__ import annotations

import contextlib
import types
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from starlette.types import Receive, Scope, Send
from tests.integration.conftest import ASYNC, PLACE, WHERE, House, opened

from enopax_core import (
    Change,
    Core,
    Event,
    Host,
    Place,
    Presented,
    Principal,
    Route,
    Settings,
    Tables,
    Target,
    Transaction,
    hookimpl,
)
from enopax_core.errors import PluginRefused, Refused, StartupError, Unauthenticated
from enopax_core.provider import Operation, PermanentError, Price, Resource

pytestmark = pytest.mark.anyio


class Passwords:
    """Another identity: HTTP Basic with a fixed password; somebody called `mallory` is refused for good."""

    @hookimpl
    async def enopax_authenticate(self, presented: Presented) -> Principal | None:
        if presented.basic is None:
            return None
        if presented.basic[0] == "mallory":
            raise Unauthenticated("Mallory may not come in.")
        return Principal(id=presented.basic[0], kind="user", role="member", credential=f"password:{presented.basic[0]}")


async def test_another_plugin_may_say_who_somebody_is(data_dir: Path) -> None:
    async with opened(data_dir, Passwords()) as house:
        await house.make()
        visitor = house.client(None)
        assert (await visitor.get("/v1/shelf", params=WHERE, auth=("ann", "x"))).status_code == 200
        refused = await visitor.get("/v1/shelf", params=WHERE, auth=("mallory", "x"))
        assert (refused.status_code, refused.json()["error"]) == (401, "Mallory may not come in.")
        assert (await house.owner.get("/v1/shelf", params=WHERE)).status_code == 200  # its own keys go on


class NoSecondShelf:
    """A policy that denies what the roles allow."""

    @hookimpl
    async def enopax_authorise(
        self, principal: Principal, permission: str, targets: Sequence[Target]
    ) -> Mapping[Target, bool] | None:
        return dict.fromkeys(targets, False) if permission == "update" else None


async def test_deny_beats_allow(data_dir: Path) -> None:
    async with opened(data_dir, NoSecondShelf()) as house:
        made = await house.make()
        refused = await house.owner.put(f"/v1/shelf/{made['id']}", json={"boards": 5})
        assert refused.status_code == 403
        assert (await house.get(f"/v1/shelf/{made['id']}"))["config"]["boards"] == 3


class Quota:
    """One shelf for each project, counted where it cannot be cheated; and a price."""

    @hookimpl
    async def enopax_admit(self, change: Change) -> Price | None:
        if change.endpoint == "shelf" and change.after is not None and change.after.config["boards"] > 10:
            raise Refused("Ten boards are enough.", status=402, type="https://example.org/problems/too-wide")
        return Price(amount="3.50", currency="EUR")

    @hookimpl
    def enopax_accept(self, change: Change, transaction: Transaction) -> None:
        if change.type != "provision":
            return
        rows = transaction.execute(
            "list_resources", project=change.place.project_id, endpoint="shelf", after=0, size=2, status=None
        )
        if rows:
            raise Refused("This project has its shelf.", status=402)


async def test_a_change_is_refused_before_and_inside_the_transaction(data_dir: Path) -> None:
    async with opened(data_dir, Quota()) as house:
        wide = await house.owner.post("/v1/shelf", json={"name": "wide", **PLACE, "boards": 11})
        assert (wide.status_code, wide.json()["type"]) == (402, "https://example.org/problems/too-wide")
        preview = await house.owner.post("/v1/shelf?dry_run=true", json={"name": "one", **PLACE})
        assert preview.json()["preview"]["price"] == {"amount": "3.50", "currency": "EUR", "per": "month"}
        assert (await house.owner.post("/v1/shelf?dry_run=true", json={"name": "w", **PLACE, "boards": 11})).status_code == 402
        made = await house.make("one")
        second = await house.owner.post("/v1/shelf", json={"name": "two", **PLACE})
        assert (second.status_code, second.json()["detail"]) == (402, "This project has its shelf.")
        listed = await house.get("/v1/shelf?org=Acme Inc&project=Größe 1")
        assert [one["id"] for one in listed["resources"]] == [made["id"]]
        operations = await house.get("/v1/operations?org=Acme Inc&project=Größe 1")
        assert [one["resource"] for one in operations["operations"]] == [made["id"]]  # rolled back with everything


async def test_of_many_at_once_a_quota_lets_in_as_many_as_it_says(data_dir: Path) -> None:
    async with opened(data_dir, Quota()) as house:
        answers: list[int] = []

        async def ask(number: int) -> None:
            answers.append((await house.owner.post("/v1/shelf", json={"name": f"n{number}", **PLACE})).status_code)

        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(ask, number)
        assert sorted(answers) == [201, *[402] * 7]


class Around:
    """Notes the attempts it stood around; fails on request."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.broken = False

    @hookimpl
    @contextlib.asynccontextmanager
    async def enopax_attempt(self, operation: Operation, resource: Resource[Any]) -> AsyncIterator[None]:
        if self.broken:
            raise RuntimeError("broken")
        self.seen.append(f"enter {operation.attempt}")
        yield
        self.seen.append(f"leave {operation.attempt}")


async def test_an_attempt_is_surrounded_and_not_changed(data_dir: Path) -> None:
    around = Around()
    async with opened(data_dir, around) as house:
        house.workshop.failures["provision"].append(RuntimeError("a saw broke"))
        await house.make()
        assert around.seen == ["enter 1", "leave 1", "enter 2", "leave 2"]
        around.broken = True
        await house.make("two")  # a plugin that fails does not change the attempt's end


class Reader:
    """Consumes events; fails as often as it is told to."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.failures = 0

    @hookimpl
    async def enopax_event(self, event: Event) -> None:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("not now")
        self.events.append(event)


async def test_events_come_in_order_each_at_least_once_and_a_restart_goes_on(data_dir: Path) -> None:
    reader = Reader()
    async with opened(data_dir, reader) as house:
        reader.failures = 1
        first = await house.make()
        await house.until(lambda: any(event.type == "operation.succeeded" for event in reader.events))
    positions = [event.position for event in reader.events]
    assert positions == list(range(positions[0], positions[0] + len(positions)))
    seen = len(reader.events)
    async with opened(data_dir, reader) as house:
        second = await house.make("two")
        await house.until(lambda: reader.events[-1].type == "operation.succeeded" and len(reader.events) > seen)
    assert {event.resource for event in reader.events[seen:]} <= {first["id"], second["id"]}
    assert [event.position for event in reader.events if event.resource == second["id"]] == sorted(
        {event.position for event in reader.events if event.resource == second["id"]}
    )


class Counter:
    """Tables, permissions, a lifespan and routes of a plugin."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.open, self.host = folder, False, None
        (folder / "migrations").mkdir(parents=True)
        (folder / "queries").mkdir()
        (folder / "migrations/0001_visits.sql").write_text("CREATE TABLE visits (who TEXT NOT NULL);")
        (folder / "queries/visits.sql").write_text(
            "-- name: add_visit\nINSERT INTO visits (who) VALUES (:who);\n\n-- name: visits\nSELECT who FROM visits;\n"
        )

    @hookimpl
    def enopax_tables(self) -> Iterable[Tables]:
        return [Tables(section="counter", folder=self.folder)]

    @hookimpl
    def enopax_permissions(self) -> Mapping[str, Collection[str]]:
        return {"counter:look": ("admin",)}

    @hookimpl
    @contextlib.asynccontextmanager
    async def enopax_lifespan(self, host: Host) -> AsyncIterator[None]:
        self.open = True
        yield
        self.open = False

    @hookimpl
    def enopax_routes(self, host: Host) -> Iterable[Route]:
        async def visit(scope: Scope, receive: Receive, send: Send) -> None:
            assert self.open
            who = scope.get("state", {}).get("principal")
            name = "nobody" if who is None else who.kind
            await host.ledger.write(lambda t: t.execute("counter.add_visit", who=name))
            rows = await host.ledger.read(lambda t: t.execute("counter.visits"))
            body = ",".join(row["who"] for row in rows).encode()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body})

        return [
            Route(path="/counter/open", app=visit, access="public"),
            Route(path="/counter/closed", app=visit, access="principal", permission="counter:look"),
            Route(
                path="/counter/hook",
                app=visit,
                access="webhook",
                methods=("POST",),
                body_limit=10,
                verify=lambda headers, body: headers.get("x-signature") == body.decode(),
            ),
        ]


async def test_a_plugin_has_tables_permissions_a_lifespan_and_routes(data_dir: Path, tmp_path: Path) -> None:
    counter = Counter(tmp_path / "sql")
    async with opened(data_dir, counter) as house:
        visitor = house.client(None)
        assert (await visitor.get("/counter/open")).text == "nobody"
        assert (await visitor.get("/counter/closed")).status_code == 401
        member, admin = await house.key("member"), await house.key("admin", organisation=None)
        assert (await member.get("/counter/closed")).status_code == 403
        assert (await admin.get("/counter/closed")).text == "nobody,key"
        assert (await visitor.get("/counter/hook")).status_code == 405
        assert (await visitor.post("/counter/hook", content=b"x", headers={"X-Signature": "y"})).status_code == 403
        assert (await visitor.post("/counter/hook", content=b"x" * 11, headers={"X-Signature": "y"})).status_code == 413
        assert (await visitor.post("/counter/hook", content=b"x", headers={"X-Signature": "x"})).status_code == 200
    assert not counter.open
    async with opened(data_dir, counter) as house:  # its rows are still there
        assert (await house.client(None).get("/counter/open")).text == "nobody,key,nobody,nobody"


async def test_an_error_inside_a_core_comes_out_as_it_is(data_dir: Path) -> None:
    with pytest.raises(LookupError):
        async with opened(data_dir):
            raise LookupError


class Refusing:
    """Something of the plugin's does not start until it is mended."""

    mended = False

    @hookimpl
    @contextlib.asynccontextmanager
    async def enopax_lifespan(self, host: Host) -> AsyncIterator[None]:
        if not self.mended:
            raise StartupError("The port is taken.")
        yield


async def test_an_error_while_a_core_opens_comes_out_as_it_is_and_leaves_nothing_held(data_dir: Path) -> None:
    refusing = Refusing()
    core = Core(Settings(data_dir=data_dir), plugins=[refusing])
    with pytest.raises(StartupError, match="The port is taken"):
        await core.__aenter__()
    assert not core.is_open
    refusing.mended = True
    async with core:  # its lock on the data directory is free again
        assert core.ready


@pytest.mark.parametrize("path", ["/v1/thing", "/metrics", "/healthz", "/providers/info"])
async def test_a_route_that_shadows_the_core_s_is_refused(data_dir: Path, path: str) -> None:
    class Shadow:
        @hookimpl
        def enopax_routes(self, host: Host) -> Iterable[Route]:
            return [Route(path=path, app=lambda: None, access="public")]

    with pytest.raises(PluginRefused, match=path):
        async with opened(data_dir, Shadow()):
            pass


# ── Holds ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_holds_coexist_and_the_last_one_released_resumes(house: House) -> None:
    made = await house.make()
    path, resources = f"/v1/shelf/{made['id']}", house.core.host.resources
    await resources.hold(made["id"], "overdue", "The bill is not paid.")
    await resources.hold(made["id"], "abuse", "It sends spam.")
    await house.until(lambda: house.workshop.called("suspend") == 1)
    held = await house.get(path)
    assert (held["status"], [hold["name"] for hold in held["holds"]]) == ("suspended", ["overdue", "abuse"])
    assert (await house.owner.put(path, json={"boards": 4})).status_code == 409
    await resources.release(made["id"], "overdue")
    assert (await house.get(path))["status"] == "suspended"
    assert house.workshop.called("resume") == 0
    await resources.release(made["id"], "abuse")
    await resources.release(made["id"], "abuse")
    await house.until(lambda: house.workshop.called("resume") == 1)
    assert (await house.owner.put(path, json={"boards": 4})).status_code == 200
    assert house.workshop.called("suspend") == 1


async def becomes(house: House, path: str, status: str) -> None:
    """Wait for a status."""
    with anyio.fail_after(60):
        while (await house.get(path))["status"] != status:  # noqa: ASYNC110  # seen as a client sees it, who has no event for it
            await anyio.sleep(0.005)


async def test_a_resource_is_suspended_until_it_has_resumed(house: House) -> None:
    made = await house.make()
    path, resources = f"/v1/shelf/{made['id']}", house.core.host.resources
    house.workshop.gates["resume"] = anyio.Event()
    await resources.hold(made["id"], "overdue", "The bill is not paid.")
    await resources.release(made["id"], "overdue")
    with anyio.fail_after(60):
        await house.workshop.entered["resume"].wait()
    assert (await house.get(path))["status"] == "suspended"
    house.workshop.gates["resume"].set()
    await becomes(house, path, "active")


async def test_a_resource_that_cannot_resume_is_degraded_and_says_why(house: House) -> None:
    made = await house.make()
    path, resources = f"/v1/shelf/{made['id']}", house.core.host.resources
    house.workshop.failures["resume"] = [PermanentError("The key is lost.")]
    await resources.hold(made["id"], "overdue", "The bill is not paid.")
    await resources.release(made["id"], "overdue")
    await becomes(house, path, "degraded")
    assert (await house.get(path))["message"] == "The key is lost."


async def test_a_held_resource_may_be_deleted(house: House) -> None:
    made = await house.make()
    await house.core.host.resources.hold(made["id"], "quota", "Too large.")
    assert (await house.owner.delete(f"/v1/shelf/{made['id']}")).status_code == 200


# ── What is built in can be replaced ──────────────────────────────────────────────────────────────────────────────────


class Town:
    """Identity, roles and naming of its own: everybody is the mayor, every place is the town."""

    @hookimpl
    async def enopax_authenticate(self, presented: Presented) -> Principal | None:
        return Principal(id="mayor", kind="user", credential="mayor") if presented.token == "mayor" else None

    @hookimpl
    async def enopax_authorise(
        self, principal: Principal, permission: str, targets: Sequence[Target]
    ) -> Mapping[Target, bool] | None:
        return dict.fromkeys(targets, principal.id == "mayor")

    @hookimpl
    async def enopax_resolve(self, organisation: str, project: str | None, by: Literal["name", "slug"]) -> Place | None:
        return self.place()

    @hookimpl
    async def enopax_places(self, projects: Sequence[str]) -> Mapping[str, Place]:
        return dict.fromkeys(projects, self.place())

    def place(self) -> Place:
        """The only one."""
        return Place(
            organisation_id="town",
            organisation="Town",
            organisation_slug="town",
            project_id="square",
            project="Square",
            project_slug="square",
        )


async def test_keys_roles_and_places_can_be_replaced(data_dir: Path) -> None:
    async with opened(data_dir, Town(), disabled_plugins=("roles", "tokens")) as house:
        mayor = house.client("mayor")
        made = await mayor.post("/v1/shelf", json={"name": "bench", **PLACE})
        assert (made.status_code, made.json()["organisation"], made.json()["id"][:12]) == (201, "Town", "town-square-")
        assert (await house.client("thief").get(f"/v1/shelf/{made.json()['id']}")).status_code == 401
        assert (await house.owner.get(f"/v1/shelf/{made.json()['id']}")).status_code == 404  # a key, but nobody's mayor


class Closed:
    """Places are made elsewhere: what is not there yet is not known."""

    @hookimpl
    async def enopax_resolve(self, organisation: str, project: str | None, by: Literal["name", "slug"]) -> Place | None:
        return None


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/shelf", {"name": "bench", **PLACE}),
        ("/v1/keys", {"name": "k", "role": "owner", "organisation": "Acme Inc"}),
    ],
)
async def test_in_a_place_that_nobody_knows_nothing_is_made(data_dir: Path, path: str, body: dict[str, Any]) -> None:
    async with opened(data_dir, Closed(), disabled_plugins=("places",)) as house:
        assert (await house.owner.post(path, json=body)).status_code == 403


# ── What breaks the contract ──────────────────────────────────────────────────────────────────────────────────────────


def plugin(name: str, source: str) -> types.ModuleType:
    """A module of this source."""
    module = types.ModuleType(name)
    module.__file__ = f"/plugins/{name}.py"
    exec(compile("from enopax_core.provider import hookimpl\n" + source, module.__file__, "exec"), vars(module))
    return module


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("@hookimpl\ndef enopax_provider(host): return []", "did you mean enopax_providers"),
        ("@hookimpl\ndef enopax_providers(hst): return []", "did you mean host"),
        ("@hookimpl\ndef enopax_event(event): pass", "async def"),
        ("def enopax_providers(host): return []", "@hookimpl"),
    ],
)
def test_what_is_written_wrong_is_refused_with_its_place_and_the_nearest_name(data_dir: Path, source: str, said: str) -> None:
    with pytest.raises(PluginRefused, match=said) as refused:
        Core(Settings(data_dir=data_dir), plugins=[plugin("crooked", source)])
    assert "/plugins/crooked.py:2" in str(refused.value)


async def test_what_a_request_waits_for_is_answered_when_the_core_is_about_to_close(house: House) -> None:
    gate = house.workshop.close("provision")
    begun = await house.begin()
    answers: list[int] = []

    async def ask() -> None:
        answers.append((await house.owner.put(f"/v1/shelf/{begun['id']}", json={"boards": 4})).status_code)

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await house.workshop.entered["provision"].wait()
        house.core.drain()
    assert answers == [202]
    gate.set()


async def test_a_client_that_asked_for_no_wait_gets_none(house: House) -> None:
    house.workshop.close("provision")
    answer = await house.owner.post("/v1/shelf", json={"name": "x", **PLACE}, headers=ASYNC)
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "respond-async")
