"""The SSH server: a process of its own, so that encrypting and Git's traffic never make the API wait.

`frontend` is the side of the server that decides; `server` is the child, which only speaks SSH and runs what it is told.
"""
