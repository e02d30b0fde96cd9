"""What GitHub tells us: verify, record, answer."""
