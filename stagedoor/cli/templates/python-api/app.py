"""The app: an HTTP API that keeps notes in a table."""

from stagedoor.constructs import Api, App, Stack, Table

app = App("{{name}}")
stack = Stack(app, "Notes")

notes = Table(stack, "Notes", partition_key="id")
api = Api(
    stack,
    "Api",
    routes={
        "GET /": {"handler": "functions/notes.read", "bind": [notes.read()]},
        "POST /": {"handler": "functions/notes.add", "bind": [notes.write()]},
    },
)
stack.output("Url", api.url)
app.synth()
