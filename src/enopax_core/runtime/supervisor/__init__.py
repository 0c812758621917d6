"""Services as processes that supervisord (PyPI `supervisor`) keeps alive: one supervisord for each data directory.

It is started with the first service, is no child of anything that ends with the API server, and is controlled by XML-RPC
over a Unix socket of mode 0600.
"""
