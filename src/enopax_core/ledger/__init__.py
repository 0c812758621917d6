"""The one truth: resources, operations, events and what plugins keep, in one database.

`interface` is what everything above sees; `sqlite` is the embedded default. Each noun has its functions over an open
transaction (`resources`, `operations`, `events` …), whose SQL stands in named blocks under `sql/queries`.
A database driver is imported here and nowhere else.
"""
