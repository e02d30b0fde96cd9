"""The laptop cloud: a local AWS, a local GitHub, and the story of a pull request told on them."""
