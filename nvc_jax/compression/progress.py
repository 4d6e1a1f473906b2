"""Progress of ``compress`` and ``decompress``."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class ByteProgress:
    """Bytes that ``compress`` or ``decompress`` has worked through.

    Attributes:
        done_bytes: of the volume, in its own dtype.
        total_bytes: of the volume, or of this writer's part of it.
        stored_bytes: of the payloads that hold ``done_bytes`` in the container.
    """

    done_bytes: int
    total_bytes: int
    stored_bytes: int
