"""A way to a server that holds an answer back in the middle."""

from __future__ import annotations

import contextlib
import socket
import threading
from urllib.parse import urlsplit


class Dam:
    """A way to the server that lets so many bytes of an answer through, and then holds the rest back."""

    def __init__(self, url: str, let_through: int) -> None:
        parts = urlsplit(url)
        self._target, self._left = (parts.hostname or "", parts.port or 0), let_through
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.full = threading.Event()
        self._open: list[socket.socket] = [self._listener]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Cut every connection."""
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._open += [client, server]
                threading.Thread(target=self._pass, args=(client, server, None), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, self), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, dam: Dam | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if dam is not None:
                    dam._left -= len(data)
                    if dam._left < 0:
                        dam.full.set()
                        return  # nobody reads on: what comes waits, until one side is gone
                sink.sendall(data)
        if dam is None:  # the client is gone: its connections end as they do when nothing lies between
            source.close()
            sink.close()
