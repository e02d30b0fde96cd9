"""What is wanted of each stage, who may act on it, and making it so."""
