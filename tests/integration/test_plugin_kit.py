"""The kit for governing plugins fails where a promise is broken, and says what to change."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar, Literal

import anyio
import pytest
from tests.integration.boxes import PAUSES

from enopax_core import Change, Event, Host, Place, Presented, Principal, Route, Tables, Target, Transaction, hookimpl
from enopax_core.errors import Refused, Unauthenticated
from enopax_core.provider import Operation, Price, Resource
from enopax_core.testing import PluginConformance
from enopax_core.testing.bench import Bench
from enopax_core.testing.loop import BEAT

SQL = """
CREATE TABLE guard_used (resource TEXT PRIMARY KEY);
CREATE TABLE guard_seen (position INTEGER PRIMARY KEY);
CREATE TABLE guard_counted (number INTEGER NOT NULL);
"""
QUERIES = """
-- name: reserve
INSERT INTO guard_used (resource) VALUES (:resource);

-- name: release
DELETE FROM guard_used WHERE resource = :resource;

-- name: see
INSERT INTO guard_seen (position) VALUES (:position) ON CONFLICT DO NOTHING;

-- name: see_once
INSERT INTO guard_seen (position) VALUES (:position);

-- name: count
INSERT INTO guard_counted (number) VALUES (:number);
"""


class Guard:
    """Has every hook, and keeps every promise: a quota, a policy, an identity, a record of events."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.calls = 0

    @hookimpl
    def enopax_tables(self) -> Iterable[Tables]:
        folder = self.data_dir.with_name("guard-sql")
        for name, content in (("migrations/0001_initial.sql", SQL), ("queries/guard.sql", QUERIES)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)
        return [Tables(section="guard", folder=folder)]

    @hookimpl
    def enopax_permissions(self) -> Mapping[str, Collection[str]]:
        return {"guard:inspect": ("admin", "owner")}

    @hookimpl
    @contextlib.asynccontextmanager
    async def enopax_lifespan(self, host: Host) -> AsyncIterator[None]:
        (self.data_dir / "guard").mkdir(exist_ok=True)
        yield

    @hookimpl
    def enopax_routes(self, host: Host) -> Iterable[Route]:
        return ()

    @hookimpl
    async def enopax_authenticate(self, presented: Presented) -> Principal | None:
        if presented.token is None or not presented.token.startswith("guard_"):
            return None
        raise Unauthenticated("The guard does not know this token.")

    @hookimpl
    async def enopax_authorise(
        self, principal: Principal, permission: str, targets: Sequence[Target]
    ) -> Mapping[Target, bool] | None:
        return {target: False for target in targets if permission == "purge" and principal.role == "member"}

    @hookimpl
    async def enopax_admit(self, change: Change) -> Price | None:
        return Price(amount="1.00", currency="EUR")

    @hookimpl
    def enopax_accept(self, change: Change, transaction: Transaction) -> None:
        if change.type == "provision" and change.after is not None:
            transaction.execute("guard.reserve", resource=change.after.id)
        if change.type == "purge" and change.before is not None:
            transaction.execute("guard.release", resource=change.before.id)

    @hookimpl
    @contextlib.asynccontextmanager
    async def enopax_attempt(self, operation: Operation, resource: Resource[Any]) -> AsyncIterator[None]:
        (self.data_dir / "guard" / resource.id).touch()
        yield
        (self.data_dir / "guard" / resource.id).unlink()

    @hookimpl
    async def enopax_event(self, host: Host, event: Event) -> None:
        await host.ledger.write(lambda transaction: transaction.execute("guard.see", position=event.position))


class TestGuard(PluginConformance):
    """One that keeps them all passes."""

    def plugin(self, data_dir: Path) -> object:
        return Guard(data_dir)


# ── Plugins that each break one promise ───────────────────────────────────────────────────────────────────────────────


class StartsOnce(Guard):
    @hookimpl
    @contextlib.asynccontextmanager
    async def enopax_lifespan(self, host: Host) -> AsyncIterator[None]:
        (self.data_dir / "guard").mkdir()
        yield


class VerbAlone(Guard):
    @hookimpl
    def enopax_permissions(self) -> Mapping[str, Collection[str]]:
        return {"inspect": ("admin",)}


class UnknownRole(Guard):
    @hookimpl
    def enopax_permissions(self) -> Mapping[str, Collection[str]]:
        return {"guard:inspect": ("inspector",)}


class RefusesStrangers(Guard):
    """Nobody else can sign in any more."""

    @hookimpl
    async def enopax_authenticate(self, presented: Presented) -> Principal | None:
        raise Unauthenticated


class TakesStrangers(Guard):
    """Everybody can sign in."""

    @hookimpl
    async def enopax_authenticate(self, presented: Presented) -> Principal | None:
        return Principal(id="guest", kind="user")


