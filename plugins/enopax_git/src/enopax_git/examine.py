"""Whether Git's clients can reach the SSH server and will trust it."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import asyncssh

from enopax_core import Finding
from enopax_core.errors import StartupError
from enopax_git.backup import HOST_KEY
from enopax_git.sshd.frontend import listen

ANSWER_SECONDS = 10.0


async def answering(host: str, port: int, root: Path) -> Finding:
    """Whether the SSH server answers, and with this installation's host key."""
    where = f"{host} port {port}"
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            shown = await asyncssh.get_server_host_key(host, port)
        ours = asyncssh.read_private_key(root / HOST_KEY)
    except (OSError, asyncssh.Error, asyncssh.KeyImportError) as error:
        message = f"Nothing speaks SSH on {where}: {str(error) or 'no answer'}."
        return Finding(check="ssh", severity="error", message=message, remedy="restart the server: enopax serve")
    if shown is None or shown.public_data != ours.public_data:
        message = f"What speaks SSH on {where} shows another host key than {root / HOST_KEY}: clients would warn of an attack."
        remedy = "put the host key back from a backup if it was replaced, then restart the server: enopax serve"
        return Finding(check="ssh", severity="error", message=message, remedy=remedy)
    return Finding(check="ssh", severity="ok", message=f"The SSH server answers on {where} with its host key.")


def free(host: str, port: int) -> Finding:
    """Whether the SSH server could listen where the settings say. Blocks."""
    try:
        with contextlib.closing(listen(host, port)):
            return Finding(check="ssh", severity="ok", message="The SSH server can listen with the next start.")
    except StartupError as error:
        remedy = f"see who it is: ss -ltnp 'sport = :{port}', or enopax serve --ssh-port"
        return Finding(check="ssh", severity="error", message=error.message, remedy=remedy)
