"""`aura models`: the models that each provider offers, with their limits."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from aura_core.cli import completion
from aura_core.cli.options import config_options, json_option, open_runtime
from aura_core.cli.terminal import print_json, print_table, say
from aura_core.errors import ProviderError, words_of
from aura_core.types import Model

if TYPE_CHECKING:  # heavy, and a shell's completion imports this module
    from aura_core.plugins.instance import Instance
    from aura_core.runtime import Runtime

NO_LIST = "its plugin cannot list models"


class Offer(msgspec.Struct, frozen=True):
    """What one provider offers; `error` says why its models are not known."""

    provider: str
    models: list[Model]
    error: str | None = None


@click.command()
@click.argument("provider", required=False, shell_complete=completion.providers)
@config_options
@json_option
def command(provider: str | None, config: Path | None, agents_directory: str | None, as_json: bool) -> int:
    """List the models that PROVIDER offers, or those of all providers. Exits with 1 when PROVIDER, or one that
    aura.toml configures, cannot be asked."""
    runtime = open_runtime(config, agents_directory)
    wanted = [_named(runtime, provider)] if provider else _all(runtime)
    offers = asyncio.run(_ask(runtime, wanted))
    failed = [offer for offer, instance in zip(offers, wanted, strict=True) if _fails(offer, instance, provider)]
    if as_json:
        print_json({"providers": offers})
    else:
        _print(offers)
    return 1 if failed else 0


def _fails(offer: Offer, instance: "Instance", provider: str | None) -> bool:
    """Whether its error is a failure; that of an unconfigured default instance is not."""
    return offer.error is not None and (provider is not None or (instance.configured and offer.error != NO_LIST))


def _named(runtime: "Runtime", provider: str) -> "Instance":
    from aura_core.plugins.registry import Unusable

    try:
        return runtime.providers.get(provider)
    except Unusable as why:
        raise click.ClickException(str(why)) from None


def _all(runtime: "Runtime") -> "list[Instance]":
    """Every instance that can list models, and every other that aura.toml configures."""
    found = [each for _, each in sorted(runtime.providers.instances.items())]
    return [each for each in found if each.configured or (not each.error and each.hooks.implements("list_models"))]


async def _ask(runtime: "Runtime", instances: "list[Instance]") -> list[Offer]:
    """Ask all at the same time, so that slow ones do not add up."""
    try:
        return list(await asyncio.gather(*(_offer(runtime, instance) for instance in instances)))
    finally:
        await runtime.close()


async def _offer(runtime: "Runtime", instance: "Instance") -> Offer:
    if instance.error:
        return Offer(instance.name, [], instance.error)
    if not instance.hooks.implements("list_models"):
        return Offer(instance.name, [], NO_LIST)
    try:
        return Offer(instance.name, await instance.list_models())
    except ProviderError as exc:
        return Offer(instance.name, [], runtime.redact(exc.message))
    except TimeoutError:
        return Offer(instance.name, [], "it did not answer in time")
    except Exception as exc:  # what its plugin lists is not a list of models
        return Offer(instance.name, [], runtime.redact(f"its plugin failed ({words_of(exc)})"))


def _print(offers: list[Offer]) -> None:
    rows = [
        [offer.provider, model.name, _tokens(model.context), _tokens(model.max_output), model.description]
        for offer in offers
        for model in offer.models
    ]
    if rows:
        print_table(["provider", "model", "context", "output", "description"], rows)
    for offer in offers:
        if offer.error is not None:
            say(f"{offer.provider}: {offer.error}", err=True)
        elif not offer.models:
            say(f"{offer.provider}: it lists no models", err=True)


def _tokens(count: int | None) -> str:
    return "-" if count is None else str(count)
