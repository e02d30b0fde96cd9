from stagedoor.constructs import Api, App, Bucket, Cron, Queue, Secret, Stack, StaticSite, Table

app = App("ledger")
stack = Stack(app, "Ledger")

signing_key = Secret(stack, "SigningKey")
accounts = Table(stack, "Accounts", partition_key="id")
entries = Table(stack, "Entries", partition_key="account", sort_key="transfer")
statements = Bucket(stack, "Statements")

transfers = Queue(
    stack, "Transfers", consumer={"handler": "functions/settle.handle", "bind": [accounts.write(), entries.write()]}
)
api = Api(
    stack,
    "Api",
    cors=True,
    routes={
        "PUT /accounts/{id}": {"handler": "functions/accounts.open_account", "bind": [accounts.write()]},
        "GET /accounts/{id}": {"handler": "functions/accounts.show", "bind": [accounts.read(), entries.read()]},
        "POST /transfers": {"handler": "functions/transfers.create", "bind": [transfers.send(), signing_key]},
    },
)
statement = {"handler": "functions/statements.write", "bind": [accounts.read(), entries.read(), statements.write()]}
Cron(stack, "Nightly", "cron(0 2 * * ? *)", statement, enabled=["prod"])
site = StaticSite(stack, "Site", "site", environment={"API_URL": api.url})

stack.output("Url", api.url)
stack.output("Site", site.url)
stack.output("Statements", statements.nodes.bucket.bucket_name)
app.synth()
