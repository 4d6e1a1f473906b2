"""The server of the viewer: the application on the loopback interface, in a thread of its own."""

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from nvc_jax.core.optional_imports import import_extra
from nvc_jax.viewer.volumes import ViewedVolume, open_viewed, share_missing_values

HOST = "127.0.0.1"
"""Interface that is listened at: no other machine reaches it."""
_EXTRA = "view"
_END_SECONDS = 1
"""Seconds that requests have to end when the server does."""


def open_all(sources: Sequence[Any], mode: str = "blend") -> list[ViewedVolume]:
    """Open volumes that are shown together; what is missing in one by its container, is so in the others.

    Raises:
        ModuleNotFoundError: the extra ``view`` is not installed.
        ValueError: they are not of one shape; or as of ``open_viewed``.
    """
    import_extra("starlette", _EXTRA)
    volumes = [open_viewed(source, mode=mode) for source in sources]
    for volume in volumes[1:]:
        if volume.shape != volumes[0].shape:
            raise ValueError(
                f"`containers`: `{volumes[0].name}` has shape {volumes[0].shape} and `{volume.name}` "
                f"{volume.shape}; volumes that are shown side by side must have one shape: view them apart"
            )
    return share_missing_values(volumes)


@contextlib.contextmanager
def serving(volumes: Sequence[ViewedVolume], port: int = 0) -> Iterator[str]:
    """Serve volumes until the block ends.

    Args:
        volumes: of one shape.
        port: to listen at; 0 for any that is free.

    Yields:
        The address of the page.

    Raises:
        ModuleNotFoundError: the extra ``view`` is not installed.
        OSError: the port is taken, or not allowed.
    """
    uvicorn = import_extra("uvicorn", _EXTRA)
    import_extra("starlette", _EXTRA)
    from nvc_jax.viewer.application import make_application

    stopping = threading.Event()
    with _listen(port) as listening:
        config = uvicorn.Config(
            make_application(volumes, stopping),
            log_level="error",
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=_END_SECONDS,
        )
        server = uvicorn.Server(config)
        # In another thread uvicorn leaves signals to the main thread.
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="nvc view")
        thread.start()
        try:
            yield f"http://{HOST}:{listening.getsockname()[1]}/"
        finally:
            stopping.set()
            server.should_exit = True
            thread.join()


def _listen(port: int) -> socket.socket:
    """Listen at a port of the loopback interface; requests that come before the server runs wait."""
    listening = socket.socket()
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen()
    except OSError as error:
        listening.close()
        raise OSError(
            f"`port` (={port}) cannot be listened at: {error.strerror}; name another one, or leave it out "
            "for one that is free"
        ) from error
    return listening
