"""Base backups, the archive of the write-ahead log, and what can be recovered from both."""
