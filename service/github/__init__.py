"""What GitHub is asked and told."""
