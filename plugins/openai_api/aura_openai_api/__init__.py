"""The OpenAI API in front of agents: Chat Completions, Responses and the list of models. An agent is a model here."""

from aura_core import AgentRoute, AnswerRoute, Door, ListRoute, hookimpl
from aura_openai_api.chat_answer import ChatEncoder
from aura_openai_api.chat_request import ChatCompletionRequest, read_chat
from aura_openai_api.errors import refuse
from aura_openai_api.models import encode_model, encode_models
from aura_openai_api.responses_answer import ResponsesEncoder
from aura_openai_api.responses_request import ResponsesRequest, read_responses


@hookimpl
def doors() -> list[Door]:
    """One door with both APIs."""
    routes = [
        AnswerRoute("/v1/chat/completions", ChatCompletionRequest, read_chat, ChatEncoder),
        AnswerRoute("/v1/responses", ResponsesRequest, read_responses, ResponsesEncoder),
        ListRoute("/v1/models", encode_models, answering=True),
        AgentRoute("/v1/models/{id}", encode_model, answering=True),
    ]
    return [Door(routes, refuse)]
