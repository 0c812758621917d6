"""Every error of the core. The docstring of a class is its default message; what it carries is typed.

Knows nothing of HTTP: `enopax_core.api.problems` gives each class its status.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with an input: where (RFC 6901 pointer into the body, or the name of a parameter) and what."""

    pointer: str
    message: str


class EnopaxError(Exception):
    """Something went wrong."""

    code = "error"

    def __init__(self, message: str | None = None, *, faults: Sequence[Fault] = ()) -> None:
        self.message = message or inspect.cleandoc(type(self).__doc__ or "").split("\n\n")[0].replace("\n", " ")
        self.faults = tuple(faults)
        super().__init__(self.message)


# ── What a caller can do wrong ────────────────────────────────────────────────────────────────────────────────────────


class Malformed(EnopaxError):
    """The request could not be understood."""

    code = "malformed"


class Invalid(EnopaxError):
    """The request does not fit the schema."""

    code = "invalid"


class Unauthenticated(EnopaxError):
    """An API key is needed: send it as X-API-Key or as a Bearer token."""

    code = "unauthenticated"


class PaymentRequired(EnopaxError):
    """A quota or balance does not allow this."""

    code = "payment-required"


class Forbidden(EnopaxError):
    """This credential does not allow that."""

    code = "forbidden"


class NotFound(EnopaxError):
    """There is nothing here, or nothing that this credential may see."""

    code = "not-found"


class Conflict(EnopaxError):
    """The present state does not allow this."""

    code = "conflict"


class NameTaken(Conflict):
    """A resource of this name already exists in the project."""

    code = "name-taken"


class PlaceTaken(Conflict):
    """The organisation or project came into being at the same moment."""

    code = "place-taken"


class NotReady(Conflict):
    """The resource has no backend yet."""

    code = "not-ready"


class Gone(Conflict):
    """The resource is deleted or being deleted."""

    code = "deleted"


class Suspended(Conflict):
    """The resource is suspended: a hold must be released first."""

    code = "suspended"


class OperationEnded(Conflict):
    """The operation has already ended."""

    code = "operation-ended"


class RequestInFlight(Conflict):
    """The first request with this idempotency key has not been answered yet."""

    code = "request-in-flight"


class IdempotencyMismatch(EnopaxError):
    """This idempotency key was used for another request."""

    code = "idempotency-mismatch"


class PreconditionFailed(EnopaxError):
    """The resource has changed: fetch it again and repeat the request with its new ETag."""

    code = "precondition-failed"


class TooManyRequests(EnopaxError):
    """Too many requests."""

    code = "too-many-requests"

    def __init__(self, message: str | None = None, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds until another try makes sense."""


class Unavailable(EnopaxError):
    """The server cannot take this now: try again shortly."""

    code = "unavailable"


class Unreachable(EnopaxError):
    """The server cannot be reached."""

    code = "unreachable"


class Refused(EnopaxError):
    """A governing plugin refused the change."""

    code = "refused"

    def __init__(self, message: str | None = None, *, status: int = 403, type: str | None = None) -> None:
        super().__init__(message)
        if not 400 <= status <= 599:
            raise ValueError(f"status must be a client or server error, not {status}")
        self.status = status
        self.type = type
        """Problem type (RFC 9457) of the plugin's own; None: derived from the code."""


# ── What a provider raises ────────────────────────────────────────────────────────────────────────────────────────────


class ProviderError(EnopaxError):
    """The provider failed."""

    code = "provider-failed"


class TemporaryError(ProviderError):
    """The provider cannot do this now; the operation is tried again."""

    code = "provider-unavailable"

    def __init__(self, message: str | None = None, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Wait at least this long before the next attempt; None: the engine's backoff."""


class ProviderFault(TemporaryError):
    """The provider failed in a way that it did not foresee; the operation is tried again."""

    code = "provider-fault"


class PermanentError(ProviderError):
    """The provider cannot do this; trying again would not help."""

    code = "provider-refused"


class ServiceFailed(TemporaryError):
    """A service did not come up."""

    code = "service-failed"


class RuntimeUnavailable(TemporaryError):
    """What keeps services alive cannot be reached now."""

    code = "runtime-unavailable"


class Cancelled(ProviderError):
    """The operation was cancelled."""

    code = "cancelled"


class TimedOut(ProviderError):
    """The provider took too long."""

    code = "timed-out"


class LeaseLost(ProviderError):
    """Another worker has taken the operation over; nothing of this attempt is kept."""

    code = "lease-lost"


# ── What stops a start ────────────────────────────────────────────────────────────────────────────────────────────────


class StartupError(EnopaxError):
    """The installation cannot start."""

    code = "startup"


class SettingsError(StartupError):
    """A setting is unknown or has a bad value."""

    code = "settings"


class DataDirectoryInUse(StartupError):
    """Another server runs on this data directory."""

    code = "data-directory-in-use"


class DatabaseTooNew(StartupError):
    """The database was written by a newer version: upgrade this one."""

    code = "database-too-new"


class PluginRefused(StartupError):
    """A plugin breaks the contract."""

    code = "plugin-refused"


class BackupRefused(StartupError):
    """This backup cannot be restored here."""

    code = "backup-refused"


class NotOpen(EnopaxError):
    """The core is not open: enter `async with Core(...)` before serving requests (a mounted application gets no lifespan)."""

    code = "not-open"


class VaultError(StartupError):
    """A secret cannot be decrypted with the keys of this installation."""

    code = "vault"
