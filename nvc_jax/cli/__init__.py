"""The command line, ``nvc``: the only package that prints.

Read ``main`` first, then any command. There is one module for each, with ``add_command`` (its arguments) and
a function that runs it: ``compress``, ``decompress``, ``info``, ``view``, ``evaluate``, ``verify``,
``report``, ``compare``, ``train``, ``models``, ``fetch``, ``demo``, ``completion``; ``dry_run`` is what
``compress --dry-run`` does, ``parts`` what its ``--part`` means. ``arguments`` turns texts into values,
``output`` prints values and tables, ``summary`` words what a run did, with ``quantities``, and ``progress``
shows how far it is, with ``compilations``, which knows what JAX compiles. ``interruption`` obeys Ctrl-C and
SIGTERM, ``failures`` reports errors and warnings, and ``wording`` makes them name options. A command calls
one function of the public API; that of ``demo`` is ``demonstration``, which calls several and draws a
picture, and ``training_figures`` draws those of ``train``.

Modules of commands import what a command needs only when it runs: help and wrong usage are answered at once.
"""

from nvc_jax.cli.main import main

__all__ = ["main"]
