from stagedoor.constructs import Api, App, Stack, Table

app = App("shortener")
stack = Stack(app, "Shortener")
links = Table(stack, "Links", partition_key="code")
api = Api(
    stack,
    "Api",
    bind=[links],
    routes={
        "POST /shorten": "functions/links.shorten",
        "GET /{code}": "functions/links.follow",
        "GET /stats/{code}": "functions/links.stats",
    },
)
stack.output("Url", api.url)
app.synth()
