"""`orchestrator completion`: the script that makes a shell complete our commands and options."""

from __future__ import annotations

import click

from orchestrator.cli.output import write


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script for a shell.

    \b
    Example:
      orchestrator completion bash >> ~/.bashrc
      orchestrator completion zsh >> ~/.zshrc
      orchestrator completion fish > ~/.config/fish/completions/orchestrator.fish
    """
    from click.shell_completion import get_completion_class

    from orchestrator.cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None
    write(kind(cli, {}, "orchestrator", "_ORCHESTRATOR_COMPLETE").source())
