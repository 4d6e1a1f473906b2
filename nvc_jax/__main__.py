"""The command line as ``python -m nvc_jax``, for systems where the script ``nvc`` is not on the path."""

import sys

from nvc_jax.cli import main

if __name__ == "__main__":
    sys.exit(main())
