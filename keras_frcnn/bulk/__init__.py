"""Work on more images than one machine does: proposals and detections in shards, on Apache Beam."""
