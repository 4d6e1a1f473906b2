"""Entropy coding of integers on the device."""