class Whispers(Guard):
    """Answers with words, which count as true."""

    @hookimpl
    async def enopax_authorise(
        self, principal: Principal, permission: str, targets: Sequence[Target]
    ) -> Mapping[Target, bool] | None:
        return dict.fromkeys(targets, "deny")  # type: ignore[arg-type]  # what is wrong with it


class AllOrNothing(Guard):
    """Judges by what else is asked."""

    @hookimpl
    async def enopax_authorise(
        self, principal: Principal, permission: str, targets: Sequence[Target]
    ) -> Mapping[Target, bool] | None:
        return dict.fromkeys(targets, len(targets) == 1)


class Presumptuous(Guard):
    """Judges what it was not asked for."""

    @hookimpl
    async def enopax_authorise(
        self, principal: Principal, permission: str, targets: Sequence[Target]
    ) -> Mapping[Target, bool] | None:
        return {Target(organisation="o-other"): True}


class Stumbles(Guard):
    """Fails on a permission that it does not know."""

    @hookimpl
    async def enopax_authorise(
        self, principal: Principal, permission: str, targets: Sequence[Target]
    ) -> Mapping[Target, bool] | None:
        return dict.fromkeys(targets, {"read": True}[permission])


class Empties(Guard):
    """Takes away what others were to judge."""

    @hookimpl
    async def enopax_authorise(
        self, principal: Principal, permission: str, targets: Sequence[Target]
    ) -> Mapping[Target, bool] | None:
        if isinstance(targets, list):
            targets.clear()
        return None


class Resolving(Guard):
    """Base of those that name places."""

    def _place(self, organisation: str, project: str | None) -> Place:
        raise NotImplementedError

    @hookimpl
    async def enopax_resolve(self, organisation: str, project: str | None, by: Literal["name", "slug"]) -> Place | None:
        return self._place(organisation, project)


class NewEachTime(Resolving):
    """Forgets the places that it has made."""

    def _place(self, organisation: str, project: str | None) -> Place:
        self.calls += 1
        return Place(
            organisation_id=f"o-{self.calls}",
            organisation=organisation,
            organisation_slug="o",
            project_id=f"p-{self.calls}",
            project=project or "",
            project_slug="p",
        )


class MakesOfSlugs(Resolving):
    """Takes any slug for a place."""

    def _place(self, organisation: str, project: str | None) -> Place:
        return Place(
            organisation_id="o-1",
            organisation=organisation,
            organisation_slug="o",
            project_id="p-1",
            project=project or "",
            project_slug="p",
        )


class ReservesInPreview(Guard):
    @hookimpl
    async def enopax_admit(self, change: Change) -> Price | None:
        self.calls += 1
        (self.data_dir / "guard-events").write_text(str(self.calls))
        return None


class CountsPreviews(Guard):
    @hookimpl
    async def enopax_admit(self, change: Change) -> Price | None:
        self.calls += 1
        if self.calls > 2:
            raise Refused("Three are too many.")
        return None


class CountsInMemory(Guard):
    @hookimpl
    def enopax_accept(self, change: Change, transaction: Transaction) -> None:
        self.calls += 1
        transaction.execute("guard.count", number=self.calls)


class RefusesOnSecondRun(Guard):
    @hookimpl
    def enopax_accept(self, change: Change, transaction: Transaction) -> None:
        self.calls += 1
        if self.calls == 2:
            raise Refused("This was accepted before.")


class WritesFiles(Guard):
    @hookimpl
    def enopax_accept(self, change: Change, transaction: Transaction) -> None:
        (self.data_dir / "guard" / "log").write_text(change.type)


class CallsOthers(Guard):
    @hookimpl
    def enopax_accept(self, change: Change, transaction: Transaction) -> None:
        subprocess.run(["true"], check=True)


class LocksForEver(Guard):
    """An attempt that was killed has left its mark, and the next one stumbles over it."""

    @hookimpl
    @contextlib.asynccontextmanager
    async def enopax_attempt(self, operation: Operation, resource: Resource[Any]) -> AsyncIterator[None]:
        mark = self.data_dir / "guard" / resource.id
        mark.touch(exist_ok=False)
        yield
        mark.unlink()


class CountsEvents(Guard):
    @hookimpl
    async def enopax_event(self, host: Host, event: Event) -> None:
        await host.ledger.write(lambda transaction: transaction.execute("guard.count", number=event.position))


class SeesOnce(Guard):
    @hookimpl
    async def enopax_event(self, host: Host, event: Event) -> None:
        await host.ledger.write(lambda transaction: transaction.execute("guard.see_once", position=event.position))


class Chokes(Guard):
    @hookimpl
    async def enopax_event(self, host: Host, event: Event) -> None:
        raise ValueError(event.type)


