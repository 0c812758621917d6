"""PostgreSQL databases for Enopax.

`plugin` holds the hooks. Nothing is imported here, and nothing heavy (psycopg, X.509) before the first database.
"""
