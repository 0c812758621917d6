"""What a command's exit status says."""

from __future__ import annotations

from enopax_core import errors

OPERATION_FAILED = 6
STATUSES: tuple[tuple[type[errors.EnopaxError], int], ...] = (
    (errors.NotFound, 3),
    (errors.Unauthenticated, 4),
    (errors.Forbidden, 4),
    (errors.Refused, 4),
    (errors.PaymentRequired, 4),
    (errors.Conflict, 5),
    (errors.PreconditionFailed, 5),
    (errors.ProviderError, OPERATION_FAILED),
    (errors.Unreachable, 7),
    (errors.Unavailable, 7),
)


def status_of(error: BaseException) -> int:
    """1 for whatever has no status of its own; 2 (wrong usage) is click's."""
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 1)
