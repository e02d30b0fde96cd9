"""An issuer's keys: found by discovery, kept, asked for again when due and not before; nonsense is not believed."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from service.access.oidc import default_issuer, issuers_of
from service.access.signing_keys import KeysUnavailable, SigningKeys, fetch_keys, is_safe_issuer
from service.settings import Settings, SettingsInvalid
from tests.oidc_issuer import OidcIssuer

Pages = dict[str, tuple[int, dict[str, str], bytes]]
DISCOVERY, KEYS = "/.well-known/openid-configuration", "/keys"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_keys_are_kept_for_an_hour_and_asked_for_again_when_one_is_new(issuer: OidcIssuer) -> None:
    clock = Clock()
    keys = SigningKeys(issuer.url, clock=clock)
    first = issuer.key_id
    for _ in range(100):
        assert keys.get(first) is not None
    assert issuer.jwks_fetches == 1
    issuer.rotate()
    clock.now += 59
    assert keys.get(issuer.key_id) is None  # the cool-down
    clock.now += 1
    assert keys.get(issuer.key_id) is not None
    assert keys.get(first) is None
    assert issuer.jwks_fetches == 2
    clock.now += 3600
    assert keys.get(issuer.key_id) is not None
    assert issuer.jwks_fetches == 3


def test_an_issuer_that_is_away_is_believed_for_a_day_and_asked_once_a_minute(issuer: OidcIssuer) -> None:
    clock = Clock()
    keys = SigningKeys(issuer.url, clock=clock)
    assert keys.get(issuer.key_id) is not None
    issuer.broken = True
    clock.now += 3600
    for _ in range(50):
        assert keys.get(issuer.key_id) is not None
        assert keys.get("another") is None
    assert issuer.fetches[DISCOVERY] == 2
    clock.now += 23 * 3600
    with pytest.raises(KeysUnavailable):
        keys.get(issuer.key_id)


def test_threads_ask_once_together(issuer: OidcIssuer) -> None:
    keys = SigningKeys(issuer.url)
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(keys.get, [issuer.key_id] * 50 + ["another"] * 50))
    assert [one is not None for one in found] == [True] * 50 + [False] * 50
    assert issuer.jwks_fetches == 1


@pytest.fixture
def site() -> Iterator[tuple[str, Pages]]:
    """A web server that answers what a test says: status, headers and body by path."""
    pages: Pages = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = pages.get(self.path, (404, {}, b""))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing of a reader that had enough."""

    server = Server(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", pages
    server.shutdown()
    server.server_close()


def jwk(bits: int = 2048, **more: Any) -> dict[str, Any]:
    public = rsa.generate_private_key(public_exponent=65537, key_size=bits).public_key()
    return {**RSAAlgorithm.to_jwk(public, as_dict=True), "kid": "k", **more}


def publish(site: tuple[str, Pages], keys: object, **discovery: object) -> str:
    url, pages = site
    pages[DISCOVERY] = (200, {}, json.dumps({"issuer": url, "jwks_uri": url + KEYS, **discovery}).encode())
    pages[KEYS] = (200, {}, keys if isinstance(keys, bytes) else json.dumps(keys).encode())
    return url


def test_only_keys_that_sign_by_rs256_are_taken(site: tuple[str, Pages]) -> None:
    elliptic = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True)
    odd = [
        jwk(kid="small", bits=1024),
        jwk(kid="other", alg="RS512"),
        jwk(kid="crypt", use="enc"),
        {**elliptic, "kid": "curve"},
        {"kty": "oct", "k": "AAAA", "kid": "secret"},
        {"kty": "RSA", "kid": "empty"},
        {"kty": "RSA", "kid": ["k"]},
        "text",
        None,
    ]
    assert set(fetch_keys(publish(site, {"keys": [*odd, jwk(kid="good")]}))) == {"good"}


@pytest.mark.parametrize(
    ("keys", "discovery"),
    [
        ({"keys": []}, {}),
        ({"keys": "many"}, {}),
        ([], {}),
        (b"no JSON", {}),
        (b"[" * 100_000, {}),
        (b'{"keys": [' + b" " * 300_000 + b"]}", {}),
        ({"keys": [{"kty": "RSA"}]}, {"issuer": "https://token.actions.githubusercontent.com"}),
        ({"keys": [{"kty": "RSA"}]}, {"jwks_uri": "http://127.0.0.1:1/keys"}),
        ({"keys": [{"kty": "RSA"}]}, {"jwks_uri": "file:///etc/passwd"}),
        ({"keys": [{"kty": "RSA"}]}, {"jwks_uri": None}),
    ],
)
def test_what_no_issuer_says_is_not_believed(site: tuple[str, Pages], keys: object, discovery: dict[str, Any]) -> None:
    with pytest.raises(KeysUnavailable):
        fetch_keys(publish(site, keys, **discovery))


def test_keys_are_not_looked_for_where_a_redirect_leads(site: tuple[str, Pages], issuer: OidcIssuer) -> None:
    url = publish(site, {"keys": [jwk()]})
    assert fetch_keys(url)
    site[1][KEYS] = (302, {"Location": f"{issuer.url}/.well-known/jwks"}, b"")
    with pytest.raises(KeysUnavailable, match="302"):
        fetch_keys(url)
    assert issuer.jwks_fetches == 0


def test_keys_are_not_looked_for_on_another_origin(site: tuple[str, Pages], issuer: OidcIssuer) -> None:
    with pytest.raises(KeysUnavailable, match="somewhere else"):
        fetch_keys(publish(site, {"keys": [jwk()]}, jwks_uri=f"{issuer.url}/.well-known/jwks"))
    assert issuer.jwks_fetches == 0


def test_each_github_has_its_issuer() -> None:
    assert default_issuer("https://github.com") == "https://token.actions.githubusercontent.com"
    assert default_issuer("https://acme.ghe.com/") == "https://token.actions.acme.ghe.com"
    assert default_issuer("https://github.acme.example/") == "https://github.acme.example/_services/token"


def test_which_issuers_are_listened_to() -> None:
    assert issuers_of(Settings()) == ("https://token.actions.githubusercontent.com",)
    two = Settings(oidc_issuers="https://a.example, https://b.example/_services/token")
    assert issuers_of(two) == ("https://a.example", "https://b.example/_services/token")
    assert issuers_of(Settings(github_web_url="http://github.acme.example")) == ()
    with pytest.raises(SettingsInvalid):
        issuers_of(Settings(oidc_issuers="http://token.actions.githubusercontent.com"))
    unsafe = (
        "http://a.example",
        "https://user@a.example",
        "https://a.example?x",
        "https://a.example#x",
        "ftp://a",
        "x",
    )
    assert [url for url in unsafe if is_safe_issuer(url)] == []
