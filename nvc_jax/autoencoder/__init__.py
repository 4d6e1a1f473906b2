"""The block autoencoders of the paper."""
