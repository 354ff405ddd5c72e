"""Shared by all scripts: flags, errors, signals, files and checkpoints."""
