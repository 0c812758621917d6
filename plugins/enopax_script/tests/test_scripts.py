"""What goes into a script and what comes out of it, with real processes."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from plugins.enopax_script.tests.scriptkit import write_folder

from enopax_core import Core, Settings, create_app
from enopax_core.errors import PermanentError, TemporaryError, TimedOut
from enopax_core.provider import Action, Json, LogLine, Metric, Observed, Outcome, Provider
from enopax_core.testing import Scenario
from enopax_core.testing.handle import Handle
from enopax_script import plugin

pytestmark = pytest.mark.anyio
Make = Callable[..., Scenario]


# ── In ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_script_reads_what_the_customer_sent_flat_with_the_id(scenario: Make, tmp_path: Path) -> None:
    made = scenario(provision='cat >"$DATA/seen"')
    await made.run("provision", made.new())
    seen = json.loads((tmp_path / "data/seen").read_text())
    assert {name: seen[name] for name in ("id", "name", "organisationName", "projectName", "sshKeys", "size")} == {
        "id": "acme-web-one-abc123",
        "name": "one",
        "organisationName": "Acme",
        "projectName": "Web",
        "sshKeys": [],
        "size": 1,
    }


async def test_a_script_reads_what_the_core_knows_of_the_resource(scenario: Make, tmp_path: Path) -> None:
    plans = [{"id": "small", "limits": {"bytes": 5}}]
    outcome = """echo '{"credentials": {"token": "t"}, "state": {"port": 7}}'"""
    made = scenario({"plans": plans}, provision=outcome, update='cat >"$DATA/seen"')
    provisioned = await made.run("provision", made.new())
    await made.run("update", provisioned.resource, {"size": 2})
    seen = json.loads((tmp_path / "data/seen").read_text())
    assert (seen["plan"], seen["size"], seen["operation"]["attempt"]) == ("small", 2, 1)
    assert seen["resource"] == {
        "organisationSlug": "acme",
        "projectSlug": "web",
        "limits": {"bytes": 5},
        "applied": {"size": 1},
        "state": {"port": 7},
        "credentials": {"token": "t"},
    }


async def test_a_script_finds_a_clean_environment_and_its_own_folder(
    scenario: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "not for scripts")
    made = scenario(provision='pwd >"$DATA/folder"; env >"$DATA/env"')
    await made.run("provision", made.new())
    names = {line.partition("=")[0] for line in (tmp_path / "data/env").read_text().splitlines()}
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == {"PATH", "LC_ALL", "HOME", "DATA", "ENOPAX_RUN"}
    assert (tmp_path / "data/folder").read_text().strip() == str(tmp_path / "thing")


async def test_a_script_need_not_read_its_input(scenario: Make) -> None:
    made = scenario({"schema": {"properties": {"text": {"type": "string"}}}}, provision="exit 0")
    assert (await made.run("provision", made.new({"text": "x" * 1_000_000}))).outcome.access is None


# ── Out ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_a_script_prints_is_the_outcome(scenario: Make) -> None:
    made = scenario(
        provision="""jq '{success: true, id, name, status: "active", access: "thing://\\(.id)", connection: {url: "thing://x"},
        credentials: {token: "t"}, state: {port: 7}, message: "Made."}'"""
    )
    outcome = (await made.run("provision", made.new())).outcome
    assert (outcome.access, outcome.connection) == ("thing://acme-web-one-abc123", {"url": "thing://x"})
    assert (outcome.credentials, outcome.state, outcome.message) == ({"token": "t"}, {"port": 7}, "Made.")


async def test_lines_of_progress_are_reported_and_are_no_part_of_the_answer(scenario: Make) -> None:
    made = scenario(
        provision="""echo 'progress allocate'; echo 'progress configure 45% Writing files'; echo '{"access":
    "thing://x"}'; echo 'progress verify Looking at it'"""
    )
    result = await made.run("provision", made.new())
    assert [(p.stage, p.percent, p.message) for p in result.progress] == [
        ("allocate", 20, ""),
        ("configure", 45, "Writing files"),
        ("verify", 80, "Looking at it"),
    ]
    assert result.outcome.access == "thing://x"


