"""`hfgateway completion`: prints the script with which a shell completes commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from gateway.cli.output import write


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes `hfgateway` in SHELL.

    \b
    bash: eval "$(hfgateway completion bash)"      in ~/.bashrc
    zsh:  eval "$(hfgateway completion zsh)"       in ~/.zshrc, after compinit
    fish: hfgateway completion fish | source       in ~/.config/fish/config.fish
    """
    from gateway.cli import cli

    script = get_completion_class(shell)
    assert script is not None
    # click answers the script's calls, which it recognizes by this variable.
    write(script(cli, {}, "hfgateway", "_HFGATEWAY_COMPLETE").source() + "\n")
