"""The command line `keras-frcnn`: its options, what each command does, and the demo."""
