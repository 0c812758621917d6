"""Statistics of queries and the log of slow ones, on a real server; neither holds a value."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from plugins.enopax_postgres.tests.conftest import Site, rows

from enopax_postgres.slow_queries import Totals, added

pytestmark = pytest.mark.anyio
SLOW = "SELECT pg_sleep($1), $2 AS slow"
NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
async def medium(site: Site) -> dict[str, Any]:
    """A database that keeps statistics."""
    return await site.make("watched", plan="postgres-medium")


async def slow(site: Site, database: dict[str, Any]) -> list[dict[str, Any]]:
    """The log, of the one query that was slow here."""
    found = await site.call("GET", f"/{database['id']}/slow-queries")
    return [one for one in found["queries"] if one["query"] == SLOW]


async def test_many_may_ask_at_once_for_the_first_time(site: Site, medium: dict[str, Any]) -> None:
    answers = list[int]()

    async def ask(path: str) -> None:
        answers.append((await site.ask("GET", f"/{medium['id']}/{path}")).status_code)

    async with anyio.create_task_group() as group:
        for path in ("slow-queries", "insights") * 4:
            group.start_soon(ask, path)
    assert answers == [200] * 8


async def test_slow_queries_are_logged_once_and_without_their_values(site: Site, medium: dict[str, Any]) -> None:
    quick = await quick_one(medium)
    await rows(medium, "SELECT pg_sleep(1.1), 'open sesame' AS slow")
    (once,) = await slow(site, medium)
    assert (once["calls"], once["meanSeconds"] > 1, once["longestSeconds"] > 1) == (1, True, True)
    await rows(medium, "SELECT pg_sleep(1.2), 'another' AS slow")
    assert [one["calls"] for one in await slow(site, medium)] == [1, 1]
    said = str(await site.call("GET", f"/{medium['id']}/slow-queries"))
    assert "sesame" not in said
    assert quick not in said


async def quick_one(database: dict[str, Any]) -> str:
    """The name of a query that was quick: whoever waited for it, to log in included, did so for less than a second."""
    for name in ("quick_a", "quick_b", "quick_c", "quick_d", "quick_e"):
        began = time.monotonic()
        await rows(database, f"SELECT 1 AS {name}")
        if time.monotonic() - began < 1:
            return name
    raise AssertionError("this machine answers nothing within a second")


async def test_insights_tell_which_queries_take_the_time_without_their_values(site: Site, medium: dict[str, Any]) -> None:
    await rows(medium, "SELECT 'open sesame' AS quick")
    found = await site.call("GET", f"/{medium['id']}/insights")
    assert "SELECT $1 AS quick" in [query["query"] for query in found["byTotalTime"]]
    assert "sesame" not in str(found)


async def test_a_plan_without_statistics_says_so(site: Site, database: dict[str, Any]) -> None:
    for path in ("insights", "slow-queries"):
        answer = await site.ask("GET", f"/{database['id']}/{path}")
        assert (answer.status_code, "postgres-medium" in answer.json()["detail"]) == (409, True)


@pytest.mark.parametrize(
    ("before", "now", "logged"),
    [
        (None, Totals(calls=1, seconds=3, longest=3), (1, 3.0, 3.0)),
        (Totals(calls=1, seconds=3, longest=3), Totals(calls=1, seconds=3, longest=3), None),
        (Totals(calls=1, seconds=3, longest=3), Totals(calls=3, seconds=7, longest=3), (2, 2.0, None)),
        (Totals(calls=1, seconds=3, longest=3), Totals(calls=11, seconds=4, longest=3), None),
        (Totals(calls=1, seconds=3, longest=3), Totals(calls=11, seconds=8, longest=5), (10, 0.5, 5.0)),
        (Totals(calls=9, seconds=9, longest=9), Totals(calls=1, seconds=2, longest=2), (1, 2.0, 2.0)),
    ],
    ids=["the first", "nothing new", "as slow as before", "quick ones", "slower than ever", "statistics begun anew"],
)
def test_what_was_added_since_the_last_look_is_told(before: Totals | None, now: Totals, logged: tuple[Any, ...] | None) -> None:
    known: Mapping[str, Totals] = {} if before is None else {"1": before}
    found = [(one.calls, one.mean_seconds, one.longest_seconds) for one in added(known, {"1": now}, {"1": "SELECT"}, NOW)]
    assert found == ([] if logged is None else [logged])
