"""Looking at data, and at what a training makes of it, before and beside it."""
