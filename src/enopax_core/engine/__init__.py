"""Runs durable operations: dispatch delivers an id, a worker claims it, calls the provider and finishes it, fenced.

Knows the ledger, the registry and the governors; it does not know who asked (`core`) nor how (`api`).
"""
