"""nvc-1: entropy model, decisions, bitstream, refinement, encoder and decoder."""
