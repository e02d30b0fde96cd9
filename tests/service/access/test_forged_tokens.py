"""Tokens that are forged, stale or of somebody else: all refused, in the same words, and the issuer hardly asked."""

import base64
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.oidc_issuer import JobClaims
from tests.service.access.conftest import AUDIENCE, World

Forge = Callable[[World], str]


def _segment(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def _raw(header: str, payload: str, signature: str = "AAAA") -> str:
    return f"{_segment(header)}.{_segment(payload)}.{signature}"


def _signed(world: World, headers: dict[str, Any], claims: dict[str, Any]) -> str:
    """Sign with the issuer's key what no library would; None takes a claim or a header away."""
    header = {"alg": "RS256", "typ": "JWT", "kid": world.issuer.key_id, **headers}
    payload = {**world.issuer.claims(world.job, AUDIENCE), **claims}
    kept = [{name: value for name, value in part.items() if value is not None} for part in (header, payload)]
    text = ".".join(_segment(json.dumps(part)) for part in kept)
    signature = world.issuer.key.sign(text.encode(), PKCS1v15(), SHA256())
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def _of(change: Callable[[JobClaims], JobClaims]) -> Forge:
    return lambda world: world.token(change(world.job))


def _claims(**claims: Any) -> Forge:
    return lambda world: _signed(world, {}, claims)


def _later(**seconds: float) -> Forge:
    return lambda world: _signed(world, {}, {name: int(time.time() + by) for name, by in seconds.items()})


def _lazily(claims: Callable[[World], dict[str, Any]]) -> Forge:
    return lambda world: _signed(world, {}, claims(world))


def _header(**headers: Any) -> Forge:
    return lambda world: _signed(world, headers, {})


def _by_public_key(world: World) -> str:
    """HS256, with the published key as the secret: https://auth0.com/blog/critical-vulnerabilities-in-json-web-token-libraries/"""
    public = world.issuer.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    header = _segment(json.dumps({"alg": "HS256", "typ": "JWT", "kid": world.issuer.key_id}))
    signed = f"{header}.{_segment(json.dumps(world.issuer.claims(world.job, AUDIENCE)))}"
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(signed.encode(), public)
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def _by_another_key(world: World) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    claims = world.issuer.claims(world.job, AUDIENCE)
    return jwt.encode(claims, key, algorithm="RS256", headers={"kid": world.issuer.key_id})


def _changed(world: World) -> str:
    header, payload, signature = world.token().split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return f"{header}.{_segment(json.dumps({**claims, 'ref': 'refs/heads/prod'}))}.{signature}"


def _unsigned(algorithm: str) -> Forge:
    def forge(world: World) -> str:
        claims = json.dumps(world.issuer.claims(world.job, AUDIENCE))
        return _raw(json.dumps({"alg": algorithm, "typ": "JWT", "kid": world.issuer.key_id}), claims, "")

    return forge


def _with_alg(algorithm: str) -> Forge:
    def forge(world: World) -> str:
        claims = world.issuer.claims(world.job, AUDIENCE)
        return jwt.encode(claims, world.issuer.key, algorithm=algorithm, headers={"kid": world.issuer.key_id})

    return forge


DEEP = "[" * 5000
PLAIN = '{"alg":"RS256","kid":"k"}'
REFUSED: list[tuple[str, Forge, str]] = [
    ("nothing", lambda _: "", "DecodeError"),
    ("words", lambda _: "let me in", "DecodeError"),
    ("not ASCII", lambda _: "é.é.é", "DecodeError"),
    ("half of a surrogate pair", lambda _: "\ud800.a.b", "UnicodeEncodeError"),
    ("alg none", _unsigned("none"), "algorithm"),
    ("alg NONE", _unsigned("NONE"), "algorithm"),
    ("alg RS256 without a signature", _unsigned("RS256"), "InvalidSignatureError"),
    ("HS256 with the public key", _by_public_key, "algorithm"),
    ("RS512 with the right key", _with_alg("RS512"), "algorithm"),
    ("PS256 with the right key", _with_alg("PS256"), "algorithm"),
    ("another key, the right id", _by_another_key, "InvalidSignatureError"),
    ("a claim changed", _changed, "InvalidSignatureError"),
    ("unknown key", _header(kid=str(uuid4())), "unknown key"),
    ("no key id", _header(kid=None), "key id"),
    ("key id is a path", _header(kid="../../etc/passwd"), "key id"),
    ("key id is SQL", _header(kid="' OR 1=1 --"), "key id"),
    ("key id is a list", lambda _: _raw('{"alg":"RS256","kid":["a"]}', "{}"), "InvalidTokenError"),
    ("jku", _header(jku="https://evil.example/keys"), "foreign header"),
    ("x5u", _header(x5u="https://evil.example/cert"), "foreign header"),
    ("x5c", _header(x5c=["MIIB"]), "foreign header"),
    ("jwk", _header(jwk={"kty": "RSA", "n": "AQAB", "e": "AQAB"}), "foreign header"),
    ("crit", _header(crit=["exp"], exp=1), "InvalidTokenError"),
    ("b64 and crit", _header(crit=["b64"], b64=False), "DecodeError"),
    ("another issuer", _claims(iss="https://evil.example"), "issuer"),
    ("an issuer with a slash more", _lazily(lambda w: {"iss": f"{w.issuer.url}/"}), "issuer"),
    ("issuer is a list", _lazily(lambda w: {"iss": [w.issuer.url]}), "issuer"),
    ("no issuer", _claims(iss=None), "issuer"),
    ("another audience", _claims(aud="https://other.example.com"), "InvalidAudienceError"),
    ("GitHub's usual audience", _claims(aud="https://github.com/acme"), "InvalidAudienceError"),
    ("ours among audiences", _claims(aud=[AUDIENCE, "https://other.example.com"]), "InvalidAudienceError"),
    ("ours in a list", _claims(aud=[AUDIENCE]), "InvalidAudienceError"),
    ("no audience", _claims(aud=None), "MissingRequiredClaimError"),
    ("over", _later(iat=-600, nbf=-900, exp=-60), "ExpiredSignatureError"),
    ("not yet", _later(nbf=+300), "ImmatureSignatureError"),
    ("issued in the future", _later(iat=+300, exp=+600), "ImmatureSignatureError"),
    ("good for a day", _later(exp=24 * 3600), "good for too long"),
    ("exp is text", _lazily(lambda _: {"exp": str(int(time.time()) + 60)}), "claim"),
    ("exp is infinite", _claims(exp=float("inf")), "DecodeError"),
    ("no exp", _claims(exp=None), "MissingRequiredClaimError"),
    ("no iat", _claims(iat=None), "MissingRequiredClaimError"),
    ("no nbf", _claims(nbf=None), "MissingRequiredClaimError"),
    ("no jti", _claims(jti=None), "MissingRequiredClaimError"),
    ("jti is a number", _claims(jti=7), "InvalidJTIError"),
    ("jti is empty", _claims(jti=""), "claim"),
    ("no sub", _claims(sub=None), "MissingRequiredClaimError"),
    ("no repository_id", _claims(repository_id=None), "claim"),
    ("repository_id is a number", _claims(repository_id=1), "claim"),
    ("repository_id with a sign", _claims(repository_id="+1"), "claim"),
    ("repository_id in other digits", _claims(repository_id="\u0661"), "claim"),
    ("no repository_owner_id", _claims(repository_owner_id=None), "claim"),
    ("no event_name", _claims(event_name=None), "claim"),
    ("no ref", _claims(ref=None), "claim"),
    ("no sha", _claims(sha=None), "claim"),
    ("sha is a branch", _claims(sha="main"), "claim"),
    ("no run_id", _claims(run_id=None), "claim"),
    ("no run_attempt", _claims(run_attempt=None), "claim"),
    ("no actor", _claims(actor=None), "claim"),
    ("environment is a list", _claims(environment=["Production"]), "claim"),
    ("a claim of 2,000 characters", _claims(ref="refs/heads/" + "a" * 2000), "claim"),
    ("another repository, our name", _of(lambda job: replace(job, repository_id=777)), "unknown repository"),
    ("another owner, our name", _of(lambda job: replace(job, owner_id=777)), "owner"),
    ("pull_request_target", _of(lambda job: replace(job, event="pull_request_target")), "pull_request_target"),
    ("a tag without an environment", _of(lambda job: replace(job, ref="refs/tags/v1")), "ref of no stage"),
    ("a pull request's head", _of(lambda job: replace(job, ref="refs/pull/1/head")), "ref of no stage"),
    ("a pull request that is not", lambda w: w.token(w.pull(98)), "no such pull request"),
    ("20 KB", _claims(padding="x" * 20_000), "token too long"),
    ("10 MB", lambda _: "a" * 10_000_000, "token too long"),
    ("a bomb as header", lambda _: _raw(DEEP, "{}"), "DecodeError"),
    ("a bomb as payload", lambda _: _raw(PLAIN, DEEP), "DecodeError"),
    ("a number of 9,000 digits", lambda _: _raw(PLAIN, '{"iss":' + "9" * 9000 + "}"), "DecodeError"),
    ("payload is a list", lambda _: _raw(PLAIN, "[]"), "DecodeError"),
]  # fmt: skip


def test_every_forged_and_stale_token_is_refused_in_the_same_words(world: World) -> None:
    told = {}
    for name, forge, reason in REFUSED:
        try:
            told[name] = (world.refused(forge(world)), reason)
        except BaseException as error:
            raise AssertionError(name) from error
    assert {name: said for name, (said, reason) in told.items() if reason not in said} == {}
    assert world.issuer.jwks_fetches == 1  # for all of them, and for this one that is good
    assert world.exchange(world.token())["expires_in"] == 900
    assert world.issuer.jwks_fetches == 1


def test_a_thousand_made_up_key_ids_ask_the_issuer_once(world: World) -> None:
    for _ in range(1000):
        assert world.refused(world.token(headers={"kid": str(uuid4())})) == "unknown key"
    assert world.issuer.jwks_fetches == 1
    assert world.exchange(world.token())["token"]


def test_a_token_of_the_service_is_not_one_of_github_nor_the_other_way_round(world: World) -> None:
    token = world.token()
    run = world.exchange(token)["token"]
    assert "algorithm" in world.refused(run)
    with pytest.raises(Exception, match="not logged in"):
        world.callers.identify(f"Bearer {token}")
    assert world.callers.identify(f"Bearer {run}").name == "actions:acme/notes#4242"
