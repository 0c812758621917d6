"""The use cases over HTTP. Handlers read, call the core and show what it gives; they decide nothing."""
