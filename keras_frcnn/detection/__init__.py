"""From an image and its proposals to detections."""
