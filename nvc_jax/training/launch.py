"""Connection of several processes by JAX, if the environment says that they are a cluster."""

import atexit
import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import jax

from nvc_jax.core.launchers import launched_task

_COORDINATOR = "JAX_COORDINATOR_ADDRESS"
_KUBERNETES_INDEX, _KUBERNETES = "JOB_COMPLETION_INDEX", "KUBERNETES_SERVICE_HOST"
_TPU_HOSTS = ("TPU_PROCESS_ADDRESSES", "TPU_WORKER_HOSTNAMES")
"""Variables with a list of the hosts of a TPU slice."""
_FOUND_BY_JAX = ("Slurm", "Open MPI")
"""Launchers whose first host JAX finds itself."""
_HEARTBEAT_SECONDS = 30
"""Seconds without a sign of life after which a process counts as dead, and all others end, too."""


def connect_processes(environ: Mapping[str, str] = os.environ) -> bool:
    """Connect this process with those that were launched with it, if there are any.

    The processes of ``srun``, ``mpirun`` and other launchers of MPI, of an indexed job of Kubernetes, and of
    the hosts of a TPU slice are known by the variables that are set for them. Call this function before
    anything else that uses JAX's devices. All processes must call it. A second call does nothing.

    Args:
        environ: variables and values.

    Returns:
        Whether there are several processes.

    Raises:
        ValueError: the launcher does not tell the address of its first host; the message names the variable
            that does.
    """
    if jax.distributed.is_initialized():
        return jax.process_count() > 1
    arguments = _find_arguments(environ)
    if arguments is None:
        return False
    jax.distributed.initialize(**arguments, heartbeat_timeout_seconds=_HEARTBEAT_SECONDS)
    return jax.process_count() > 1


@contextlib.contextmanager
def failing_together() -> Iterator[None]:
    """Let an error in the block end the other processes, too.

    A process that ends in order waits for the others, and these wait for it in their next sum. After an
    error it therefore ends without waiting, as soon as its program has ended otherwise.
    """
    try:
        yield
    except Exception:
        if jax.process_count() > 1:
            atexit.register(_leave)
        raise


def _leave() -> None:
    """End this process at once, without the steps by which JAX disconnects it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def _find_arguments(environ: Mapping[str, str]) -> dict[str, Any] | None:
    """Find the arguments of ``jax.distributed.initialize``; None for a single process."""
    task = launched_task(environ)
    if task is not None and task.count > 1:
        if task.name in _FOUND_BY_JAX and _COORDINATOR not in environ:
            return {}
        if _COORDINATOR not in environ:
            raise ValueError(
                f"{task.name} started {task.count} processes and does not tell where the first one runs: set "
                f"{_COORDINATOR}=HOST:PORT, with the first host and a free port there"
            )
        return {
            "coordinator_address": environ[_COORDINATOR],
            "num_processes": task.count,
            "process_id": task.rank,
        }
    is_kubernetes_job = _KUBERNETES in environ and _KUBERNETES_INDEX in environ
    has_tpu_hosts = any("," in environ.get(name, "") for name in _TPU_HOSTS)
    return {} if is_kubernetes_job or has_tpu_hosts else None
