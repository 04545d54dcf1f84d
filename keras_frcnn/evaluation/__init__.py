"""Average precision of detections, and running a detector over a data set."""
