"""The floor under a webhook: a bare Flask route with one INSERT of the body, behind the same front door.

The same server, adapter, threads and database engine as the service's own; no signature, no JSON, no second statement.

    python -m bench.bare_insert DATABASE_URL PORT
"""

import sys
from datetime import UTC, datetime

import uvicorn
from flask import Flask, request
from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, Table, insert
from starlette.applications import Starlette
from starlette.routing import Mount

from service.app import MAX_BODY_BYTES
from service.asgi import FLASK_THREADS
from service.commands import KEEP_ALIVE_SECONDS
from service.database import make_engine
from service.flask_threads import FlaskThreads
from service.models import UtcDateTime

BARE = Table(
    "bench_bare",
    MetaData(),
    Column("id", BigInteger, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
)


def make_app(database_url: str) -> Flask:
    engine = make_engine(database_url)
    BARE.metadata.create_all(engine)
    app = Flask(__name__)

    @app.post("/webhooks/github")
    def one_insert() -> tuple[dict[str, str], int]:
        with engine.begin() as connection:
            connection.execute(insert(BARE).values(body=request.get_data(), received_at=datetime.now(UTC)))
        return {"status": "recorded"}, 202

    return app


if __name__ == "__main__":
    flask = make_app(sys.argv[1])
    front_door = Starlette(routes=[Mount("/", FlaskThreads(flask, MAX_BODY_BYTES, FLASK_THREADS))])
    uvicorn.run(
        front_door,
        host="127.0.0.1",
        port=int(sys.argv[2]),
        log_config=None,
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        server_header=False,
        proxy_headers=False,
    )
