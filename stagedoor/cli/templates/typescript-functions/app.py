"""The app: an HTTP API whose functions are written in TypeScript."""

from stagedoor.constructs import Api, App, Stack

app = App("{{name}}")
stack = Stack(app, "Hello")

api = Api(stack, "Api", routes={"GET /": "functions/hello.greet", "GET /{name}": "functions/hello.greet"})
stack.output("Url", api.url)
app.synth()
