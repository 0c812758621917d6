"""Smart HTTP: a plain ASGI application that streams both ways between a client and Git."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import os
import re
import signal
import subprocess
import time
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from enopax_core import Host, Presented, Principal
from enopax_core.errors import EnopaxError, TooManyRequests
from enopax_git.access import Gate, Refused
from enopax_git.pipes import Pipe
from enopax_git.processes import Access, Service, command, environment

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ROUTE = re.compile(r"^/(?P<path>[^/]+/[^/]+/[^/]+?)(?:\.git)?/(?P<rest>info/refs|git-upload-pack|git-receive-pack)$")
CHUNK = 64 << 10  # bytes a turn of the event loop: larger ones make the API's requests wait
REQUEST_BYTES = 64 << 20  # of an upload-pack request after inflating: haves and wants, no packs
CHALLENGE = (b"www-authenticate", b'Basic realm="Enopax Git"')
Finished = Callable[[str, str, bool, float], None]


class SmartHttp:
    """Serves `/ORGANISATION/PROJECT/NAME.git/…` below `prefix`."""

    def __init__(self, host: Host, gate: Gate, *, prefix: str, hooks: Path, finished: Finished) -> None:
        self._host, self._gate, self._prefix = host, gate, prefix
        self._hooks, self._finished = hooks, finished
        self._transfers: dict[subprocess.Popen[bytes], tuple[Principal, Access]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        path = scope["path"].removeprefix(scope.get("root_path", "")).removeprefix(self._prefix)
        match = ROUTE.fullmatch(path)
        method = scope["method"]
        if match is None or method not in ("GET", "POST") or (method == "GET") != (match["rest"] == "info/refs"):
            await _plain(send, 404, "There is nothing here.")
            return
        service = _service(match["rest"], scope["query_string"])
        if service is None:
            await _plain(send, 403, "Only smart HTTP is possible here: use a newer Git.")
            return
        try:
            principal = await self._principal(scope, headers)
            if principal is None:
                await _plain(send, 401, "Sign in with the repository's user name and token.", CHALLENGE)
                return
            access = await self._gate.open(principal, match["path"], service)
        except Refused as error:
            await _plain(send, 403 if "may" in str(error) and "not push" in str(error) else 404, str(error))
            return
        except TooManyRequests as error:
            await _plain(send, 429, error.message, (b"retry-after", b"60"))
            return
        except EnopaxError:
            await _plain(send, 401, "This user name and token are not valid.", CHALLENGE)
            return
        await self._serve(scope, receive, send, headers, principal, access, advertise=method == "GET")

    def revoked(self, credential: str) -> None:
        """A credential stopped being valid: end its transfers."""
        for git, (principal, _) in list(self._transfers.items()):
            if principal.credential == credential:
                _kill(git)

    async def recheck(self, resource: str) -> None:
        """Something happened to a resource: end the transfers that it does not admit any more."""
        for git, (principal, access) in list(self._transfers.items()):
            if access.resource == resource and not await self._gate.still(principal, resource, access.service):
                _kill(git)

    async def _principal(self, scope: Scope, headers: dict[str, str]) -> Principal | None:
        """Who this is; None: nothing was presented. Raises EnopaxError."""
        scheme, _, value = headers.get("authorization", "").partition(" ")
        address = scope["client"][0] if scope.get("client") else ""
        if scheme.lower() == "basic":
            try:
                user, _, password = base64.b64decode(value, validate=True).decode("utf-8").partition(":")
            except (binascii.Error, ValueError):
                return None
            return await self._host.authenticate(Presented(address=address, basic=(user, password)))
        if scheme.lower() == "bearer":
            return await self._host.authenticate(Presented(address=address, token=value))
        return None

    async def _serve(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        headers: dict[str, str],
        principal: Principal,
        access: Access,
        *,
        advertise: bool,
    ) -> None:
        protocol = headers.get("git-protocol")
        options = ("--stateless-rpc", "--advertise-refs") if advertise else ("--stateless-rpc",)
        kind = "advertisement" if advertise else "result"
        began, ok = time.monotonic(), False
        source, sink = Pipe.from_child(), Pipe.to_child()
        try:
            git = subprocess.Popen(  # noqa: ASYNC220  # vfork and exec: 1 ms
                ["nice", "-n", "5", *command(access, self._hooks, *options)],
                env=environment(access, protocol),
                stdin=sink.outer,
                stdout=source.outer,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:
            source.close()
            sink.close()
            raise
        source.close_outer()
        sink.close_outer()
        self._transfers[git] = (principal, access)
        came = asyncio.Event()
        feeding = asyncio.create_task(_feed(receive, git, sink, headers, access.service, came))
        try:
            # An answer that begins before a push is in ends the push behind nginx: once it has passed headers on, it sends
            # no more of the request's body (ngx_http_upstream_send_request_handler), and both sides wait for ever.
            if access.service == "receive-pack":
                await came.wait()
            chunk = await source.read(CHUNK)
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [
                        (b"content-type", f"application/x-git-{access.service}-{kind}".encode()),
                        (b"cache-control", b"no-cache, max-age=0, must-revalidate"),
                    ],
                }
            )
            if advertise and not (protocol or "").startswith("version=2"):
                line = f"# service=git-{access.service}\n".encode()
                await send(_body(b"%04x" % (len(line) + 4) + line + b"0000"))
            while chunk:
                await send(_body(chunk))
                await asyncio.sleep(0)  # where pipe and socket are both ready, nobody else would get a turn
                chunk = await source.read(CHUNK)
            ok = await asyncio.to_thread(git.wait) == 0
            await send(_body(b"", more=False))
        finally:
            _kill(git)
            feeding.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError, zlib.error, ValueError):
                await feeding
            source.close()
            sink.close()
            await asyncio.to_thread(git.wait)
            del self._transfers[git]
            if not advertise:
                self._finished("http", access.service, ok, time.monotonic() - began)


def _service(rest: str, query: bytes) -> Service | None:
    """By route; the parameter only says which advertisement is wanted, and is authorised as that service."""
    asked = parse_qs(query.decode("latin-1")).get("service", [""])[0] if rest == "info/refs" else rest
    return "upload-pack" if asked == "git-upload-pack" else "receive-pack" if asked == "git-receive-pack" else None


async def _feed(
    receive: Receive,
    git: subprocess.Popen[bytes],
    sink: Pipe,
    headers: dict[str, str],
    service: Service,
    came: asyncio.Event,
) -> None:
    """The request's body to Git, inflated if need be; a client that goes away takes Git along.

    Sets `came` once the body is in, or nobody wants the rest of it.
    """
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16) if headers.get("content-encoding") in ("gzip", "x-gzip") else None
    seen = 0
    try:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                _kill(git)
                return
            more = message.get("more_body", False)
            data = message.get("body", b"")
            while data:
                part = data if inflate is None else inflate.decompress(data, CHUNK)
                data = b"" if inflate is None else inflate.unconsumed_tail
                seen += len(part)
                if service == "upload-pack" and seen > REQUEST_BYTES:
                    _kill(git)
                    return
                await sink.write(part)
    except (OSError, zlib.error):
        pass  # Git has ended early, and says why itself; or what came was no gzip
    finally:
        came.set()
    sink.close()
    while (await receive())["type"] != "http.disconnect":
        pass
    _kill(git)


def _body(data: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def _plain(send: Send, status: int, text: str, *headers: tuple[bytes, bytes]) -> None:
    body = text.encode() + b"\n"
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"content-length", b"%d" % len(body)),
                (b"cache-control", b"no-cache"),
                *headers,
            ],
        }
    )
    await send(_body(body, more=False))


def _kill(git: subprocess.Popen[bytes]) -> None:
    if git.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(git.pid, signal.SIGKILL)