async def test_what_is_announced_is_kept_even_if_the_script_fails_later(thing: Callable[..., Provider[Json]]) -> None:
    provider = thing(provision="""echo 'announce {"access": "thing://x"}'; exit 75""")
    operation = Handle()
    with pytest.raises(TemporaryError):
        await _awaited(provider.provision(operation, Scenario(provider).new()))
    assert [outcome.access for outcome in operation.announced] == ["thing://x"]


async def test_an_id_of_the_scripts_own_is_refused_with_the_remedy(scenario: Make) -> None:
    made = scenario(provision="""echo "{\\"id\\": \\"mine-$RANDOM\\"}" """)
    with pytest.raises(PermanentError, match="made an id of its own: name everything after `id`"):
        await made.run("provision", made.new())


@pytest.mark.parametrize(
    ("printed", "health"),
    [
        ('{"health": "degraded", "message": "One is down."}', "degraded"),
        ('{"success": true, "status": "active"}', "ready"),
        ('{"status": "MAINTENANCE"}', "maintenance"),
        ('{"status": "deleted"}', "missing"),
    ],
)
async def test_status_answers_in_the_words_of_today_or_of_the_first_api(scenario: Make, printed: str, health: str) -> None:
    made = scenario(status=f"echo '{printed}'")
    observed: Observed = (await made.run("status", made.new())).value
    assert observed.health == health


async def test_metrics_are_numbers_with_or_without_a_unit(scenario: Make) -> None:
    made = scenario(metrics="""echo '{"metrics": {"size": {"value": 3, "unit": "bytes"}, "commits": 5}}'""")
    provisioned = await made.run("provision", made.new())
    measured = (await made.run("metrics", provisioned.resource)).value
    assert measured == {"size": Metric(value=3, unit="bytes"), "commits": Metric(value=5, unit="commits")}


async def test_lists_are_read_alone_or_below_their_key(scenario: Make) -> None:
    made = scenario(
        preview="""echo '[{"action": "create", "what": "a thing"}]'""",
        logs="""echo '{"lines": [{"time": "2026-01-01T00:00:00Z", "message": "Began."}]}'""",
        inventory="""echo '["a", "b"]'""",
    )
    provisioned = await made.run("provision", made.new())
    assert (await made.run("preview", made.new())).value == [Action(action="create", what="a thing")]
    lines = (await made.run("logs", provisioned.resource)).value
    assert lines == [LogLine(time=datetime(2026, 1, 1, tzinfo=UTC), message="Began.")]
    assert await made.inventory() == {"a", "b"}


# ── Failing ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("script", "kind", "message"),
    [
        ("exit 75", TemporaryError, "provision.sh cannot do this now."),
        ("""echo '{"error": "The disk is full."}'; exit 75""", TemporaryError, "The disk is full."),
        ("echo error The disk is full.; exit 75", TemporaryError, "The disk is full."),
        ("echo error No such zone.; exit 1", PermanentError, "No such zone."),
        ("exit 65", PermanentError, "provision.sh refused."),
        ("""echo '{"success": false, "error": "No such zone."}'""", PermanentError, "No such zone."),
        ("""echo '{"success": false, "error": "No such zone."}'; exit 1""", PermanentError, "No such zone."),
        ("exit 3", TemporaryError, "provision.sh ended with status 3."),
        ("kill -9 $$", TemporaryError, "provision.sh was ended by SIGKILL."),
        ("echo made it", PermanentError, "provision.sh printed something else than JSON on its standard output."),
        ("""echo '{"connection": {"port": 5432}}'""", PermanentError, "/connection/port: Input should be a valid string."),
        ("echo '[1]'", PermanentError, "printed what cannot be used: the whole: "),
    ],
)
async def test_how_a_script_ends_says_whether_to_try_again(
    scenario: Make, script: str, kind: type[Exception], message: str
) -> None:
    made = scenario(provision=script)
    with pytest.raises(kind, match=re.escape(message)):
        await made.run("provision", made.new())


