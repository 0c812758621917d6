"""Requests and answers that the reference shows, exchanged with a real server.

A block marked `http` that begins with a method is sent; the block behind it is what must come back. What differs from run to
run (ids, times, secrets, addresses) is compared by its kind, and named by its real value in the requests that follow. `…`
stands for more of the same: as a name in an object, or as a line of text.

    python -m tests.acceptance.exchanges docs/reference/endpoints.md

writes the answers of a server of its own into a page; those with a `…` are left to people.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tests.acceptance.serverkit import serving

BLOCK = re.compile(r"^```http\n(.*?)^```$", re.MULTILINE | re.DOTALL)
METHOD = re.compile(r"[A-Z]+ /")
VOLATILE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d(?:T[\d:.]+Z| \d\d:\d\d UTC))"
    r"|(?P<secret>enx_(?:key|tok|git)_[\w-]+…?)"
    r"|(?P<id>\b(?:op|ev|key|tok|org|prj)-[0-9a-f]{20}\b)"
    r"|(?P<resource>\b[a-z0-9-]+-[a-z2-7]{10}\b)"
    r"|(?P<hash>\b[0-9a-f]{64}\b)"
    r"|(?P<address>127\.0\.0\.1:\d+)"
    r"|(?P<position>(?<=^id: )\d+)"
)
OPAQUE = {"token"}  # fields whose strings are secrets without a mark of their own
PASSING = {"progress"}  # fields that depend on how far an operation came meanwhile
SHOWN_HEADERS = ("Location", "Preference-Applied", "ETag", "Retry-After", "Content-Type")
MORE = "…"
WIDTH = 118
LONGEST = 1000  # lines of a stream that a page does not show yet


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A request and its answer, as a page shows them."""

    request: str
    answer: str

    @property
    def abridged(self) -> bool:
        """Whether the answer leaves something out."""
        return MORE in self.answer.replace(f"_{MORE}", "")


def exchanges(page: str) -> list[Exchange]:
    """All of a page, in order."""
    blocks = BLOCK.findall(page)
    return [
        Exchange(request=block, answer=following)
        for block, following in zip(blocks, [*blocks[1:], ""], strict=True)
        if METHOD.match(block)
    ]


class Reader:
    """Sends what a page shows; knows what the page's values are called in this run."""

    def __init__(self, owner: httpx.Client) -> None:
        self._owner = owner
        self._real: dict[str, str] = {}

    def send(self, request: str, lines: int) -> httpx.Response:
        """Send a request. Of a stream of events, so many lines are read."""
        head, _, body = self.named(request).partition("\n\n")
        first, *fields = head.splitlines()
        method, target, _ = first.split(" ")
        headers = dict(field.split(": ", 1) for field in fields if not field.endswith(MORE))  # the owner's key is the client's
        with self._owner.stream(method, target, headers=headers, content=body.strip() or None) as answer:
            if answer.headers.get("content-type", "").startswith("text/event-stream"):
                read = [line for line, _ in zip(answer.iter_lines(), range(lines), strict=False)]
                return httpx.Response(answer.status_code, headers=answer.headers, text="\n".join(read))
            answer.read()
            return answer

    def named(self, request: str) -> str:
        """A request with the values of this run."""
        for documented, real in self._real.items():
            request = request.replace(documented, real)
        return request

    def learn(self, documented: str, real: str) -> None:
        """Two strings that are alike: what differs between them is the same thing under two names."""
        for one, other in zip(VOLATILE.finditer(documented), VOLATILE.finditer(real), strict=True):
            if one.lastgroup not in ("time", "position"):
                self._real[one.group()] = other.group()

    def compare(self, documented: Any, real: Any, at: str = "") -> Iterator[str]:
        """What is different, each with its place."""
        match documented, real:
            case dict(), dict():
                abridged = MORE in documented
                names = documented.keys() - {MORE}
                if real.keys() - names and not abridged:
                    yield f"{at}: not shown: {sorted(real.keys() - names)}"
                if names - real.keys():
                    yield f"{at}: shown and not there: {sorted(names - real.keys())}"
                for name in sorted(names & real.keys()):
                    if name in OPAQUE and isinstance(real[name], str):
                        self._real[documented[name]] = real[name]
                    elif name not in PASSING:
                        yield from self.compare(documented[name], real[name], f"{at}/{name}")
            case list(), list():
                shown = [entry for entry in documented if entry != MORE]
                if len(shown) > len(real) or (len(shown) < len(real) and MORE not in documented):
                    yield f"{at}: {len(shown)} entries are shown, there are {len(real)}"
                for number, (one, other) in enumerate(zip(shown, real, strict=False)):
                    yield from self.compare(one, other, f"{at}/{number}")
            case str(), str() if normal(documented) == normal(real):
                self.learn(documented, real)
            case (int() | float(), int() | float()) if type(documented) is type(real) is not bool:
                pass
            case _ if documented != real:
                yield f"{at}: shown {documented!r}, is {real!r}"