class CountsInAFile(Guard):
    """Keeps what it counts where the kit looks when it is told to."""

    @hookimpl
    async def enopax_event(self, host: Host, event: Event) -> None:
        with (self.data_dir / "guard-events").open("a") as file:
            file.write(".")


class AsksAround(Guard):
    """Waits for somebody at every request."""

    @hookimpl
    async def enopax_authenticate(self, presented: Presented) -> Principal | None:
        await anyio.sleep_forever()
        return None


class Blocks(Guard):
    """Holds up everybody while it thinks."""

    @hookimpl
    async def enopax_admit(self, change: Change) -> Price | None:
        for _ in range(PAUSES):
            time.sleep(BEAT)  # noqa: ASYNC251  # what is wrong with it
        return None


# ── The kit on each of them ───────────────────────────────────────────────────────────────────────────────────────────

BROKEN: Sequence[tuple[type[Guard], str, str]] = [
    (StartsOnce, "it_starts_and_stops_again_and_again", "second start.*FileExistsError.*take over"),
    (VerbAlone, "permissions_are_named_and_held", "'inspect' must be named `plugin:verb`"),
    (UnknownRole, "permissions_are_named_and_held", "is given to inspector; roles are member"),
    (RefusesStrangers, "a_stranger_is_left_to_others", "raised Unauthenticated for nothing at all.*give None"),
    (TakesStrangers, "a_stranger_is_left_to_others", "takes nothing at all for .*guest.*give None"),
    (Whispers, "each_target_is_judged_for_itself", r"answers \['deny'\].*True or False"),
    (AllOrNothing, "each_target_is_judged_for_itself", "says True of .* alone and False among others"),
    (Presumptuous, "each_target_is_judged_for_itself", "not asked for"),
    (Stumbles, "a_denial_beats_what_it_allows", "raised KeyError for the permission purge.*leave out"),
    (Empties, "a_denial_beats_what_it_allows", "must not change `targets`"),
    (NewEachTime, "the_same_names_are_the_same_place", "two places for the same names"),
    (MakesOfSlugs, "the_same_names_are_the_same_place", "made a place out of slugs"),
    (ReservesInPreview, "a_preview_changes_nothing", "stored something for a preview of provision"),
    (CountsPreviews, "a_preview_changes_nothing", "must not count its own calls"),
    (CountsInMemory, "accept_can_be_run_again", "keep what it counts in the database"),
    (RefusesOnSecondRun, "accept_can_be_run_again", "refused.*when it was run again"),
    (WritesFiles, "accept_touches_the_transaction_alone", r"called open\(.*guard/log.*in enopax_event"),
    (CallsOthers, "accept_touches_the_transaction_alone", "called subprocess.Popen for provision"),
    (LocksForEver, "an_attempt_need_not_be_left", "raised FileExistsError.*settle by enopax_event"),
    (CountsEvents, "an_event_that_comes_twice_counts_once", "delivery is at least once"),
    (SeesOnce, "an_event_that_comes_twice_counts_once", "raised UniqueViolation.*what is done is no error"),
    (Chokes, "an_event_that_comes_twice_counts_once", "enopax_event raised ValueError"),
    (CountsInAFile, "an_event_that_comes_twice_counts_once", "delivery is at least once"),
    (AsksAround, "who_is_asked_at_every_request_answers_at_once", "enopax_authenticate had not answered"),
    (Blocks, "nothing_blocks_the_event_loop", "(?s)blocked the event loop.*time.sleep"),
]


class Kit(PluginConformance):
    """The kit of an author whose plugin is one of those above."""

    __test__ = False
    kind: ClassVar[type[Guard]] = Guard

    def plugin(self, data_dir: Path) -> object:
        return self.kind(data_dir)

    async def kept(self, data_dir: Path) -> object:
        file = data_dir / "guard-events"
        return file.read_text() if file.exists() else None


@pytest.mark.blocking
@pytest.mark.anyio
@pytest.mark.parametrize(("kind", "promise", "message"), BROKEN, ids=[kind.__name__ for kind, _, _ in BROKEN])
async def test_a_broken_promise_is_found_and_explained(
    kind: type[Guard], promise: str, message: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kit = type("TestOne", (Kit,), {"kind": kind})()
    bench = Bench(tmp_path / "data", kit.plugin, endpoint=kit.endpoint)
    test = getattr(kit, f"test_{promise}")
    wanted = {name: value for name, value in {"bench": bench, "caplog": caplog}.items() if name in signature(test).parameters}
    with pytest.raises(pytest.fail.Exception, match=message):
        await test(**wanted)


def test_every_promise_of_the_kit_is_broken_by_a_plugin() -> None:
    promises = {name.removeprefix("test_") for name in dir(PluginConformance) if name.startswith("test_")}
    assert promises - {promise for _, promise, _ in BROKEN} == set()
