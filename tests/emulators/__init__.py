"""The engine on other implementations of AWS than the one that the rest of the tests lean on."""
