"""What answers over HTTP, and what is run with a deploy: functions' URLs, an API, a site, a script."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import aws_dynamodb as dynamodb

from demo.aws.server import DEFAULT_ACCOUNT, LocalAws
from stagedoor.constructs import Api, App, Function, Queue, Script, Stack, StaticSite, Table
from stagedoor.naming import StageIdentity
from tests.stagedoor.constructs.live_stage import LiveStage, ask, stage_in

IDENTITY = StageIdentity(app="web", stage="pr-1", prefix="web-pr-1-abc123", repository="42", service="here")

NOTES = """
import json, boto3
from stagedoor.runtime import Table

def table():
    return boto3.resource("dynamodb").Table(Table.Notes.table_name)

def add(event, context):
    table().put_item(Item={"id": event["pathParameters"]["id"], "text": event["body"]})
    return {"statusCode": 201, "body": "added"}

def show(event, context):
    item = table().get_item(Key={"id": event["pathParameters"]["id"]}).get("Item")
    return {"statusCode": 200 if item else 404, "body": item["text"] if item else "none"}

def who(event, context):
    return {"statusCode": 200, "body": json.dumps(event["requestContext"]["authorizer"])}

def check(event, context):
    return {"isAuthorized": event["headers"].get("authorization") == "open", "context": {"by": "check"}}

def hello(event, context):
    return {"statusCode": 200, "body": "hello from " + event["rawPath"]}
"""

SEED = """
import json, time, boto3
from stagedoor.runtime import Table

def run(event, context):
    if event["params"].get("broken"):
        raise ValueError("no seed today")
    log = boto3.resource("dynamodb").Table(Table.Log.table_name)
    log.put_item(Item={"id": event["type"], "rows": event["params"]["rows"]})
"""


class Elsewhere(BaseHTTPRequestHandler):
    """Another server, which a route passes requests on to."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"elsewhere")

    def log_message(self, *_: object):
        """Say nothing."""


@pytest.fixture
def elsewhere() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def web(constructs_aws: LocalAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LiveStage:
    """A stage in the account whose URLs answer."""
    for name, value in constructs_aws.environment(DEFAULT_ACCOUNT).items():
        monkeypatch.setenv(name, value)
    return stage_in(DEFAULT_ACCOUNT, IDENTITY, constructs_aws, tmp_path / "stage")


def write_app(folder: Path, page: str) -> None:
    for name, text in {
        "functions/notes.py": NOTES,
        "seeds/seed.py": SEED,
        "web/page.html": page,
        "web/build.sh": "echo built >> ../builds\nmkdir -p dist/assets\necho 'one()' > dist/assets/app-4f9ac3d1.js\n"
        'sed "s,API,$VITE_API_URL," page.html > dist/index.html',
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


def shop(app: App, elsewhere: str, params: dict[str, Any]) -> None:
    stack = Stack(app, "Web")
    notes = Table(stack, "Notes", partition_key="id")
    hello = Function(stack, "Hello", "functions/notes.hello", url=True)
    api = Api(
        stack,
        "Api",
        routes={
            "PUT /notes/{id}": {"handler": "functions/notes.add", "bind": [notes.write()]},
            "GET /notes/{id}": {"handler": "functions/notes.show", "bind": [notes.read()]},
            "GET /else": elsewhere,
            "POST /jobs": Queue(stack, "Jobs"),
            "GET /users": {"handler": "functions/notes.who", "authorizer": "users", "scopes": ["notes"]},
            "GET /checked": {"handler": "functions/notes.who", "authorizer": "checked"},
            "$default": hello,
        },
        authorizers={
            "users": {"issuer": "https://login.example.com", "audience": "web"},
            "checked": {"handler": "functions/notes.check"},
        },
        cors={"origins": ["https://app.example.com"], "methods": ["GET"]},
        throttle={"rate": 50, "burst": 100},
    )
    StaticSite(stack, "Site", "web", build="sh build.sh", environment={"VITE_API_URL": api.url}, spa=True)
    log = dynamodb.Table.from_table_name(stack, "Log", "log")
    run = "seeds/seed.run"
    Script(stack, "Seed", on_create=run, on_update=run, on_delete=run, bind=[log], params=params)


def test_an_api_a_site_and_a_script(web: LiveStage, elsewhere: str, app_folder: Path, new_app: Callable[..., App]):
    key = {"AttributeName": "id", "KeyType": "HASH"}
    web.client("dynamodb").create_table(
        TableName="log",
        KeySchema=[key],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    log = web.session.resource("dynamodb", endpoint_url=web.aws.endpoint).Table("log")

    def runs() -> dict[str, int]:
        return {item["id"]: int(item["rows"]) for item in log.scan()["Items"]}

    def deploy(page: str, **params: Any) -> None:
        write_app(app_folder, page)
        app = new_app()
        shop(app, elsewhere, params)
        web.deploy(app)

    deploy("<p>API</p>", rows=1)
    told = web.bindings()
    api, site = told["Api.Api"]["url"], told["StaticSite.Site"]["url"]
    url = web.client("lambda").get_function_url_config(FunctionName=web.function("Hello"))["FunctionUrl"]

    assert ask(web, api, "/notes/1", "PUT", "tea")[:2] == (201, "added")
    assert ask(web, api, "/notes/1")[:2] == (200, "tea")
    assert ask(web, api, "/else")[:2] == (200, "elsewhere")
    assert ask(web, api, "/nowhere")[:2] == (200, "hello from /nowhere")
    assert ask(web, url, "/door")[:2] == (200, "hello from /door")
    assert ask(web, api, "/users")[0] == 401
    assert ask(web, api, "/users", Authorization="Bearer a.b.c")[0] == 401
    assert ask(web, api, "/checked", Authorization="shut")[0] == 403
    assert ask(web, api, "/checked", Authorization="open")[:2] == (200, '{"lambda": {"by": "check"}}')

    status, body, headers = ask(web, site, "/")
    assert (status, body, headers["cache-control"]) == (200, f"<p>{api}</p>", "no-cache")
    assert ask(web, site, "/a/path/of/the/app")[:2] == (200, f"<p>{api}</p>")
    _, _, headers = ask(web, site, "/assets/app-4f9ac3d1.js")
    assert headers["content-type"] == "text/javascript; charset=utf-8"
    assert headers["cache-control"] == "public, max-age=31536000, immutable"
    assert runs() == {"create": 1}

    deploy("<p>API</p>", rows=1)
    assert runs() == {"create": 1}
    assert (app_folder / "builds").read_text() == "built\n"

    deploy("<b>API</b>", rows=2)
    assert ask(web, site, "/")[1] == f"<b>{api}</b>"
    assert runs() == {"create": 1, "update": 2}
    assert (app_folder / "builds").read_text() == "built\n" * 2
    cloudfront = web.client("cloudfront")
    [distribution] = cloudfront.list_distributions()["DistributionList"]["Items"]
    [invalidation] = cloudfront.list_invalidations(DistributionId=distribution["Id"])["InvalidationList"]["Items"]
    batch = cloudfront.get_invalidation(DistributionId=distribution["Id"], Id=invalidation["Id"])["Invalidation"]
    assert batch["InvalidationBatch"]["Paths"]["Items"] == ["/index.html", "/"]

    with pytest.raises(Exception, match=r"on_update failed: .*: no seed today"):
        deploy("<b>API</b>", rows=3, broken=True)

    web.remove()
    assert runs()["delete"] == 2
    assert not [each for each in web.client("s3").list_buckets()["Buckets"] if "web-pr-1" in each["Name"]]
