"""The log of events: how entries are made, how readers are woken, how plugins consume it."""
