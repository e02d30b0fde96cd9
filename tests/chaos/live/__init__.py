"""The tunnel while its connections and processes break: small versions of what `python -m bench.live` counts."""
