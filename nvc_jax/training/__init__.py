"""What training of any model shares."""
