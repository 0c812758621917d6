"""`Idempotency-Key`: the same request again gets the recorded answer again."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

from starlette.responses import Response

from enopax_core.api.answers import answer_to
from enopax_core.api.call import Call
from enopax_core.core.core import Core
from enopax_core.errors import IdempotencyMismatch, RequestInFlight
from enopax_core.ledger import idempotency
from enopax_core.ledger.idempotency import BoundRequest
from enopax_core.ledger.interface import Transaction

KEPT_HEADERS = ("location", "content-type", "etag", "cache-control", "preference-applied")
Make = Callable[[BoundRequest | None], Awaitable[Response]]
Anew = Callable[[Call, str], Awaitable[Response]]


class Once:
    """Answers each key once. What is in flight is known to this process; the ledger knows the rest."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._in_flight: set[tuple[str, str]] = set()

    async def __call__(self, call: Call, body: Any, make: Make, anew: Anew = answer_to) -> Response:
        """Make the answer, or give the recorded one. Raises RequestInFlight, IdempotencyMismatch.

        `anew` makes an answer that was lost in a crash from the operation that the key was bound to.
        """
        key = call.idempotency_key()
        if key is None:
            return await make(None)
        caller = call.principal.credential or call.principal.id
        bound = BoundRequest(caller=caller, key=key, fingerprint=_fingerprint(call, body))
        if (caller, key) in self._in_flight:
            raise RequestInFlight
        self._in_flight.add((caller, key))
        try:
            found = await self._core.ledger.read(partial(idempotency.find, caller=caller, key=key, now=self._core.clock()))
            if found is None:
                response = await make(bound)
            elif found.fingerprint != bound.fingerprint:
                raise IdempotencyMismatch
            elif found.sealed_answer is not None:
                return self._replayed(found.sealed_answer)
            elif found.operation is not None:
                response = await anew(call, found.operation)
            else:
                response = await make(None)
            if response.status_code < 300:
                await self._record(bound, response)
            return response
        finally:
            self._in_flight.discard((caller, key))

    def seal(self, response: Response) -> bytes | None:
        """An answer as it is recorded, secrets encrypted."""
        headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
        body = base64.b64encode(bytes(response.body)).decode()
        return self._core.vault.seal({"status": response.status_code, "headers": headers, "body": body})

    def _replayed(self, sealed: bytes) -> Response:
        kept = self._core.vault.open(sealed)
        return Response(base64.b64decode(kept["body"]), kept["status"], kept["headers"])

    async def _record(self, bound: BoundRequest, response: Response) -> None:
        def write(transaction: Transaction) -> None:
            sealed = self.seal(response)
            if idempotency.find(transaction, bound.caller, bound.key, transaction.now) is None:
                idempotency.bind(transaction, replace(bound, sealed_answer=sealed), transaction.now)
            else:
                idempotency.answer(transaction, bound.caller, bound.key, sealed)

        await self._core.ledger.write(write)


def _fingerprint(call: Call, body: Any) -> str:
    """Of method, path with query, and body compared as JSON."""
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    request = call.request
    parts = (request.method, request.scope["path"], request.scope.get("query_string", b"").decode("latin-1"), canonical)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
