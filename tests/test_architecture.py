import ast
from pathlib import Path

import pytest

import nvc_jax

ORDER = """
autoencoder.blocks core.normalization entropy.rans spectral.dependent_quantization entropy.interleaving
core.byte_codecs chunks.special_values chunks.uniform_quantization chunks.error_correction
evaluation.metrics transform.block_dct transform.boundary_emphasis transform.lapped transform.block_modes
spectral.entropy_model core.systematic_sampling spectral.profiles spectral.refinement autoencoder.networks
models.checkpoints spectral.scan_order spectral.trellis spectral.block_headers spectral.bitstream
spectral.mode_decision spectral.encoder entropy.adaptive_geometric entropy.lorenzo entropy.sparse_integers
autoencoder.latent_stream chunks.payload chunks.preview core.optional_imports io.metadata io.lazy io.writers
io.locations io.nifti io.tiff io.chunked_stores io.volumes container.metadata compression.value_range
core.concurrency models.codec chunks.spectral_chunk compression.rate_control chunks.halo compression.options
container.store container.chunk_decoder container.reader compression.compress evaluation.containers
container.zarr_codec training.datasets spectral.training.symbol_counts spectral.training.samples
spectral.training.entropy_model spectral.training.refinement autoencoder.training evaluation.figures
cli.demo cli.commands
""".split()
PACKAGE = Path(nvc_jax.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if not path.stem.startswith("__")
)


@pytest.mark.parametrize("module", MODULES)
def test_modules_import_only_what_stands_above(module: str) -> None:
    above = ORDER[: ORDER.index(module)]
    for node in ast.walk(ast.parse((PACKAGE / module.replace(".", "/")).with_suffix(".py").read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nvc_jax."):
            assert node.module.removeprefix("nvc_jax.") in above
