"""The lapped block transform."""
