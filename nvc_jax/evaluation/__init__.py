"""Measures, reports and pictures of what a container keeps."""
