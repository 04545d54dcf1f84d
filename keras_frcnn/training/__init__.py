"""Training: the optimizer, what happens at each step, and the fit of a run."""
