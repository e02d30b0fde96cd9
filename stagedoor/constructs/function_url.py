"""A function's own URL, as users say it."""

from collections.abc import Mapping
from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_lambda as lambda_

from stagedoor.bundling.source import Language
from stagedoor.constructs.errors import ConstructError
from stagedoor.constructs.function_code import FunctionCode
from stagedoor.constructs.words import check_words

_AUTH = {"none": lambda_.FunctionUrlAuthType.NONE, "iam": lambda_.FunctionUrlAuthType.AWS_IAM}


def url_arguments(url: bool | Mapping[str, Any], code: FunctionCode, *, streaming: bool, where: str) -> dict[str, Any]:
    """Return what aws-cdk-lib's `add_function_url` takes. Raises `ConstructError`."""
    said = {} if isinstance(url, bool) else dict(url)
    check_words(said, ("auth", "cors"), "A URL", where)
    auth = said.get("auth", "none")
    if auth not in _AUTH:
        raise ConstructError(f"A URL's `auth` cannot be {auth!r}.", "It is 'none' or 'iam'.", where)
    if streaming and code.source is not None and code.source["language"] == Language.PYTHON:
        raise ConstructError(
            "Lambda's Python cannot stream its responses.",
            "Write the handler in TypeScript or JavaScript, or use a container with `image`. "
            "(https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html)",
            where,
        )
    mode = lambda_.InvokeMode.RESPONSE_STREAM if streaming else lambda_.InvokeMode.BUFFERED
    return {"auth_type": _AUTH[auth], "cors": _cors(said.get("cors", False), where), "invoke_mode": mode}


def _cors(cors: bool | Mapping[str, Any], where: str) -> lambda_.FunctionUrlCorsOptions | None:
    if not cors:
        return None
    said = {} if isinstance(cors, bool) else dict(cors)
    check_words(said, ("origins", "methods", "headers", "expose", "credentials", "max_age"), "`cors`", where)
    return lambda_.FunctionUrlCorsOptions(
        allowed_origins=said.get("origins", ["*"]),
        allowed_methods=[_method(name, where) for name in said.get("methods", ["*"])],
        allowed_headers=said.get("headers", ["*"]),
        exposed_headers=said.get("expose"),
        allow_credentials=said.get("credentials"),
        max_age=Duration.seconds(said["max_age"]) if "max_age" in said else None,
    )


def _method(name: str, where: str) -> lambda_.HttpMethod:
    if name == "*":
        return lambda_.HttpMethod.ALL
    method = getattr(lambda_.HttpMethod, name.upper(), None)
    if method is None:
        raise ConstructError(f"There is no HTTP method {name!r}.", "Write GET, POST, PUT, PATCH, DELETE or *.", where)
    return method  # type: ignore[no-any-return]
