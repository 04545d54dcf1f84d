"""The networks: trunks, region layers, heads, and the detectors made of them."""
