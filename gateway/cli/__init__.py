"""The commands by name. A command's module is imported when it is run, so that `--help` and `get` start at once."""

from __future__ import annotations

import importlib
from typing import NamedTuple

import click


class Entry(NamedTuple):
    """Where a command is, as "module:attribute", and what the list of commands says about it."""

    target: str
    summary: str


COMMANDS = {
    "serve": Entry("gateway.cli.serve:serve", "Run the gateway."),
    "doctor": Entry("gateway.cli.doctor:doctor", "Check settings, store and upstream, and say what is wrong."),
    "sandbox": Entry("gateway.cli.sandbox:sandbox", "Run a Higgsfield of your own: free, and as bad as you like."),
    "demo": Entry("gateway.demo:demo", "See it all work, in under a minute and without credentials."),
    "generate": Entry("gateway.cli.generate:generate", "Generate an image or a video, and follow it to its end."),
    "upload": Entry("gateway.cli.upload:upload", "Upload a file, to be used as an input."),
    "watch": Entry("gateway.cli.watch:watch", "Follow a generation to its end."),
    "get": Entry("gateway.cli.queries:get", "Show a generation."),
    "list": Entry("gateway.cli.queries:list_generations", "Show generations, newest first."),
    "cancel": Entry("gateway.cli.queries:cancel", "Cancel a generation that has not started."),
    "explain": Entry("gateway.cli.explain:explain", "Tell the whole story of a generation."),
    "resolve": Entry("gateway.cli.resolve:resolve", "Say what became of an UNCERTAIN generation (operators)."),
    "unresolved": Entry(
        "gateway.cli.unresolved:unresolved", "List and resolve characters and messages without an outcome (operators)."
    ),
    "backup": Entry("gateway.cli.store:backup", "Copy the store to a file, also while the gateway runs (operators)."),
    "migrate": Entry("gateway.cli.store:migrate", "Update a store, or say that it was restored or moved (operators)."),
    "keys": Entry("gateway.cli.keys:keys", "Make, list and revoke API keys (operators)."),
    "callbacks": Entry("gateway.cli.callbacks:callbacks", "Have ends told to servers of your own, signed."),
    "mcp": Entry("gateway.cli.mcp:mcp", "Serve the gateway's tools to a language model, over stdio."),
    "estimate": Entry("gateway.cli.queries:estimate", "Say what a generation would cost."),
    "models": Entry("gateway.cli.catalog:models", "Show what models there are, or what one takes."),
    "motions": Entry("gateway.cli.catalog:motions", "Show the motions for --dop."),
    "styles": Entry("gateway.cli.catalog:styles", "Show the styles of Soul."),
    "presets": Entry("gateway.cli.catalog:presets", "Show the presets of a model."),
    "agents": Entry("gateway.cli.agents:agents", "Talk to Higgsfield's agents."),
    "characters": Entry("gateway.cli.characters:characters", "Train, list and delete characters (Soul IDs)."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported by need; the list of them needs none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the table's order: what a newcomer wants comes first."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the one command that is asked for."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, attribute = entry.target.split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hfgateway", prog_name="hfgateway")
def cli() -> None:
    """Higgsfield Gateway: never charged twice, never lost, never reported wrong."""
