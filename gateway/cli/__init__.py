"""The commands by name. The module of a command is imported when the command runs, so that `--help` starts at once."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import NamedTuple

import click


class Entry(NamedTuple):
    """A command's import path, as "module:attribute", and its line in the list of commands."""

    target: str
    summary: str


COMMANDS = {
    "serve": Entry("gateway.cli.serve:serve", "Run the gateway."),
    "doctor": Entry("gateway.cli.doctor:doctor", "Check settings, store and upstream, and report problems."),
    "sandbox": Entry(
        "gateway.cli.sandbox:sandbox", "Run a local imitation of Higgsfield: free, with faults on request."
    ),
    "demo": Entry("gateway.demo:demo", "Show the gateway at work, in under a minute and without credentials."),
    "generate": Entry("gateway.cli.generate:generate", "Generate an image or a video, and follow it until it ends."),
    "upload": Entry("gateway.cli.upload:upload", "Upload a file to use as an input."),
    "watch": Entry("gateway.cli.watch:watch", "Follow a generation until it ends."),
    "get": Entry("gateway.cli.queries:get", "Show a generation."),
    "list": Entry("gateway.cli.queries:list_generations", "List generations, newest first."),
    "adopt": Entry("gateway.cli.adopt:adopt", "Adopt requests that were made without the gateway, by their ids."),
    "cancel": Entry("gateway.cli.queries:cancel", "Cancel a generation that has not started."),
    "delete": Entry("gateway.cli.queries:delete", "Delete ended generations with their inputs and outputs."),
    "explain": Entry("gateway.cli.explain:explain", "Show the history of a generation."),
    "resolve": Entry("gateway.cli.resolve:resolve", "Set the outcome of UNCERTAIN or LOST generations (operators)."),
    "unresolved": Entry(
        "gateway.cli.unresolved:unresolved", "List and resolve characters and messages without an outcome (operators)."
    ),
    "backup": Entry("gateway.cli.store:backup", "Copy the store to a file, even while the gateway runs (operators)."),
    "migrate": Entry(
        "gateway.cli.store:migrate", "Update a store, or declare that it was restored or moved (operators)."
    ),
    "keys": Entry("gateway.cli.keys:keys", "Create, list and revoke API keys (operators)."),
    "limits": Entry(
        "gateway.cli.limits:limits", "Set and show budgets and limits of tenants, keys and labels (operators)."
    ),
    "accounts": Entry(
        "gateway.cli.accounts:accounts", "Add Higgsfield accounts, and assign them to tenants (operators)."
    ),
    "usage": Entry("gateway.cli.usage:usage", "Sum up what tenants have used, as a table or CSV (operators)."),
    "audit": Entry("gateway.cli.audit:audit", "Export and verify the log of submissions and acts (operators)."),
    "callbacks": Entry(
        "gateway.cli.callbacks:callbacks", "Send signed callbacks about generations to your own servers."
    ),
    "mcp": Entry("gateway.cli.mcp:mcp", "Serve the gateway's tools to a language model, over stdio."),
    "estimate": Entry("gateway.cli.queries:estimate", "Estimate the cost of a generation."),
    "models": Entry("gateway.cli.catalog:models", "List models, or show the parameters of one."),
    "motions": Entry("gateway.cli.catalog:motions", "List the motions for --dop."),
    "styles": Entry("gateway.cli.catalog:styles", "List the styles of Soul."),
    "presets": Entry("gateway.cli.catalog:presets", "List the presets of a model."),
    "agents": Entry("gateway.cli.agents:agents", "Talk to Higgsfield's agents."),
    "completion": Entry(
        "gateway.cli.completion:completion", "Print the script that completes commands and options in a shell."
    ),
    "characters": Entry("gateway.cli.characters:characters", "Train, list and delete characters (Soul IDs)."),
}


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """Return a question that names what a mistyped text may stand for; empty if nothing is close to it."""
    from difflib import get_close_matches

    near = get_close_matches(text, list(known))
    return f"Did you mean {' or '.join(near)}?" if near else ""


class LazyGroup(click.Group):
    """A group that imports a command when it runs. The list of commands needs no import."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of COMMANDS, which starts with what a new user needs."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, attribute = entry.target.split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            hint = did_you_mean(args[0], COMMANDS)
            raise click.UsageError(f"No such command '{args[0]}'. {hint}", ctx) if hint else error from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hfgateway", prog_name="hfgateway")
def cli() -> None:
    """Higgsfield Gateway: never charged twice, never lost, never reported wrong.

    A generation whose outcome stays unknown ends as LOST: it may have been charged, but not twice.
    """
