"""How PyGithub gets the token that is good at the moment."""

from github.Auth import Auth

from service.github.app_tokens import AppTokens, Scope


class InstallationAuth(Auth):
    """Gives PyGithub the token that is good now, for each request."""

    def __init__(self, tokens: AppTokens, scope: Scope) -> None:
        self._tokens = tokens
        self._scope = scope

    @property
    def token_type(self) -> str:
        """Return the scheme of the header."""
        return "Bearer"

    @property
    def token(self) -> str:
        """Return a token that is good for at least five minutes."""
        return self._tokens.token(self._scope)