def normal(text: str) -> str:
    """A text with what differs from run to run named by its kind."""
    return VOLATILE.sub(lambda match: f"<{match.lastgroup}>", text)


def exchange(reader: Reader, shown: Exchange) -> tuple[httpx.Response, list[str]]:
    """Send the request of an exchange; the answer, and how it differs from what is shown."""
    head, _, body = shown.answer.partition("\n\n")
    status, *fields = head.splitlines() or [""]
    real = reader.send(shown.request, len(body.splitlines()) or LONGEST)
    found = [] if f" {real.status_code} " in status else [f"shown {status}, is {status_line(real)}: {real.text}"]
    for name, value in (field.split(": ", 1) for field in fields):
        found += reader.compare(value, real.headers.get(name, ""), name)
    if is_json(real) and body:
        return real, [*found, *reader.compare(json.loads(body), real.json())]
    lines = iter(real.text.splitlines())
    for line in body.splitlines():
        if line != MORE and not any(_same(reader, line, other) for other in lines):
            found.append(f"not there: {line}")
    return real, found


def _same(reader: Reader, documented: str, real: str) -> bool:
    """Whether two lines say the same; those of a stream of events hold JSON."""
    if documented.startswith("data: ") and real.startswith("data: "):
        one, other = (json.loads(line.removeprefix("data: ")) for line in (documented, real))
        return not list(reader.compare(one, other))
    return normal(documented) == normal(real)


def status_line(answer: httpx.Response) -> str:
    """The first line of an answer."""
    return f"HTTP/1.1 {answer.status_code} {answer.reason_phrase}"


def is_json(answer: httpx.Response) -> bool:
    """Whether an answer is one JSON value."""
    return str(answer.headers.get("content-type", "")).partition(";")[0].endswith("json")


# ── Writing a page ────────────────────────────────────────────────────────────────────────────────────────────────────


def written(page: str, reader: Reader) -> str:
    """The page with the answers of a server in it."""
    for shown in exchanges(page):
        real, _ = exchange(reader, shown)
        request = reader.named(shown.request)
        answer = shown.answer if shown.abridged else laid_out(real)
        page = page.replace(
            f"```http\n{shown.request}```\n\n```http\n{shown.answer}```", f"```http\n{request}```\n\n```http\n{answer}```"
        )
    return page


def laid_out(answer: httpx.Response) -> str:
    """An answer as a page shows it."""
    head = [status_line(answer), *(f"{name}: {answer.headers[name]}" for name in SHOWN_HEADERS if name in answer.headers)]
    body = lines_of(answer.json()) if is_json(answer) else answer.text
    return "\n".join(head) + (f"\n\n{body.rstrip()}\n" if body else "\n")


def lines_of(value: Any, indent: str = "") -> str:
    """JSON for people: what fits on a line stands on one."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(line) <= WIDTH or not isinstance(value, (dict, list)):
        return line
    deeper = indent + "  "
    if isinstance(value, dict):
        parts = [f"{json.dumps(name)}: {lines_of(inner, deeper)}" for name, inner in value.items()]
        return "{\n" + ",\n".join(deeper + part for part in parts) + f"\n{indent}}}"
    return "[\n" + ",\n".join(deeper + lines_of(inner, deeper) for inner in value) + f"\n{indent}]"


if __name__ == "__main__":
    pages = [Path(name) for name in sys.argv[1:]]
    for path in pages:
        with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "data") as server:
            path.write_text(written(path.read_text("utf-8"), Reader(server.api)), "utf-8")
