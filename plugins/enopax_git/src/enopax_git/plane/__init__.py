"""Git's data plane: repositories on disk, and the servers that let clients reach them over SSH and HTTP.

It knows nothing of the core: whoever embeds it answers the three questions of `plane.gate.Gate`. Nothing is imported here, because the
SSH server's own process loads this package, too, and must not pay for what it does not use.
"""
