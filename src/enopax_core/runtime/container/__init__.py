"""Services as containers of Podman (rootless too) or Docker, through the engine's command line.

A service's directory is mounted at its own path, and its ports are the machine's, so that one description fits processes
and containers alike.
"""
