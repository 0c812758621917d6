"""Examines an installation: a file for each concern, each finding with the command that mends it.

A check is a function of an `Installation`; a new one is a file of its own and a line in `checks.CHECKS`.
"""
