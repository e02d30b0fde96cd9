"""The app: which stacks there are in each variant."""

from aws_cdk import Tags
from constructs import Construct

from infra.data import Data
from infra.single import Single
from infra.standard import Standard
from infra.target import TargetRoles
from infra.wishes import Variant, Wishes
from stagedoor.constructs import App


def add_stacks(app: App, wishes: Wishes) -> list[Construct]:
    """Add the stacks of the wanted variant to the app, and return them."""
    if wishes.variant is Variant.TARGET:
        return [TargetRoles(app, "Target", wishes)]
    if wishes.variant is Variant.SINGLE:
        return [Single(app, "Single", wishes)]
    data = Data(app, "Data", wishes)
    return [data, Standard(app, "Service", wishes, data)]


def main() -> None:
    """Synthesise what `cdk.json` asks for."""
    app = App("stagedoor-service")
    add_stacks(app, Wishes.of(app))
    Tags.of(app).add("stagedoor:part", "service")
    app.synth()


if __name__ == "__main__":
    main()
