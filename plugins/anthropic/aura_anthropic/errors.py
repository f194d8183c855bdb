"""The remedies for a request that was refused because of a parameter."""

from aura_core.streams import Reason

PROTOCOL = "Anthropic's protocol"
"""The name of the protocol in messages."""

_REMEDIES = (
    ("budget_tokens", "Set the agent's max_tokens above its thinking budget."),
    ("thinking.type", "Set the option effort in place of a thinking budget, or the other way round."),
    ("max_tokens", "Lower the agent's max_tokens, or that of the provider's table."),
    ("temperature", "Leave temperature out of the agent, or top_p out of its options."),
    ("top_p", "Leave top_p out of the agent's options."),
    ("top_k", "Leave top_k out of the agent's options."),
)
"""What the server blames, and what to do; the first that its words name."""


def remedy(reason: Reason) -> str:
    """The setting that leaves the refused parameter out, "" if there is none."""
    blamed = f"{reason.param} {reason.message}"
    return next((what for name, what in _REMEDIES if name in blamed), "")
