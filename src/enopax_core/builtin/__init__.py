"""The default identity, policy and naming: API keys, roles, organisations and projects.

Built on the governing hooks alone, so that another plugin can replace each of them: registered later, it is asked first.
"""

from enopax_core.builtin import keys, places, roles, tokens

PLUGINS = {"places": places, "roles": roles, "keys": keys, "tokens": tokens}
"""By the name they are registered under, and can be switched off by."""
