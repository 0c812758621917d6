"""Secrets are where they belong and nowhere else: not in logs, events, errors, nor readable in the data directory."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from tests.acceptance.gitkit import Person
from tests.acceptance.repositories import create
from tests.acceptance.serverkit import Server

PLACE = {"organisationName": "Acme", "projectName": "Web"}


def use_everything(server: Server, ann: Person) -> list[str]:
    """Make, use and change secrets of every kind; all that were ever given out."""
    repository = create(server, "site", ann)
    token = repository.token
    ann.git("push", "--quiet", repository.signed_in, "main", cwd=ann.work_tree("site"))
    ann.refused("ls-remote", repository.http.replace("://", "://git:enx_git_wrong-guess@"))
    rotated = server.api.post(f"/v1/git-repo/{repository.id}/credentials/rotate").json()["credentials"]["token"]
    example = server.api.post("/v1/example", json={"name": "e", **PLACE}, headers={"Idempotency-Key": "once"}).json()
    made = server.api.post("/v1/keys", json={"name": "k", "role": "member", "organisation": "Acme"}).json()["key"]
    resource_token = server.api.post(f"/v1/example/{example['id']}/tokens").json()["token"]
    httpx.get(f"{server.url}/v1/operations/{example['operation']}/events", params={"token": resource_token}).raise_for_status()
    httpx.get(f"{server.url}/v1/example", params={"org": "Acme", "project": "Web"}, headers={"X-API-Key": made + "x"})
    owner = str(server.api.headers["x-api-key"])
    return [token, rotated, example["credentials"]["token"], made, resource_token, owner]


def test_secrets_stay_out_of_logs_events_and_lists(server: Server, person: Callable[[str], Person]) -> None:
    secrets = use_everything(server, person("ann"))
    where = {"org": "Acme", "project": "Web"}
    told: dict[str, Any] = {
        path: server.api.get(path, params=where).text
        for path in ("/v1/git-repo", "/v1/example", "/v1/operations", "/v1/keys", "/v1/audit", "/metrics", "/openapi.json")
    }
    with server.api.stream("GET", "/v1/events", params=where, headers={"Last-Event-ID": "0"}) as events:
        pieces = events.iter_text()
        told["events"] = ""
        while "operation.succeeded" not in told["events"]:
            told["events"] += next(pieces)
    told["processes"] = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert server.stop() == 0
    told["log"] = server.said()
    found = [(where, secret[:12]) for where, text in told.items() for secret in secrets if secret in text]
    assert found == []


def test_no_secret_lies_readable_in_the_data_directory(server: Server, person: Callable[[str], Person]) -> None:
    *secrets, owner = use_everything(server, person("ann"))
    assert server.stop() == 0
    files = [path for path in server.data_dir.rglob("*") if path.is_file()]
    assert {path.name for path in files if owner.encode() in path.read_bytes()} == {"owner.key"}
    found = [(path.name, secret[:12]) for path in files for secret in secrets if secret.encode() in path.read_bytes()]
    assert found == []
    private = [server.data_dir, *(server.data_dir / name for name in ("owner.key", "vault.keys", "ledger.sqlite3"))]
    assert [_mode(path) for path in private] == [0o700, 0o600, 0o600, 0o600]


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777
