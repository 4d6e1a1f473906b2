"""The command ``nvc completion``: a script that completes names of commands, options and files."""

import argparse

from nvc_jax.cli import arguments
from nvc_jax.cli.output import print_json
from nvc_jax.core.optional_imports import import_extra

_SHELLS = ("bash", "zsh", "fish")
_OF_FILES = {"input", "output", "further", "original", "container", "config", "volumes", "validation"} | {
    "model",
    "directory",
}
"""Arguments whose values are names of files, in the namespace of the options."""


def add_command(commands: arguments.Commands) -> None:
    """Add the command to the parser of ``nvc``."""
    command = arguments.add_parser(
        commands,
        "completion",
        _run,
        "Print a script that completes commands, options and files in a shell (extra completion).",
        (
            'eval "$(nvc completion bash)"                          # now; or in ~/.bashrc',
            "nvc completion zsh > ~/.zfunc/_nvc                     # a folder of fpath",
            "nvc completion fish > ~/.config/fish/completions/nvc.fish",
        ),
    )
    command.add_argument("shell", metavar="SHELL", choices=_SHELLS, help=", ".join(_SHELLS))


def _run(options: argparse.Namespace) -> None:
    script = completion_script(options.parser, options.shell)
    if options.json:
        print_json({"shell": options.shell, "script": script})
    else:
        print(script)


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Make the script that completes a program's command line in a shell.

    Args:
        parser: of the program.
        shell: bash, zsh or fish.

    Raises:
        ModuleNotFoundError: shtab is not installed; the message has the command that installs it.
    """
    shtab = import_extra("shtab", "completion")
    _name_files(parser, shtab.FILE)
    script: str = shtab.complete(parser, shell)
    return script


def _name_files(parser: argparse.ArgumentParser, files: object) -> None:
    """Mark the arguments of a parser, and of those of its commands, whose values are files."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _name_files(command, files)
        elif action.dest in _OF_FILES:
            action.complete = files  # type: ignore[attr-defined]
