"""Addresses that people get."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

WILDCARDS = frozenset({"0.0.0.0", "::", "*"})  # noqa: S104  # what an operator may have set, not what is bound


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where databases of this installation listen, and under which name people reach them."""

    listen: str
    public: str

    @property
    def listens(self) -> list[str]:
        """Addresses to bind: always this machine's own too, because administration comes from there."""
        if self.listen in WILDCARDS or self.listen == "127.0.0.1":
            return [self.listen]
        return [self.listen, "127.0.0.1"]

    @property
    def probed(self) -> str:
        """Where this machine reaches them."""
        return "127.0.0.1"

    @property
    def names(self) -> list[str]:
        """Names for the certificate."""
        named = [self.public, "localhost", "127.0.0.1", "::1", self.listen]
        return [name for name in dict.fromkeys(named) if name not in WILDCARDS]

    def url(self, port: int, database: str) -> str:
        """An address without credentials."""
        return f"postgresql://{_host(self.public)}:{port}/{database}?sslmode=require"

    def full_url(self, port: int, database: str, username: str, password: str) -> str:
        """An address with everything that a client needs."""
        login = f"{quote(username, safe='')}:{quote(password, safe='')}"
        return f"postgresql://{login}@{_host(self.public)}:{port}/{database}?sslmode=require"


def _host(name: str) -> str:
    return f"[{name}]" if ":" in name else name
