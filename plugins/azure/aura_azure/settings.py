"""The settings of an Azure OpenAI resource, and the addresses of its deployments."""

import re
from typing import Annotated, Literal
from urllib.parse import quote

import msgspec
from aura_openai.settings import ApiKeyFile, ConnectTimeout, DefaultModel, IncludeUsage, MaxTokensParameter
from msgspec import Meta

from aura_core.streams import web_address

SCOPE = "https://cognitiveservices.azure.com/.default"

_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
_PATH = re.compile(r"/openai(/v1)?$")


class AzureSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[providers.azure]`, or another table with `plugin = "azure"`; that one must name its own `endpoint`."""

    endpoint: Annotated[
        str,
        Meta(
            description="address of the resource, https://RESOURCE.openai.azure.com",
            extra={"env": "AZURE_OPENAI_ENDPOINT"},
        ),
    ]
    auth: Annotated[Literal["key", "entra"], Meta(description="how to sign in: an API key, or Entra ID")] = "key"
    api_key_env: Annotated[
        str,
        Meta(
            description='variable that holds the API key, with auth = "key"',
            extra={"own_default": "AZURE_OPENAI_API_KEY"},
        ),
    ] = ""
    api_key_file: ApiKeyFile = ""
    api_version: Annotated[
        str,
        Meta(
            description="version of the classic API, such as 2024-10-21; without one the v1 API is used",
            extra={"env": "OPENAI_API_VERSION"},
        ),
    ] = ""
    deployments: Annotated[
        dict[str, str], Meta(description="deployment of each model; a model that is not named is its own deployment")
    ] = {}
    default_model: DefaultModel = ""
    max_tokens_parameter: MaxTokensParameter = "auto"
    include_usage: IncludeUsage = True
    entra_scope: Annotated[str, Meta(description="what Entra ID's token is for; other clouds have their own")] = SCOPE
    connect_timeout: ConnectTimeout = 10.0

    def __post_init__(self) -> None:
        self.resource()
        if self.api_version and not _VERSION.fullmatch(self.api_version):
            raise ValueError('api_version: it must be a date such as 2024-10-21; "" stands for the v1 API')
        if not all(name.strip() for name in self.deployments.values()):
            raise ValueError("deployments: a deployment's name must not be blank")

    def resource(self) -> str:
        """`endpoint` without the path that the portal and its samples append."""
        url = web_address("endpoint", self.endpoint, "/chat/completions")
        if "/openai/deployments" in url:
            raise ValueError("endpoint: leave out /openai/deployments and all behind it")
        return _PATH.sub("", url)

    def url(self) -> str:
        """The address that every path is appended to."""
        return f"{self.resource()}/openai" if self.api_version else f"{self.resource()}/openai/v1"

    def deployment(self, model: str) -> str:
        """The deployment of a model."""
        return self.deployments.get(model, model)

    def path(self, deployment: str) -> str:
        """The path of a deployment: the classic API names it in the path, v1 in the body."""
        return (
            f"/deployments/{quote(deployment, safe='')}/chat/completions" if self.api_version else "/chat/completions"
        )
