"""Volumes to containers and back."""
