import os

import pytest

from nvc_jax.core.forks import check_fork

SECONDS = 20.0


def run_forked(use_before: bool) -> str:
    """Fork a child that uses the package; return what it met."""
    if use_before:
        check_fork()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            check_fork()
            message = "used"
        except RuntimeError as error:
            message = str(error)
        os.write(writing, message.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        message = answer.read()
    os.waitpid(child, 0)
    return message


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system forks no processes")
@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_children_of_processes_that_used_the_package_are_told() -> None:
    assert "start processes by 'spawn' or 'forkserver'" in run_forked(use_before=True)
