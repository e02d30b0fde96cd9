"""The local AWS: ministack, as a process of its own."""
