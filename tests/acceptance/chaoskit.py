"""Clients that never give up: each request carries an idempotency key and is repeated until somebody answers it."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

EXAMPLE, GIT = "/v1/example", "/v1/git-repo"
PLACE = {"organisationName": "Acme", "projectName": "Chaos"}
WAITS: tuple[dict[str, str], ...] = ({"Prefer": "respond-async"}, {"Prefer": "wait=2"}, {})
PATIENCE = 90.0  # seconds until a request that nobody answers is called lost


@dataclass(kw_only=True)
class Wanted:
    """A resource as its client believes it to be: the last change that was accepted."""

    id: str
    endpoint: str
    name: str
    live: bool = True
    restorable: bool = False
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A request that was accepted, and its answer."""

    method: str
    path: str
    body: dict[str, Any] | None
    headers: dict[str, str]
    answer: httpx.Response


class Customer:
    """Provisions, changes, deletes and restores, one request after the other."""

    def __init__(self, number: int, seed: int, url: str, key: str, public_key: str) -> None:
        self.number, self.random = number, random.Random(f"{seed}-{number}")
        self.resources: list[Wanted] = []
        self.exchanges: list[Exchange] = []
        self.refusals = 0
        self._public_key = public_key
        self._client = httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=5)

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def act(self) -> None:
        """One change of a kind that makes sense now."""
        live = [one for one in self.resources if one.live]
        taken = {one.name for one in live}
        restorable = [one for one in self.resources if one.restorable and not one.live and one.name not in taken]
        choice = self.random.random()
        if len(live) < 3 or (choice < 0.35 and len(live) < 12):
            self._provision(taken)
        elif choice < 0.7:
            self._update(self.random.choice(live))
        elif choice < 0.8 and restorable:
            self._restore(self.random.choice(restorable))
        else:
            self._delete(self.random.choice(live))

    def _provision(self, taken: set[str]) -> None:
        endpoint = self.random.choice((EXAMPLE, GIT))
        # Few names, so that deleted ones are used again; some that every customer wants.
        shared = self.random.random() < 0.2
        names = [f"shared-{n}" for n in range(6)] if shared else [f"c{self.number}-{n}" for n in range(20)]
        name = self.random.choice([name for name in names if name not in taken] or ["shared-x"])
        config: dict[str, Any] = {"description": self._word(), "sshKeys": [self._public_key]}
        if endpoint == EXAMPLE:
            config = {
                "message": self._word(),
                "delay": self.random.choice((0, 0, 0.1, 0.5)),
                "fail": self.random.choice((0, 0, 1)),
            }
        answer = self._send("POST", endpoint, {"name": name, **PLACE, **config}, taken=name.startswith("shared"))
        if answer is not None:
            found = answer.json()
            self.resources.append(Wanted(id=found["id"], endpoint=endpoint, name=name, config=config, restorable=False))
            self._seen(self.resources[-1], answer)

    def _update(self, resource: Wanted) -> None:
        change = {"message": self._word()} if resource.endpoint == EXAMPLE else {"description": self._word()}
        if resource.endpoint == GIT and self.random.random() < 0.5:
            change = {"defaultBranch": self.random.choice(("main", "trunk", "a/b"))}
        answer = self._send(self.random.choice(("PUT", "PATCH")), f"{resource.endpoint}/{resource.id}", change)
        assert answer is not None
        resource.config |= change
        self._seen(resource, answer)

    def _delete(self, resource: Wanted) -> None:
        answer = self._send("DELETE", f"{resource.endpoint}/{resource.id}", None)
        assert answer is not None
        resource.live = False
        resource.restorable = resource.restorable and answer.status_code == 200

    def _restore(self, resource: Wanted) -> None:
        shared = resource.name.startswith("shared")
        if self._send("POST", f"{resource.endpoint}/{resource.id}/restore", None, taken=shared) is not None:
            resource.live = True

    def _seen(self, resource: Wanted, answer: httpx.Response) -> None:
        """Where a backend was seen, deleting keeps it (of repositories, that is)."""
        resource.restorable |= resource.endpoint == GIT and answer.status_code in (200, 201)

    def _word(self) -> str:
        return f"{self.random.getrandbits(64):x}"

    def _send(self, method: str, path: str, body: dict[str, Any] | None, *, taken: bool = False) -> httpx.Response | None:
        """Repeat until it is answered; None: somebody else has the name, which only `taken` allows."""
        headers = {"Idempotency-Key": self._word() + self._word(), **self.random.choice(WAITS)}
        until = time.monotonic() + PATIENCE
        while True:
            assert time.monotonic() < until, f"nobody answers {method} {path}"
            try:
                answer = self._client.request(method, path, json=body, headers=headers)
            except httpx.TransportError:
                time.sleep(0.05)
                continue
            if answer.status_code == 503 or (answer.status_code == 409 and "retry-after" in answer.headers):
                time.sleep(0.05)
                continue
            if answer.status_code == 409 and taken:
                self.refusals += 1
                return None
            assert answer.status_code in (200, 201, 202), f"{method} {path} {body}: {answer.status_code} {answer.text}"
            self.exchanges.append(Exchange(method=method, path=path, body=body, headers=headers, answer=answer))
            return answer
