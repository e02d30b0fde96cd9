"""What functions, APIs and sites are made of where the local AWS does not show it, and what is refused."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_ec2 as ec2

from stagedoor.constructs import Api, App, ConstructError, Function, Queue, Script, Stack, StaticSite, Table, Topic
from stagedoor.constructs.api_routes import route_key
from tests.stagedoor.constructs.test_policies import statements

HANDLER = "functions/greet.handle"
OBJECTS = {"s3:PutObject", "s3:DeleteObject"}
WITHOUT_A_NARROWER_FORM = {"ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "xray:PutTraceSegments"}


@pytest.fixture(autouse=True)
def handlers(app_folder: Path) -> None:
    for name, text in {
        "functions/greet.py": "def handle(event, context): ...",
        "functions/page.ts": "export const show = async () => 'page';",
        "box/Dockerfile": "FROM public.ecr.aws/lambda/python:3.13",
        "docs/index.html": "<p>docs</p>",
        "docs/404.html": "<p>none</p>",
        "docs/about/index.html": "<p>about</p>",
    }.items():
        (app_folder / name).parent.mkdir(exist_ok=True, parents=True)
        (app_folder / name).write_text(text)


def synthesised(app: App) -> dict[str, Any]:
    template: dict[str, Any] = app.synth().stacks[0].template
    return template


def of_type(template: dict[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    yield from (each["Properties"] for each in template["Resources"].values() if each["Type"] == kind)


def test_routes_authorizers_and_the_least_that_they_need(new_app: Callable[..., App]):
    app = new_app()
    stack = Stack(app, "Web")
    jobs = Queue(stack, "Jobs")
    pool = cognito.UserPool(stack, "Pool")
    api = Api(
        stack,
        "Api",
        routes={
            "GET /notes": HANDLER,
            "POST /notes": {"handler": HANDLER, "authorizer": "users", "scopes": ["write"]},
            "POST /jobs": jobs,
            "GET /notes/{id}/print": {"handler": HANDLER, "authorizer": "iam", "memory": 512},
            "GET /open": {"handler": HANDLER, "authorizer": "none"},
        },
        authorizers={
            "users": {"issuer": "https://login.example.com", "audience": "web"},
            "pool": {"user_pool": pool, "clients": [pool.add_client("Client")]},
        },
        default_authorizer="pool",
        cors={"origins": ["https://app.example.com"], "methods": ["get"]},
        throttle={"rate": 50, "burst": 100},
        domain={"name": "api.example.com", "certificate": "arn:aws:acm:us-east-1:123456789012:certificate/1"},
    )
    Function(stack, "Caller", HANDLER, bind=[api])
    template = synthesised(app)

    routes = {each["RouteKey"]: each for each in of_type(template, "AWS::ApiGatewayV2::Route")}
    assert {key: each["AuthorizationType"] for key, each in routes.items()} == {
        "GET /notes": "JWT",
        "POST /notes": "JWT",
        "POST /jobs": "JWT",
        "GET /notes/{id}/print": "AWS_IAM",
        "GET /open": "NONE",
    }
    assert routes["POST /notes"]["AuthorizationScopes"] == ["write"]
    assert routes["POST /notes"]["AuthorizerId"] != routes["GET /notes"]["AuthorizerId"]
    assert routes["POST /notes"]["Target"] == routes["GET /notes"]["Target"]
    [queue] = [each for each in of_type(template, "AWS::ApiGatewayV2::Integration") if "IntegrationSubtype" in each]
    assert queue["IntegrationSubtype"] == "SQS-SendMessage"
    assert queue["RequestParameters"]["MessageBody"] == "$request.body"
    [gateway] = of_type(template, "AWS::ApiGatewayV2::Api")
    assert gateway["CorsConfiguration"]["AllowMethods"] == ["GET"]
    [stage] = of_type(template, "AWS::ApiGatewayV2::Stage")
    assert stage["DefaultRouteSettings"] == {"ThrottlingBurstLimit": 100, "ThrottlingRateLimit": 50}
    assert json.loads(stage["AccessLogSettings"]["Format"])["status"] == "$context.status"
    allowed = {json.dumps(each["SourceArn"]).split('"')[-2] for each in of_type(template, "AWS::Lambda::Permission")}
    assert allowed == {"/*/*/notes", "/*/*/notes/{id}/print", "/*/*/open"}
    assert api.url == "https://api.example.com"
    [called] = [arns for _, actions, arns in statements(template) if actions == {"execute-api:Invoke"}]
    assert called[0].endswith('/*/GET/notes/*/print"]]}')
    [sent] = [arns for _, actions, arns in statements(template) if actions == {"sqs:SendMessage"}]
    assert len(sent) == 1


def test_no_role_has_more_than_it_needs(new_app: Callable[..., App]):
    app = new_app()
    stack = Stack(app, "Web")
    vpc = ec2.Vpc(stack, "Vpc", max_azs=1, nat_gateways=0)
    inside = {"vpc": vpc, "vpc_subnets": ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)}
    failed = Queue(stack, "Failed")
    Function(stack, "Inside", HANDLER, tracing=True, retries=0, on_failure=failed, cdk={"function": inside})
    Function(stack, "Box", image="box", provisioned=2, url={"auth": "iam"}, streaming=True)
    Script(stack, "Seed", on_create=HANDLER, bind=[Table(stack, "Notes", partition_key="id").write()])
    site = StaticSite(stack, "Docs", "docs")
    Function(stack, "Page", "functions/page.show", bind=[site])
    template = synthesised(app)

    for name, actions, resources in statements(template):
        assert not any("*" in action for action in actions), name
        for resource in resources:
            if resource == '"*"':
                assert actions & WITHOUT_A_NARROWER_FORM, (name, actions)
            elif resource.endswith('"/*"]]}'):
                assert actions == OBJECTS
            elif resource.endswith(':*/*"]]}'):
                assert all(action.endswith(("NetworkInterface", "PrivateIpAddresses")) for action in actions)
            else:
                assert "*" not in resource, (name, resource)
    assert not [each for each in of_type(template, "AWS::IAM::Role") if "ManagedPolicyArns" in each]
    [alias] = of_type(template, "AWS::Lambda::Alias")
    assert alias["ProvisionedConcurrencyConfig"] == {"ProvisionedConcurrentExecutions": 2}
    [url] = of_type(template, "AWS::Lambda::Url")
    assert (url["AuthType"], url["InvokeMode"], url["Qualifier"]) == ("AWS_IAM", "RESPONSE_STREAM", "live")
    sources = [
        each["Metadata"]["stagedoor:source"]
        for each in template["Resources"].values()
        if "stagedoor:source" in each.get("Metadata", {})
    ]
    assert {"folder": "functions", "handler": "page.show", "language": "node"} in sources
    [distribution] = of_type(template, "AWS::CloudFront::Distribution")
    errors = distribution["DistributionConfig"]["CustomErrorResponses"]
    assert {(each["ErrorCode"], each["ResponseCode"], each["ResponsePagePath"]) for each in errors} == {
        (403, 404, "/404.html"),
        (404, 404, "/404.html"),
    }
    assert list(of_type(template, "AWS::CloudFront::Function"))


def test_a_topic_is_published_to_by_tls_and_by_services_of_its_own_account(new_app: Callable[..., App]):
    app = new_app()
    Topic(Stack(app, "Shop"), "Alarms")
    [policy] = of_type(synthesised(app), "AWS::SNS::TopicPolicy")
    told = {each["Effect"]: each for each in policy["PolicyDocument"]["Statement"]}
    assert len(policy["PolicyDocument"]["Statement"]) == 2
    assert told["Deny"]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert told["Allow"]["Action"] == "sns:Publish"
    assert told["Allow"]["Condition"] == {"StringEquals": {"AWS:SourceOwner": {"Ref": "AWS::AccountId"}}}
    assert told["Allow"]["Resource"] == policy["Topics"][0]


@pytest.mark.parametrize(("stage", "lasting", "trusted"), [("dev", "0", 2), ("pr-1", "0", 1), ("prod", "1", 1)])
def test_a_functions_role_is_for_people_in_stages_of_their_own_alone(
    stage: str, lasting: str, trusted: int, new_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("STAGEDOOR_STAGE", stage)
    monkeypatch.setenv("STAGEDOOR_LASTING", lasting)
    app = new_app()
    Function(Stack(app, "Web"), "Greet", HANDLER)
    [role] = of_type(synthesised(app), "AWS::IAM::Role")
    assert len(role["AssumeRolePolicyDocument"]["Statement"]) == trusted


@pytest.mark.parametrize(
    "key", ["/notes", "get /notes", "GET notes", "GET", "FETCH /notes", "GET /{id", "GET /{rest+}/more", "GET /a{id}"]
)
def test_a_routes_key_is_told_how_it_is_written(key: str):
    with pytest.raises(ConstructError, match=r"GET /notes|Only the last part"):
        route_key(key, "Web/Api")


def test_what_cannot_be_is_refused_with_what_to_write(new_app: Callable[..., App]):
    stack = Stack(new_app(), "Web")
    refused: list[tuple[Callable[[str], object], str]] = [
        (lambda name: Function(stack, name), "Write either 'functions/notes.list', or image="),
        (lambda name: Function(stack, name, "functions/gone.handle"), "There is no functions/gone.py"),
        (lambda name: Function(stack, name, HANDLER, runtime="nodejs22.x"), "greet.py does not run on nodejs22.x"),
        (lambda name: Function(stack, name, HANDLER, streaming=True), "Add url=True"),
        (lambda name: Function(stack, name, HANDLER, url=True, streaming=True), "Python cannot stream"),
        (lambda name: Function(stack, name, HANDLER, url={"auth": "jwt"}), "It is 'none' or 'iam'"),
        (lambda name: Function(stack, name, HANDLER, retries=3), "`retries` is 0, 1 or 2"),
        (lambda name: Function(stack, name, HANDLER, log_days=8), "They can for 1, 3, 5, 7"),
        (lambda name: Function(stack, name, image="nowhere"), "There is no Dockerfile in nowhere"),
        (lambda name: Function(stack, name, HANDLER, cdk={"lambda": {}}), "There are: function, role"),
        (lambda name: Api(stack, name, routes={"GET /": {"authorizer": "iam"}}), "nothing that answers it"),
        (lambda name: Api(stack, name, routes={"GET /": {"handler": HANDLER, "authorizer": "me"}}), "There are: none"),
        (lambda name: Api(stack, name, routes={}, domain={"name": "a.example.com"}), "a hosted zone or a certificate"),
        (lambda name: StaticSite(stack, name, "nowhere"), "There is no folder"),
        (lambda name: StaticSite(stack, name, "docs", build="echo oh no; exit 3"), "ended with 3(.|\n)*oh no"),
        (lambda name: StaticSite(stack, name, "docs", not_found="gone.html"), "The site has no gone.html"),
        (lambda name: Script(stack, name), "Say on_create"),
        (lambda name: Script(stack, name, on_create=HANDLER, timeout=900), "At most 840"),
    ]
    for number, (make, told) in enumerate(refused):
        with pytest.raises(ConstructError, match=told):
            make(f"Wrong{number}")
