"""What all scripts share: flags, errors and signals, files and checkpoints."""
