import base64
from typing import Any

import jwt
import pytest

from service.access.tokens import (
    ForwardToken,
    FunctionToken,
    LoginToken,
    ResumeToken,
    RunToken,
    StageToken,
    TokenInvalid,
    Tokens,
    token_key,
)
from service.settings import Settings

CLAIMS: list[Any] = [
    LoginToken("ann", 7, "github.com"),
    StageToken(3, "ann", 7, "github.com"),
    FunctionToken(3, "notes-list"),
    ResumeToken("12", 3, "ann"),
    ForwardToken("r.1", "12"),
    RunToken(3, 17, 1, "push", "refs/heads/main", "c" * 40, "", "ann", "deploy read", "main"),
]


class Clock:
    now = 1_000_000.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize("claims", CLAIMS)
def test_a_token_is_good_for_its_kind_and_its_time(claims):
    clock = Clock()
    tokens = Tokens(b"k" * 32, clock)
    token = tokens.mint(claims)
    for kind in {type(other) for other in CLAIMS} - {type(claims)}:
        with pytest.raises(TokenInvalid):
            tokens.verify(token, kind)
    assert tokens.verify(token, type(claims)) == claims
    for kind in {type(other) for other in CLAIMS} - {type(claims)}:  # also when it is remembered
        with pytest.raises(TokenInvalid):
            tokens.verify(token, kind)
    clock.now += claims.seconds
    with pytest.raises(TokenInvalid):
        tokens.verify(token, type(claims))


DEEP = f"{base64.urlsafe_b64encode(b'[' * 5000).decode()}.e30.AA"


@pytest.mark.parametrize("forged", ["", "x.y.z", "é", DEEP, jwt.encode({"stage_id": 3}, "k" * 32, algorithm="HS256")])
def test_what_is_no_token_is_refused(forged):
    with pytest.raises(TokenInvalid):
        Tokens(b"k" * 32).verify(forged, StageToken)


def test_another_key_and_no_algorithm_are_refused():
    token = Tokens(b"a" * 32).mint(StageToken(3, "ann"))
    with pytest.raises(TokenInvalid):
        Tokens(b"b" * 32).verify(token, StageToken)
    claims = jwt.decode(token, options={"verify_signature": False})
    with pytest.raises(TokenInvalid):
        Tokens(b"a" * 32).verify(jwt.encode(claims, "", algorithm="none"), StageToken)


def test_the_key_is_the_apps_unless_one_is_set():
    app = Settings(github_private_key="a key")
    assert token_key(app) == token_key(Settings(github_private_key="a key"))
    assert token_key(app) != token_key(Settings(github_private_key="another key"))
    assert token_key(app) != token_key(Settings(github_private_key="a key", token_key="t" * 32))