async def test_a_script_may_say_when_to_try_again(scenario: Make) -> None:
    made = scenario(provision="""echo '{"retryAfter": 90}'; exit 75""")
    with pytest.raises(TemporaryError) as raised:
        await made.run("provision", made.new())
    assert raised.value.retry_after == timedelta(seconds=90)


async def test_an_interpreter_that_is_missing_is_named(scenario: Make) -> None:
    made = scenario(provision="#!/no/such/interpreter\n")
    with pytest.raises(PermanentError, match=r"provision\.sh cannot be run: No such file or directory"):
        await made.run("provision", made.new())


async def test_a_script_that_prints_without_end_is_stopped(scenario: Make) -> None:
    made = scenario(provision="yes")
    with pytest.raises(PermanentError, match="printed more than 1048576 bytes"):
        await made.run("provision", made.new())


async def test_a_script_that_takes_too_long_is_stopped(scenario: Make) -> None:
    made = scenario({"timeouts": {"provision": 0.2}}, provision="sleep 600")
    with pytest.raises(TimedOut, match=r"provision\.sh took longer than 0\.2 s"):
        await made.run("provision", made.new())


# ── Endpoints ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_custom_endpoint_gets_path_and_body_and_its_answer_is_the_clients(tmp_path: Path) -> None:
    manifest = {
        "customEndpoints": [
            {"name": "paint", "path": "/walls/{wall}", "schema": {"type": "object", "required": ["colour"]}, "durable": False},
            {"name": "tear", "path": "/walls/{wall}/tear"},
        ]
    }
    answer = "jq '{wall: .path.wall, colour: .request.colour, attempt: .operation.attempt, id}'"
    path = write_folder(tmp_path / "thing", manifest, paint=answer, tear=answer)
    settings = Settings(data_dir=tmp_path / "data", sections={"script": {"folders": (path,)}})
    async with Core(settings, plugins=[plugin]) as core:
        transport = httpx.ASGITransport(create_app(core))
        headers = {"X-API-Key": core.owner_key_file.read_text().strip()}
        async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
            made = (await client.post("/v1/thing", json={"name": "one", "organisationName": "Acme"})).json()
            base = f"/v1/thing/{made['id']}/walls/north"
            assert (await client.post(base, json={})).json()["errors"][0]["pointer"] == "/colour"
            painted = (await client.post(base, json={"colour": "red"})).json()
            assert painted == {"success": True, "wall": "north", "colour": "red", "attempt": None, "id": made["id"]}
            torn = (await client.post(f"{base}/tear")).json()
            assert (torn["wall"], torn["attempt"]) == ("north", 1)


# ── Secrets ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_a_script_writes_to_standard_error_is_logged_without_secrets(
    scenario: Make, caplog: pytest.LogCaptureFixture
) -> None:
    made = scenario(
        {"schema": {"properties": {"password": {"type": "string", "writeOnly": True}}}},
        provision="""password=$(jq -r .password); set -x; echo "$password" >/dev/null
        echo '{"credentials": {"token": "made-just-now"}, "state": {"pin": "in the state"}}'; echo $'in the state \\e[1m' >&2""",
    )
    with caplog.at_level(logging.INFO, "enopax_script"):
        await made.run("provision", made.new({"password": "correct-horse"}))
    lines = [record.getMessage().partition(": ")[2] for record in caplog.records]
    assert lines[0] == "+ echo ***"
    assert lines[-1] == "*** \N{REPLACEMENT CHARACTER}[1m"
    assert not any(secret in caplog.text for secret in ("correct-horse", "made-just-now", "in the state"))


async def test_an_error_of_a_script_does_not_repeat_a_secret(scenario: Make) -> None:
    made = scenario(
        {"schema": {"properties": {"password": {"type": "string", "writeOnly": True}}}},
        provision="""jq '{error: "I cannot use \\(.password)."}'""",
    )
    with pytest.raises(PermanentError, match=r"I cannot use \*\*\*\."):
        await made.run("provision", made.new({"password": "correct-horse"}))


async def _awaited(value: Outcome | Awaitable[Outcome]) -> Outcome:
    assert not isinstance(value, Outcome)
    return await value
