"""Repositories of a running server, as the API gives them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.acceptance.gitkit import Person
from tests.acceptance.serverkit import Server

ENDPOINT = "/v1/git-repo"


@dataclass(frozen=True, kw_only=True)
class Repository:
    """What the answer to a provisioning says."""

    id: str
    ssh: str
    http: str
    token: str

    @property
    def signed_in(self) -> str:
        """The HTTP address with user name and token in it."""
        return self.http.replace("://", f"://git:{self.token}@", 1)

    @property
    def path(self) -> str:
        """`organisation/project/name.git`"""
        return urlsplit(self.ssh).path.removeprefix("/")


def create(server: Server, name: str, *people: Person, organisation: str = "Acme", **config: Any) -> Repository:
    """Provision one that these people may reach, and wait for it."""
    body = {"name": name, "organisationName": organisation, "projectName": "Web", "sshKeys": [one.public_key for one in people]}
    answer = server.api.post(ENDPOINT, json={**body, **config})
    assert answer.status_code == 201, answer.text
    found = answer.json()
    connection, credentials = found["connection"], found["credentials"]
    return Repository(id=found["id"], ssh=connection["ssh"], http=connection["http"], token=credentials["token"])


def change(server: Server, repository: Repository, **config: Any) -> dict[str, Any]:
    """Update one, and wait for it."""
    answer = server.api.put(f"{ENDPOINT}/{repository.id}", json=config)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def act(server: Server, method: str, repository: Repository, rest: str = "", status: int = 200) -> dict[str, Any]:
    """Any other request about one, answered with this status."""
    answer = server.api.request(method, f"{ENDPOINT}/{repository.id}{rest}")
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


def on_disk(server: Server, repository: Repository) -> list[Path]:
    """Everything in the data directory that belongs to it."""
    return [path for path in (server.data_dir / "git").rglob(f"*{repository.id}*")]
