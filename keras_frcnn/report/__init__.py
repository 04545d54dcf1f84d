"""One page that shows what a run does: numbers, curves and its worst images."""
