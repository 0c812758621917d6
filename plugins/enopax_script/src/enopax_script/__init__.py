"""Providers made of a folder with executables: no Python is needed to write one.

May not run anything through a shell, nor hand a script more of the environment than it needs.
"""
