"""Parses the input of a generation from the command line. The gateway validates the values."""

from __future__ import annotations

import errno
import functools
import inspect
import json
import mimetypes
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, get_args

import click

from gateway.cli import did_you_mean

if TYPE_CHECKING:
    from hfgateway_client import AnyInput


STATES = ["PENDING", "UNCERTAIN", "QUEUED", "IN_PROGRESS", "COMPLETED", "FAILED", "NSFW", "CANCELED", "LOST"]
SOUL_NAMES = {"custom_reference_id": "character_id", "custom_reference_strength": "character_strength"}
"""Higgsfield's names of parameters of Soul, as `hfgateway models --show` prints them, and those of `soul()`."""


_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "bool": ((bool,), "true or false"),
    "str": ((str,), "a text"),
    "Media": ((str,), "a URL"),
    "Mapping[str,": ((dict,), "an object of strengths by motion id"),
}
"""What parameters must be, by their annotations: the types of their values, and a text."""


def input_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of an input. The command receives it as the argument `input`."""

    @click.argument("prompt")
    @click.option("--soul", is_flag=True, help="Text to image with Soul (the default).")
    @click.option("--dop", is_flag=True, help="Image to video; needs --image.")
    @click.option("--speak", is_flag=True, help="Speech to video; needs --image and --audio.")
    @click.option("--model", "model_id", metavar="ID", help="Any other Higgsfield model or endpoint, by its path.")
    @click.option(
        "--api-version",
        type=click.Choice(("v1", "v2")),
        help="The form of the endpoint. Endpoints of Higgsfield's v1 API need v1. Default: v2.",
    )
    @click.option(
        "--image",
        "images",
        multiple=True,
        metavar="URL|FILE",
        callback=_read_media,
        help="An image to start from. A local file is uploaded first. May be repeated.",
    )
    @click.option("--audio", metavar="URL|FILE", callback=_read_one, help="The speech, a WAV file.")
    @click.option(
        "-p",
        "parameters",
        multiple=True,
        metavar="NAME=JSON",
        callback=_read_parameters,
        help="A parameter of the model, such as -p seed=7 or -p aspect_ratio=16:9. Text needs no quotes.",
    )
    @functools.wraps(command)
    def with_input(
        *arguments: Any,
        prompt: str,
        soul: bool,
        dop: bool,
        speak: bool,
        model_id: str | None,
        api_version: str | None,
        images: tuple[str | Path, ...],
        audio: str | Path | None,
        parameters: Mapping[str, Any],
        **options: Any,
    ) -> Any:
        if model_id == "":
            raise click.UsageError("--model needs the id of a model")
        given = {"soul": soul, "dop": dop, "speak": speak, "model": model_id is not None}
        chosen = [name for name, is_given in given.items() if is_given]
        if len(chosen) > 1:
            raise click.UsageError(f"--{chosen[0]} and --{chosen[1]} exclude each other")
        kind = chosen[0] if chosen else "soul"
        if api_version and kind != "model":
            raise click.UsageError("--api-version needs --model")
        message = build(kind, prompt, images, audio, parameters, model_id=model_id or "", api_version=api_version)
        return command(*arguments, input=message, **options)

    return with_input


def build(
    kind: str,
    prompt: str,
    images: tuple[str | Path, ...],
    audio: str | Path | None,
    parameters: Mapping[str, Any],
    *,
    model_id: str,
    api_version: str | None,
) -> AnyInput:
    """Return the input. Raises UsageError if options do not fit together."""
    import hfgateway_client as client

    if audio and kind != "speak":
        raise click.UsageError("--audio needs --speak")
    if kind == "model":
        if images:
            raise click.UsageError("--image cannot be used with --model: use the model's own parameter, -p NAME=URL")
        if prompt:
            _refuse_second(parameters, "prompt", "PROMPT")
        return _call(client.model, model_id, api_version, **{"prompt": prompt, **parameters})
    if kind == "dop":
        if not images:
            raise click.UsageError("--dop needs --image")
        return _call(client.dop, prompt, images, **parameters)
    if len(images) > 1:
        raise click.UsageError(f"--{kind} accepts one --image only")
    if kind == "speak":
        if not (images and audio):
            raise click.UsageError("--speak needs --image and --audio")
        return _call(client.speak, images[0], audio, prompt, **parameters)
    if not images:
        return _call(client.soul, prompt, **parameters)
    _refuse_second(parameters, "image_reference_url", "--image")
    return _call(client.soul, prompt, image_reference_url=images[0], **parameters)


def _refuse_second(parameters: Mapping[str, Any], name: str, given: str) -> None:
    """Raise UsageError if a parameter is set that the argument or option `given` sets already."""
    if name in parameters:
        raise click.UsageError(f"-p {name}: {given} sets it already")


def _read_media(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> tuple[str | Path, ...]:
    return tuple(_url_or_file(value, wrong="audio/") for value in values)


def _read_one(_context: click.Context, _option: click.Parameter, value: str | None) -> str | Path | None:
    return None if value is None else _url_or_file(value, wrong="image/")


def _url_or_file(value: str, wrong: str) -> str | Path:
    """Return a URL or a file. Raises BadParameter without such a file, or if its media type begins with `wrong`."""
    if "://" in value:
        return value
    if not is_file(value):
        raise click.BadParameter(f"{value!r} is neither a URL nor a file")
    media_type = mimetypes.guess_type(value)[0] or ""
    if media_type.startswith(wrong):
        raise click.BadParameter(f"{value!r} has the name of a file of {media_type}")
    return Path(value)


def is_file(name: str) -> bool:
    """Return whether a file has this name. An image in base64 is too long for a name, which is no error of the disk."""
    try:
        return Path(name).is_file()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False


def label_option(help_text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds the option `--label`. The command receives a dictionary as the argument `labels`."""
    form = "NAME=VALUE"
    return click.option(
        "--label",
        "labels",
        multiple=True,
        metavar=form,
        callback=lambda _context, _option, values: dict(_split(value, form) for value in values),
        help=help_text,
    )


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select generations: the arguments `states`, `labels` and `model_ids`."""
    for option in (
        click.option("--model", "model_ids", multiple=True, metavar="ID", help="Only this model. May be repeated."),
        label_option("Only generations with this label. May be repeated."),
        click.option(
            "--state",
            "states",
            multiple=True,
            type=click.Choice(STATES, case_sensitive=False),
            help="Only this state. May be repeated.",
        ),
    ):
        command = option(command)
    return command


def _read_parameters(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for value in values:
        name, text = _split(value, "NAME=JSON")
        try:
            parameters[name] = json.loads(text, parse_constant=_refuse_constant)
        except ValueError:
            parameters[name] = text
        except RecursionError:
            raise click.BadParameter(f"{name} is nested too deeply") from None
    return parameters


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity are no JSON, but texts


def _split(value: str, form: str) -> tuple[str, str]:
    name, separator, text = value.partition("=")
    if not (name and separator):
        raise click.BadParameter(f"{value!r} is not {form}")
    return name, text


def _call(function: Callable[..., AnyInput], /, *arguments: Any, **parameters: Any) -> AnyInput:
    given: dict[str, str] = {}
    if function.__name__ == "soul":
        given = {SOUL_NAMES.get(name, name): name for name in parameters}
        parameters = {SOUL_NAMES.get(name, name): value for name, value in parameters.items()}
    signature = inspect.signature(function)
    try:
        signature.bind(*arguments, **parameters)
    except TypeError:
        known = [name for name, one in signature.parameters.items() if one.kind is inspect.Parameter.KEYWORD_ONLY]
        wrong = sorted(set(parameters) - set(known))
        raise click.UsageError(
            f"-p {wrong[0]}: {did_you_mean(wrong[0], known)} {function.__name__} has the parameters "
            f"{', '.join(known)}, and those with their own option".replace("  ", " ")
        ) from None
    if function.__name__ != "model":
        # For a typed input it would mean the default: a script with an empty variable would be charged for that.
        for name in (name for name, value in parameters.items() if value == ""):
            raise click.UsageError(f"-p {given.get(name, name)}: must not be empty; leave it out for the default")
    try:
        return function(*arguments, **parameters)
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        for name, value in parameters.items():
            _refuse_if_wrong(function, arguments, given.get(name, name), name, value)
        if isinstance(error, UnicodeEncodeError):
            raise  # of another argument: `gateway.__main__` reports it
        raise click.UsageError(f"-p: {error}") from None


def _refuse_if_wrong(
    function: Callable[..., AnyInput], arguments: Sequence[Any], given: str, name: str, value: Any
) -> None:
    """Raise UsageError if `function` refuses this parameter alone, which the user called `given`: what it must be."""
    try:
        function(*arguments, **{name: value})
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        wanted = _wanted(function, name, value)
        text = value if isinstance(value, str) else json.dumps(value)
        complaint = str(error) if wanted is None else f"must be {wanted}, not {text}"
        raise click.UsageError(f"-p {given}: {complaint}") from None


def _wanted(function: Callable[..., AnyInput], name: str, value: Any) -> str | None:
    """Return what a parameter must be; None if the value is of the right type, or the type is not known."""
    parameter = inspect.signature(function).parameters.get(name)
    kind = "" if parameter is None else str(parameter.annotation).partition(" ")[0]
    if kind in _KINDS:
        types, text = _KINDS[kind]
        return None if type(value) in types else text
    choices = get_args(getattr(inspect.getmodule(function), kind, None))
    return f"one of {', '.join(choices)}" if choices else None
