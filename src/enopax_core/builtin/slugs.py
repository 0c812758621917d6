"""From a display name to what may stand in an address."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Collection

LONGEST = 40
OTHER = re.compile(r"[^a-z0-9]+")


def slug(name: str, otherwise: str) -> str:
    """Lower-case ASCII letters, digits and single hyphens; `otherwise` where nothing of the name is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return OTHER.sub("-", plain).strip("-")[:LONGEST].strip("-") or otherwise


def free(wanted: str, taken: Collection[str]) -> str:
    """The slug, or the slug with the next free number behind it."""
    if wanted not in taken:
        return wanted
    return next(f"{wanted}-{number}" for number in range(2, len(taken) + 3) if f"{wanted}-{number}" not in taken)


def resource_id(organisation_slug: str, project_slug: str, name: str) -> str:
    """`orgslug-projectslug-name-random`, parts cut to fit 63 characters (a DNS label); 50 random bits."""
    parts = [organisation_slug[:14], project_slug[:14], slug(name, "x")[:20]]
    random = "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(10))
    return "-".join([*(part.strip("-") for part in parts), random])
