"""Chunks of a volume encoded in batches, on all devices in use."""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from nvc_jax.chunks.gathered_coder import map_with_coders
from nvc_jax.chunks.payload_codec import PayloadCodec
from nvc_jax.chunks.transform_coder import TransformCoder
from nvc_jax.core.concurrency import map_batches_on_devices
from nvc_jax.core.device_batches import batch_size_in_use, share_of_batch
from nvc_jax.core.devices import devices_in_use
from nvc_jax.core.heaps import releasing

T = TypeVar("T")
R = TypeVar("R")


class EncodingBatches:
    """Encodes chunks of a volume, several together.

    Args:
        codec: of the chunks.
        coder: of the model.
        batch_size: largest number of chunks of a batch; with 1, each is encoded alone.
    """

    def __init__(self, codec: PayloadCodec, coder: TransformCoder, batch_size: int) -> None:
        self._codec, self._coder, self.batch_size = codec, coder, batch_size

    def map_on_devices(self, function: Callable[[T, PayloadCodec], R], items: Iterable[T]) -> Iterator[R]:
        """Map items on all devices in use.

        Args:
            function: takes an item and the codec that it must encode with; called by several threads at a
                time.
            items: taken by the consuming thread.

        Returns:
            The results; see ``map_batches_on_devices``.
        """
        together = functools.partial(self.map_together, function)
        return releasing(map_batches_on_devices(together, items, self.batch_size))

    def map_together(self, function: Callable[[T, PayloadCodec], R], items: Sequence[T]) -> Iterable[R]:
        """Map at most ``batch_size`` items on the device of this thread; ``function`` as above.

        Returns:
            The results, all of which are there by then. An error of an item is raised in the place of its
            result.
        """
        if self.batch_size == 1:
            return [function(item, self._codec) for item in items]

        def encode(item: T, coder: TransformCoder) -> R:
            return function(item, self._codec.with_coder(coder))

        return map_with_coders(encode, items, self._coder, self.batch_size)


def choose_batch_size(coder: TransformCoder, n_chunks: int) -> int:
    """Choose the number of chunks of a batch: 1 on CPUs, else as many as fit into the devices in use.

    Each device gets its share of the chunks of a volume, of which there are ``n_chunks``.
    """
    largest = batch_size_in_use(coder.encoding_bytes)
    return share_of_batch(largest, n_chunks, len(devices_in_use()))
