"""Run directories: settings, checkpoints, one training at a time, signals."""
