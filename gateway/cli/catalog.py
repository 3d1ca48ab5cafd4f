"""Commands that show Higgsfield's catalogs: `models`, `motions`, `styles`, `presets`."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from gateway.cli import did_you_mean, exit_codes
from gateway.cli.connection import Connection, client_options
from gateway.cli.numbers import Whole
from gateway.cli.output import echo, fail, json_option, plain, print_json, whole_numbers
from gateway.cli.tables import print_fields, print_messages, print_rows

if TYPE_CHECKING:
    from hfgateway_client import Client, Model

KINDS = ["image", "video", "audio", "file"]

_limit = click.option("--limit", type=Whole(min=1), metavar="N", help="Show at most this many. Default: all.")
_query = click.argument("query", default="")


@click.command()
@_query
@click.option("--output", type=click.Choice(KINDS, case_sensitive=False), help="Only models with this kind of output.")
@click.option("--gone", is_flag=True, help="List models that are probably gone, too.")
@click.option("--show", "model_id", metavar="ID", help="Show this model and its parameters.")
@click.option("--check", is_flag=True, help="Compare the built-in list with Higgsfield's; exit code 1 if they differ.")
@click.option("--watch", is_flag=True, help="Print models that are new, changed or gone at Higgsfield, until stopped.")
@click.option("--after", type=Whole(min=0), metavar="N", help="With --watch: start after this revision.")
@_limit
@json_option
@client_options
def models(
    *,
    connection: Connection,
    query: str,
    output: Any,
    gone: bool,
    model_id: str | None,
    check: bool,
    watch: bool,
    after: int | None,
    limit: int | None,
    as_json: bool,
) -> int:
    """List the models whose id contains QUERY. Models that are not listed may work as well."""
    chosen = [name for name, given in (("--show", model_id), ("--check", check), ("--watch", watch)) if given]
    if len(chosen) > 1 or (chosen and (query or output or gone)):
        raise click.UsageError(f"{chosen[0]} cannot be combined with QUERY, --output, --gone or the other modes")
    if after is not None and not watch:
        raise click.UsageError("--after needs --watch")
    with connection.client() as client:
        if watch:
            return _watch(client, after, limit, as_json=as_json)
        if check:
            return _check(client, limit, as_json=as_json)
        if model_id is not None:
            found = [_model(client, model_id)]
        else:
            found = list(islice(client.list_models(query, output_kind=output, include_gone=gone), limit))
    if model_id is not None and not as_json:
        _describe(found[0])
    else:
        rows = [(model.id, _kind(model), " ".join(model.tasks), _source(model)) for model in found]
        print_messages(found, ("ID", "OUTPUT", "TASKS", "SOURCE"), rows, as_json=as_json)
    return exit_codes.COMPLETED


@click.command()
@_query
@_limit
@json_option
@client_options
def motions(connection: Connection, query: str, limit: int | None, as_json: bool) -> None:
    """List the motions whose name contains QUERY."""
    with connection.client() as client:
        found = list(islice(client.list_motions(query), limit))
    rows = [
        (motion.id, motion.name, "first and last" if motion.start_end_frame else "first", motion.description)
        for motion in found
    ]
    print_messages(found, ("ID", "NAME", "FRAMES", "DESCRIPTION"), rows, as_json=as_json)


@click.command()
@_query
@click.option("--soul", type=click.Choice(["1", "2"]), default="1", show_default=True, help="The version of Soul.")
@_limit
@json_option
@client_options
def styles(connection: Connection, query: str, soul: str, limit: int | None, as_json: bool) -> None:
    """List the styles of Soul whose name contains QUERY. Styles of Soul 1 do not work with Soul 2."""
    with connection.client() as client:
        found = list(islice(client.list_soul_styles(query, version="v2" if soul == "2" else "v1"), limit))
    rows = [(style.id, style.name, style.description) for style in found]
    print_messages(found, ("ID", "NAME", "DESCRIPTION"), rows, as_json=as_json)


@click.command()
@click.argument("model_id", metavar="MODEL")
@_query
@_limit
@json_option
@client_options
def presets(*, connection: Connection, model_id: str, query: str, limit: int | None, as_json: bool) -> None:
    """List the presets of MODEL whose name contains QUERY, for its parameter preset_id."""
    with connection.client() as client:
        found = list(islice(client.list_presets(model_id, query), limit))
    print_messages(found, ("ID", "NAME"), [(preset.id, preset.name) for preset in found], as_json=as_json)


def like(client: Client, model_id: str) -> str:
    """Return a question that names the listed models that a mistyped id may stand for; empty without one."""
    from hfgateway_client import GatewayError

    with suppress(GatewayError):  # it is only a hint
        return did_you_mean(model_id, [model.id for model in client.list_models()])
    return ""


def confirm_unlisted(client: Client, model_id: str) -> None:
    """Ask on a terminal before a model is submitted that is not listed, but similar to one that is.

    A mistyped model would stay in the list of generations as FAILED. Models that are not listed may exist, so a command
    that cannot ask submits them.
    """
    from hfgateway_client.errors import ModelUnknown

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    try:
        client.get_model(model_id)
    except ModelUnknown:
        hint = like(client, model_id)
        if hint and not click.confirm(f"{plain(model_id)} is not listed. {hint} Submit it anyway?", err=True):
            raise click.exceptions.Exit(exit_codes.USAGE) from None


@contextmanager
def suggesting(client: Client, model_id: str) -> Iterator[None]:
    """Print which listed model may be meant if the price of a submission in the block is not known."""
    from hfgateway_client.errors import GatewayError, PriceUnknown

    try:
        yield
    except PriceUnknown:
        with suppress(GatewayError):  # it is only a hint
            _model(client, model_id)
        raise


def _model(client: Client, model_id: str) -> Model:
    from hfgateway_client.errors import ModelUnknown

    try:
        return client.get_model(model_id)
    except ModelUnknown:
        if hint := like(client, model_id):
            echo(hint, err=True)
        raise


def _kind(model: Model) -> str:
    from hfgateway_client import MediaKind

    return MediaKind.Name(model.output_kind).removeprefix("MEDIA_KIND_").lower() if model.output_kind else ""


def _source(model: Model) -> str:
    """Return where the model is known from, and whether it is deprecated or gone."""
    from hfgateway_client import ModelLifecycle, ModelOrigin

    origin = ModelOrigin.Name(model.provenance.origin).removeprefix("MODEL_ORIGIN_").lower().replace("_", "-")
    parts = [origin] if model.provenance.origin else []
    if model.lifecycle > ModelLifecycle.MODEL_LIFECYCLE_ACTIVE:
        parts.append(ModelLifecycle.Name(model.lifecycle).removeprefix("MODEL_LIFECYCLE_").lower())
    return ", ".join(parts)


def _day(model: Any, field: str) -> str:
    return str(getattr(model, field).ToJsonString())[:10] if model.HasField(field) else ""


def _watch(client: Client, after: int | None, limit: int | None, *, as_json: bool) -> int:
    """Print changes of the list of models as they are noticed."""
    from hfgateway_client import ModelChange

    with closing(client.watch_models(after_revision=after)) as changes:
        for model_change in islice(changes, limit):
            if as_json:
                print_json(model_change)
                continue
            change = ModelChange.Name(model_change.change).removeprefix("MODEL_CHANGE_").lower()
            print_rows(
                ("REVISION", "CHANGE", "ID", "DETAILS"),
                [(str(model_change.revision), change, model_change.model.id, "; ".join(model_change.details))],
            )
    return exit_codes.COMPLETED


def _check(client: Client, limit: int | None, *, as_json: bool) -> int:
    """Compare the built-in list of this version with the models that Higgsfield lists now."""
    from google.protobuf.json_format import MessageToDict

    from gateway.catalog import builtin, differences
    from gateway.catalog.model import Model as Known
    from gateway.generations.model import MediaKind as KnownKind
    from hfgateway_client import ModelLifecycle, ModelOrigin

    gone, live = ModelLifecycle.MODEL_LIFECYCLE_GONE, ModelOrigin.MODEL_ORIGIN_LIVE
    listed = {
        model.id: model
        for model in client.list_models(include_schema=True)
        if model.provenance.origin == live and model.lifecycle != gone
    }
    if not listed:
        fail("Higgsfield's list of models has not been fetched yet; try again later", exit_codes.GATEWAY_UNAVAILABLE)
    rows: list[tuple[str, str, str]] = []
    for name, one in listed.items():
        known = builtin.models().get(name)
        if known is None:
            rows.append((name, "new", ""))
            continue
        schema = whole_numbers(MessageToDict(one.parameters_schema)) if one.HasField("parameters_schema") else None
        details = differences.differences(
            known.model, Known(name, KnownKind(one.output_kind), tuple(one.tasks), schema)
        )
        if details:
            rows.append((name, "changed", "; ".join(details)))
    rows += [(name, "not listed", known.note) for name, known in builtin.models().items() if name not in listed]
    rows = sorted(rows)[:limit]
    if as_json:
        for name, difference, text in rows:
            echo(json.dumps({"id": name, "difference": difference, "details": text}))
    else:
        print_rows(("ID", "DIFFERENCE", "DETAILS"), rows)
    return exit_codes.NOT_COMPLETED if rows else exit_codes.COMPLETED


def _describe(model: Model) -> None:
    """Print a model, and a row for each parameter, required ones first."""
    from google.protobuf.json_format import MessageToDict

    known = " ".join(part for part in (model.provenance.source, model.provenance.source_date) if part)
    fields = [
        ("id", model.id),
        ("output", _kind(model)),
        ("tasks", " ".join(model.tasks)),
        ("source", _source(model)),
        ("known by", known),
        ("last seen", _day(model.provenance, "last_seen_time")),
        ("ends", _day(model, "end_time")),
        ("note", model.note),
    ]
    print_fields(fields)
    schema = MessageToDict(model.parameters_schema)
    # The schema is Higgsfield's, and any part of it may have another form.
    properties = schema.get("properties", {})
    if not model.HasField("parameters_schema") or not isinstance(properties, Mapping):
        echo("its parameters are not known")
        return
    required = schema.get("required")
    print_fields([("note", str(schema.get("description") or ""))])
    echo()
    rows = list(_parameters(properties, required if isinstance(required, list) else ()))
    print_rows(("PARAMETER", "", "VALUES", "DEFAULT", "NOTE"), rows)


def _parameters(properties: Mapping[str, Any], required: Collection[Any]) -> Iterator[Sequence[str]]:
    for name, described in sorted(properties.items(), key=lambda item: (item[0] not in required, item[0])):
        one = described if isinstance(described, Mapping) else {}
        default = json.dumps(whole_numbers(one["default"]), ensure_ascii=False) if "default" in one else ""
        yield name, "required" if name in required else "", _values(one), default, str(one.get("description", ""))


def _values(schema: Mapping[str, Any]) -> str:
    """Return the allowed values of a schema as a short text."""
    if isinstance(schema.get("enum"), list):
        return " ".join(str(whole_numbers(value)) for value in schema["enum"])
    kinds = schema.get("type", "")
    named = " or ".join(str(whole_numbers(kind)) for kind in kinds) if isinstance(kinds, list) else str(kinds)
    if schema.get("format"):
        named = named.replace("string", str(schema["format"]))
    if isinstance(schema.get("items"), Mapping):
        named = f"{named} of {_values(schema['items'])}"
    minimum = schema.get("minimum", schema.get("minLength", schema.get("minItems")))
    maximum = schema.get("maximum", schema.get("maxLength", schema.get("maxItems")))
    if minimum is None and maximum is None:
        return named
    lower, upper = ("" if bound is None else whole_numbers(bound) for bound in (minimum, maximum))
    return f"{named} {lower}..{upper}"
