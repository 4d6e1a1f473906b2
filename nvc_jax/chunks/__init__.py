"""One chunk of a volume to one payload and back."""
