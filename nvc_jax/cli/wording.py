"""Messages in the words of the command line: options in place of the arguments of functions, and advice."""

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

_OF_ARGUMENTS = {"chunks": "chunk", "shards": "shard", "missing_values": "missing_value"} | {
    "exact_values": "exact_value",
    "source": "input",
    "destination": "output",
    "name": "dataset",
}
"""Options by the arguments of the functions that take their values, where the names differ."""
_POSITIONAL = {"input": "IN", "output": "OUT", "original": "ORIGINAL", "container": "CONTAINER"} | {
    "page": "OUT.html",
    "config": "CONFIG",
    "volumes": "VOLUME",
    "dataset": "DATASET",
}
"""Names, in the help, of the arguments that are no options."""


def in_options(message: str, options: argparse.Namespace) -> str:
    """Name options in place of the arguments of functions, such as ``--max-error`` for ``max_error``.

    Args:
        message: names arguments in backticks.
        options: those of the command; other names stay.
    """

    def replace(match: re.Match[str]) -> str:
        name = _OF_ARGUMENTS.get(match[1], match[1])
        if name not in vars(options):
            return match[0]
        return f"`{_POSITIONAL.get(name) or '--' + name.replace('_', '-')}`"

    message = re.sub(r"`\w+` \((`--[\w-]+`)\)", r"\1", message)
    return re.sub(r"`(\w+)`", replace, message)


class Parser(argparse.ArgumentParser):
    """Parser that takes each option once, and says where to find help."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.register("action", None, _Once)
        self.register("action", "store", _Once)

    def error(self, message: str) -> NoReturn:
        """Print usage and a message, and end the program with status 2."""
        message = re.sub(r", further$", "", message)
        if "arguments are required" in message or "unrecognized" in message:
            message += "; write ./-NAME for a file whose name begins with a minus"
        super().error(f"{message}; `{self.prog} --help` explains the arguments")


class _Once(argparse.Action):
    """Store the value of an option, which may be given once: of two values one would be lost."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        given = self.__dict__.setdefault("given_in", [])
        if option_string is not None and any(earlier is namespace for earlier in given):
            raise argparse.ArgumentError(
                self, f"given twice, as {getattr(namespace, self.dest)} and {values}: give it once"
            )
        given[:] = [namespace]
        setattr(namespace, self.dest, values)
