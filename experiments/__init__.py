"""The experiments: ``python -m experiments list | run | render | check``."""
