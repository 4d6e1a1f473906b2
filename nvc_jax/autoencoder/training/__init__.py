"""Training of block autoencoders (paper, section 3.2)."""
