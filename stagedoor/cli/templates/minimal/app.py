"""The app: one function with a URL."""

from stagedoor.constructs import App, Function, Stack

app = App("{{name}}")
stack = Stack(app, "Hello")

hello = Function(stack, "Hello", "functions/hello.handle", url=True)
stack.output("Url", hello.url)
app.synth()
