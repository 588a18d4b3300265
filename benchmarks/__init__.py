"""The numbers that the documentation claims, one command each."""
