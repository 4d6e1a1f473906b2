"""Messages in the words of the command line: options in place of the arguments of functions, and advice."""

import argparse
import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from nvc_jax.cli.failures import describe_failure

_OF_ARGUMENTS = {"chunks": "chunk", "shards": "shard", "missing_values": "missing_value"} | {
    "exact_values": "exact_value",
    "source": "input",
    "destination": "output",
    "name": "dataset",
}
"""Options by the arguments of the functions that take their values, where the names differ."""
_WRONG_USAGE = 2
"""Exit status of a run with wrong arguments, as of argparse."""
_POSITIONAL = {"input": "IN", "output": "OUT", "original": "ORIGINAL", "container": "CONTAINER"} | {
    "containers": "CONTAINER",
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
        self._given: Sequence[str] = ()
        self.register("action", None, _Once)
        self.register("action", "store", _Once)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Note the words for messages, and parse them."""
        self._given = () if args is None else args
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Print usage and a message, and end the program with status 2."""
        message = re.sub(r", further$", "", message)
        if choice := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message):
            similar = difflib.get_close_matches(choice[1], re.findall(r"[\w-]+", choice[2]), n=1)
            message += "".join(f"; did you mean {name}?" for name in similar)
        elif "unrecognized" in message and (similar := self._similar_options()):
            message += f"; did you mean {' and '.join(similar)}?"
        elif words := [word for word in self._given if re.fullmatch(r"-[a-z][a-z-]+", word)]:
            message += f"; options have two dashes: -{words[0]}"
        elif any(word.startswith("-") and not word.startswith("--") for word in self._given):
            message += "; write ./-NAME for a file whose name begins with a minus"
        self.fail(f"{message}; `{self.prog} --help` explains the arguments")

    def _similar_options(self) -> list[str]:
        """List known options that are like unknown ones among the words."""
        known = [*_list_options(self)]
        unknown = [word.partition("=")[0] for word in self._given if word.startswith("--")]
        matches = (difflib.get_close_matches(word, known, n=1) for word in unknown if word not in known)
        return [name for names in matches for name in names]

    def fail(self, message: str) -> NoReturn:
        """Print usage and a whole message, and end the program with status 2."""
        super().error(message)


def _list_options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """List the options of a parser and of its commands."""
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _list_options(command)


class JsonParser(Parser):
    """Parser whose errors are JSON objects."""

    def fail(self, message: str) -> NoReturn:
        """Print a whole message as a JSON object, and end the program with status 2."""
        command = self.prog.removeprefix("nvc").strip()
        failure = describe_failure(command, message, [], _WRONG_USAGE, as_json=True)
        self.exit(_WRONG_USAGE, f"{failure}\n")


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
