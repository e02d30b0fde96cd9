"""A runtime that asks the Runtime API what no client of AWS's asks, and answers with a transcript of what it said."""

import http.client
import json
import os
import socket

API = "/2018-06-01/runtime"
host, _, port = os.environ["AWS_LAMBDA_RUNTIME_API"].partition(":")


def asked(method, path, body=b"", **headers):
    """One request on a connection of its own; return status, content type and document."""
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    content = answer.read()
    return [answer.status, answer.headers.get("Content-Type"), content.decode(), answer.headers, content]


def streamed(path, pieces, trailers):
    """A chunked request with trailers, as a function that streams its response makes it."""
    raw = socket.create_connection((host, int(port)))
    names = ", ".join(trailers)
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\nTrailer: {names}\r\n"
    head += "Content-Type: application/vnd.awslambda.http-integration-response\r\n"
    raw.sendall(head.encode() + b"Lambda-Runtime-Function-Response-Mode: streaming\r\n\r\n")
    for piece in pieces:
        raw.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
    raw.sendall(b"0\r\n" + b"".join(f"{name}: {value}\r\n".encode() for name, value in trailers.items()) + b"\r\n")
    return raw.recv(65536).split(b"\r\n")[0].decode()


if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
    restored = asked("GET", f"{API}/restore/next")[:1]
while True:
    status, kind, event, headers, _ = asked("GET", f"{API}/invocation/next")
    where = f"{API}/invocation/{headers['Lambda-Runtime-Aws-Request-Id']}"
    if event == '"stream"':
        line = streamed(
            f"{where}/response", [b'{"statusCode":200}' + b"\0" * 8, b"one", b"two" * 50_000], {"X-End": "é"}
        )
        continue
    if event == '"broken stream"':
        raw = socket.create_connection((host, int(port)))
        raw.sendall(f"POST {where}/response HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\npart".encode())
        os._exit(9)
    transcript = [
        ["next", status, kind, sorted(name for name in headers if name.lower().startswith("lambda-"))],
        ["other id", *asked("POST", f"{API}/invocation/other/response", b"1")[:3]],
        ["other id's error", *asked("POST", f"{API}/invocation/other/error", b"1")[:3]],
        ["init error too late", *asked("POST", f"{API}/init/error", b"{}")[:1]],
        ["unknown path", asked("GET", "/2018-06-01/no/such")[0]],
        ["next twice", *asked("GET", f"{API}/invocation/next")[:1]] if event == '"next twice"' else [],
        ["register", asked("POST", "/2020-01-01/extension/register", b"{}", Lambda_Extension_Name="n")[0]],
        ["deadline", headers["Lambda-Runtime-Deadline-Ms"].isdigit(), headers["Lambda-Runtime-Trace-Id"]],
        ["restored", globals().get("restored")],
    ]
    done = asked(
        "POST",
        f"{where}/response",
        json.dumps(transcript).encode(),
        Content_Type="application/json",
        Expect="100-continue",
    )
    print("response", done[:3], flush=True)
    print("again", asked("POST", f"{where}/response", b"1")[:2], flush=True)
