"""Training of a spectral model: a fitting of a given size, or fittings of growing sizes in limited time."""

from collections.abc import Sequence
from typing import Any

from nvc_jax.core.parameters import Params
from nvc_jax.io.measurements import open_measurements
from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.spectral.training.chunks import ChunkLoader, check_chunks, choose_chunks
from nvc_jax.spectral.training.fitting import Fitting
from nvc_jax.spectral.training.rounds import Rounds
from nvc_jax.spectral.training.settings import BLOCKS_PER_VOLUME
from nvc_jax.training.config import volume_names
from nvc_jax.training.mesh import make_mesh
from nvc_jax.training.progress import RunOptions, TrainedParams
from nvc_jax.training.supervision import Supervisor


def fit_spectral(
    volumes: Sequence[Any],
    config: SpectralConfig,
    *,
    seed: int = 0,
    blocks_per_volume: int = BLOCKS_PER_VOLUME,
) -> Params:
    """Fit a spectral model on volumes.

    Args:
        volumes: volumes that ``open_volume`` takes.
        config: number of profiles, classes, tables and quantisers.
        seed: the only source of randomness.
        blocks_per_volume: number of blocks of each chunk to learn classes from.

    Returns:
        Parameters of the encoder and the decoder: ``entropy``.
    """
    return train_spectral(volumes, config, RunOptions(seed=seed), blocks_per_volume=blocks_per_volume).params


def train_spectral(
    volumes: Sequence[Any],
    config: SpectralConfig,
    options: RunOptions,
    *,
    blocks_per_volume: int = BLOCKS_PER_VOLUME,
) -> TrainedParams:
    """Fit a spectral model on volumes, as ``options`` say.

    Devices, of one process or of many, work on chunks of their own. The parameters do not depend on their
    number, up to rounding.

    Args:
        volumes: volumes that ``open_volume`` takes.
        config: number of profiles, classes, tables and quantisers.
        options: of the run; ``validation`` is not used. Checkpoints are written after every profile and
            every chunk that is counted.
        blocks_per_volume: number of blocks of each chunk to learn classes from; not used where the time is
            limited (see ``rounds``).

    Raises:
        Preempted: SIGTERM was received; the state is saved, if there is a directory.
        ValueError: a directory that holds another run, or volumes with nothing to learn from.
    """
    mesh = make_mesh(options.devices)
    stores = [store for volume in volumes for store in open_measurements(volume)]
    chunks = choose_chunks(stores, seed=options.seed)
    check_chunks(chunks)
    loader = ChunkLoader(chunks, mesh)
    names = volume_names(volumes)
    run = {
        "config": config.to_dict(),
        "blocks_per_volume": blocks_per_volume,
        "seed": options.seed,
        "sources": list(names),
        "shapes": [list(store.shape) for store in stores],
        **({} if options.limit is None else {"seconds": options.limit.seconds}),
    }
    with Supervisor(options, run, mesh) as supervisor:
        work: Fitting | Rounds
        if options.limit is None:
            work = Fitting(config, loader, blocks_per_volume, options.seed)
        else:
            work = Rounds(config, loader, options.seed, options.limit, supervisor.notes)
        state = supervisor.restore(work.begin())
        for progress, reached in work.run(state):
            supervisor.report(progress, reached, is_milestone=True)
            state = reached
    return TrainedParams(state.params, names, tuple(supervisor.history))
