"""Commands that show Higgsfield's catalogs: `models`, `motions`, `styles`, `presets`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.connection import Connection, client_options
from gateway.cli.output import echo
from gateway.cli.progress import print_json
from gateway.cli.tables import print_rows

if TYPE_CHECKING:
    from hfgateway_client import Model

KINDS = ["image", "video", "audio", "file"]

_as_json = click.option("--json", "as_json", is_flag=True, help="Print only lines of JSON.")
_limit = click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Show at most this many.")
_query = click.argument("query", default="")


@click.command()
@_query
@click.option("--output", type=click.Choice(KINDS, case_sensitive=False), help="Only models with this kind of output.")
@click.option("--show", "model_id", metavar="ID", help="Show this model and its parameters.")
@_limit
@_as_json
@client_options
def models(
    *, connection: Connection, query: str, output: Any, model_id: str | None, limit: int | None, as_json: bool
) -> None:
    """List the models whose id contains QUERY. Models that are not listed may work as well."""
    if model_id is not None and (query or output):
        raise click.UsageError("--show cannot be combined with QUERY or --output")
    with connection.client() as client:
        if model_id is not None:
            found = [client.get_model(model_id)]
        else:
            found = list(islice(client.list_models(query, output_kind=output), limit))
    if as_json:
        _print_json(found)
    elif model_id is not None:
        _describe(found[0])
    else:
        print_rows(("ID", "OUTPUT", "TASKS"), [(one.id, _kind(one), " ".join(one.tasks)) for one in found])


@click.command()
@_query
@_limit
@_as_json
@client_options
def motions(connection: Connection, query: str, limit: int | None, as_json: bool) -> None:
    """List the motions whose name contains QUERY."""
    with connection.client() as client:
        found = list(islice(client.list_motions(query), limit))
    if as_json:
        _print_json(found)
        return
    rows = [(one.id, one.name, "first and last" if one.start_end_frame else "first", one.description) for one in found]
    print_rows(("ID", "NAME", "FRAMES", "DESCRIPTION"), rows)


@click.command()
@_query
@click.option("--soul", type=click.Choice(["1", "2"]), default="1", show_default=True, help="The version of Soul.")
@_limit
@_as_json
@client_options
def styles(connection: Connection, query: str, soul: str, limit: int | None, as_json: bool) -> None:
    """List the styles of Soul whose name contains QUERY. Styles of Soul 1 do not work with Soul 2."""
    with connection.client() as client:
        found = list(islice(client.list_soul_styles(query, version="v2" if soul == "2" else "v1"), limit))
    if as_json:
        _print_json(found)
    else:
        print_rows(("ID", "NAME", "DESCRIPTION"), [(one.id, one.name, one.description) for one in found])


@click.command()
@click.argument("model_id", metavar="MODEL")
@_query
@_limit
@_as_json
@client_options
def presets(*, connection: Connection, model_id: str, query: str, limit: int | None, as_json: bool) -> None:
    """List the presets of MODEL whose name contains QUERY, for its parameter preset_id."""
    with connection.client() as client:
        found = list(islice(client.list_presets(model_id, query), limit))
    if as_json:
        _print_json(found)
    else:
        print_rows(("ID", "NAME"), [(one.id, one.name) for one in found])


def _print_json(messages: Iterable[Any]) -> None:
    for message in messages:
        print_json(message)


def _kind(model: Model) -> str:
    from hfgateway_client import MediaKind

    return MediaKind.Name(model.output_kind).removeprefix("MEDIA_KIND_").lower() if model.output_kind else ""


def _describe(model: Model) -> None:
    """Print a model, and a row for each parameter, required ones first."""
    from google.protobuf.json_format import MessageToDict

    for name, value in (("id", model.id), ("output", _kind(model)), ("tasks", " ".join(model.tasks))):
        if value:
            echo(f"{name:<9} {value}")
    if not model.HasField("parameters_schema"):
        echo("its parameters are not known")
        return
    schema = MessageToDict(model.parameters_schema)
    if schema.get("description"):
        echo(f"{'note':<9} {schema['description']}")
    echo()
    print_rows(("PARAMETER", "", "VALUES", "DEFAULT", "NOTE"), list(_parameters(schema)))


def _parameters(schema: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    properties = schema.get("properties") or {}
    required = schema.get("required") or ()
    for name, one in sorted(properties.items(), key=lambda item: (item[0] not in required, item[0])):
        default = json.dumps(_whole(one["default"]), ensure_ascii=False) if "default" in one else ""
        yield name, "required" if name in required else "", _values(one), default, str(one.get("description", ""))


def _values(schema: Mapping[str, Any]) -> str:
    """Return the allowed values of a schema as a short text."""
    if "enum" in schema:
        return " ".join(str(_whole(value)) for value in schema["enum"])
    kinds = schema.get("type", "")
    named = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
    if schema.get("format"):
        named = named.replace("string", str(schema["format"]))
    if isinstance(schema.get("items"), Mapping):
        named = f"{named} of {_values(schema['items'])}"
    least = schema.get("minimum", schema.get("minLength", schema.get("minItems")))
    most = schema.get("maximum", schema.get("maxLength", schema.get("maxItems")))
    if least is None and most is None:
        return named
    return f"{named} {'' if least is None else _whole(least)}..{'' if most is None else _whole(most)}"


def _whole(value: Any) -> Any:
    """Return whole floats as integers, because a Struct holds only floats."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
