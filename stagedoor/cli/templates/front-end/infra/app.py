"""What deploys this site, with an API beside it."""

from stagedoor.constructs import Api, App, Stack, StaticSite

app = App("{{name}}")
stack = Stack(app, "Web")

api = Api(stack, "Api", routes={"GET /hello": "infra/functions/hello.greet"}, cors=True)
site = StaticSite(
    stack,
    "Site",
    ".",
    build="{{command}}",
    output="{{output}}",
    environment={"{{variable}}": api.url},
    spa={{spa}},
)
stack.output("Url", site.url)
stack.output("ApiUrl", api.url)
app.synth()
