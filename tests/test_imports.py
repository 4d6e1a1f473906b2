import ast
from pathlib import Path

import pytest

import nvc_jax

ORDER = """
blocks normalize entropy quantizers lanes packing specials lattice correction metrics cells faces transform
regions classes systematic profiles refinement models checkpoints scan trellis heads bitstream choices
spectral geometric residuals sparse latents frames means extras metadata flat files locations formats images
stores volumes header survey parallel codec chunks streams windows targets container payloads reader
pipeline inspection zarr_codec datasets counting sampling fitting refining training figures demo cli
""".split()
PACKAGE = Path(nvc_jax.__file__).parent
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("__"))


@pytest.mark.parametrize("module", MODULES)
def test_modules_import_only_what_stands_above(module: str) -> None:
    above = ORDER[: ORDER.index(module)]
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nvc_jax."):
            assert node.module.removeprefix("nvc_jax.") in above
