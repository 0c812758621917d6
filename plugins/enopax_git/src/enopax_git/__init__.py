"""Git repositories for Enopax, served over SSH and HTTP.

`plugin` holds the hooks. Nothing is imported here: the process that serves SSH starts with what it needs alone.
"""
