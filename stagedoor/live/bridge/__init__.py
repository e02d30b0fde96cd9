"""What stands in a live function's place in AWS: standard library and plain Node alone, as it is copied there."""
