"""The remedies for a request that an OpenAI-compatible server refused because of a parameter."""

from aura_core.streams import Reason

PROTOCOL = "OpenAI's protocol"
"""The name of the protocol in messages."""


def remedy(reason: Reason) -> str:
    """The setting that leaves the refused parameter out, "" if there is none."""
    blamed = f"{reason.param} {reason.message}"
    if "stream_options" in blamed or "include_usage" in blamed:
        return "Set include_usage = false in the provider's table."
    if reason.param == "max_tokens" or "'max_completion_tokens' instead" in reason.message:
        return 'Set max_tokens_parameter = "max_completion_tokens" in the provider\'s table.'
    if reason.param == "max_completion_tokens" or "max_completion_tokens: Extra inputs" in reason.message:
        return 'Set max_tokens_parameter = "max_tokens" in the provider\'s table.'
    if reason.param == "temperature":
        return "Leave temperature out of the agent."
    return ""
