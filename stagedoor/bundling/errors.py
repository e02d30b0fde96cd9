"""What can go wrong with a function's bundle, in words for whoever wrote the function."""

from stagedoor.errors import UserError


class UnsupportedDependencies(UserError):
    """Dependencies are written down in a way that cannot be installed."""

    id = "unsupported-dependencies"


class BundlingFailed(UserError):
    """A tool that makes bundles is missing, or ended with an error."""

    id = "bundling-failed"


class WrongArchitecture(UserError):
    """A native library in a bundle cannot be loaded where the function runs."""

    id = "bundle-for-another-architecture"


class BundleTooLarge(UserError):
    """A bundle is larger than Lambda allows."""

    id = "bundle-too-large"


class InvalidBundle(UserError):
    """A bundle's file asks for what a bundle may not have. The app's program wrote it, and may be a stranger's."""

    id = "invalid-bundle"
