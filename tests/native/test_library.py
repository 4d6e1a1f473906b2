import os
import subprocess
import sys
from pathlib import Path

from nvc_jax.native import library


def test_kernels_are_ready() -> None:
    """Tests compare kernels with their references, so this environment must have them."""
    assert library.load_kernels() is None


def test_an_installation_may_have_no_kernels() -> None:
    assert library.load_from(None) == "this installation has none"


def test_a_library_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "libnvc_kernels.so"
    broken.write_bytes(b"no library")
    reason = library.load_from(broken)
    assert reason is not None
    assert str(broken) in reason
    assert "cannot be loaded" in reason


def test_a_library_of_another_version_is_not_used() -> None:
    reason = library.load_from(library.find_library(), version=-1)
    assert reason is not None
    assert f"version {library.VERSION}, not -1" in reason


PROGRAM = """
import sys, warnings
import numpy as np, jax
from nvc_jax.native.library import load_kernels
from nvc_jax.entropy import adaptive_geometric, geometric_adaptation
print(load_kernels())

@jax.jit
def round_trip(values):
    scales = geometric_adaptation.choose_scales(values)
    return adaptive_geometric.decode(adaptive_geometric.encode(values, scales), scales, 4)

values = np.arange(-6, 6, dtype=np.int32).reshape(3, 4)
assert (np.asarray(round_trip(values)) == values).all()
"""


def run_program(folder: Path, search_path: list[str], **variables: str) -> subprocess.CompletedProcess:
    known = {name: value for name, value in os.environ.items() if not name.startswith("NVC")}
    environment = known | {"PYTHONPATH": ":".join(search_path), "JAX_PLATFORMS": "cpu", **variables}
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=folder)


def test_a_variable_turns_kernels_off_without_a_warning(tmp_path: Path) -> None:
    done = run_program(tmp_path, sys.path, NVC_JAX_NATIVE="0")
    assert "turned off" in done.stdout
    assert "RuntimeWarning" not in done.stderr


def test_a_package_without_kernels_works_and_warns(tmp_path: Path) -> None:
    """A copy of the package without the library, from where no installation is seen."""
    package = Path(library.__file__).parents[1]
    (tmp_path / "nvc_jax").mkdir()
    for path in package.iterdir():
        if path.name != "native":
            (tmp_path / "nvc_jax" / path.name).symlink_to(path)
    (tmp_path / "nvc_jax" / "native").mkdir()
    for name in ("__init__.py", "dispatch.py"):
        (tmp_path / "nvc_jax" / "native" / name).symlink_to(package / "native" / name)
    source = (package / "native" / "library.py").read_text()
    source = source.replace("nvc_jax/native/{_NAME}", "nvc_jax/native/none")
    (tmp_path / "nvc_jax" / "native" / "library.py").write_text(source)
    done = run_program(tmp_path, [str(tmp_path), *sys.path])
    assert "this installation has none" in done.stdout
    assert "RuntimeWarning: nvc_jax runs without its native kernels" in done.stderr
    assert "C++17 compiler" in done.stderr
