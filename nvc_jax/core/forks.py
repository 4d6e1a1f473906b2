"""Forked processes: a child that was forked after its parent used this package is told so, and never hangs.

JAX and TensorStore work by threads, which a forked child does not have: it would wait for them for ever.
"""

import os

_state = {"is_used": False, "is_forked": False}


def check_fork() -> None:
    """Note that the package is used, and raise if a parent had used it before this process was forked.

    Raises:
        RuntimeError: it had; the message says what to do.
    """
    if _state["is_forked"]:
        raise RuntimeError(
            "this process was forked after its parent had used nvc_jax, whose threads it does not have: "
            "start processes by 'spawn' or 'forkserver', such as multiprocessing.get_context('spawn') or, "
            "for a PyTorch DataLoader, multiprocessing_context='spawn'"
        )
    _state["is_used"] = True


def _after_fork() -> None:
    _state["is_forked"] = _state["is_forked"] or _state["is_used"]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
