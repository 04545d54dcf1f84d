"""From records and proposals to the mini-batches that `fit` takes."""
