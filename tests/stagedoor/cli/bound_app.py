"""A tiny app whose parameter can be bound, and which needs a secret; it writes its assembly by hand."""

from pathlib import Path

from tests.stagedoor.cli.command import TINY, tiny_app

_TOLD = """
import sys
folder, name = os.environ["STAGEDOOR_PARAMETERS"], os.environ["STAGEDOOR_STAGE"]
properties = {"parameter_name": f"{folder}/{name}/StripeKey", "fallback_name": f"{folder}/_fallback/StripeKey"}
told = {"Table": ("Notes", ["table_name"]), "Secret": ("StripeKey", [*properties, "value"])}
stack["metadata"] = {f"/Tiny/{of[0]}": [{"type": "stagedoor:resource", "data": {
    "kind": kind, "name": of[0], "properties": of[1], "output": f"StagedoorBinding{kind}{of[0]}"}}]
    for kind, of in told.items()}
outputs = {"StagedoorBindingSecretStripeKey": {"kind": "Secret", "name": "StripeKey", **properties},
           "StagedoorBindingTableNotes": {"kind": "Table", "name": "Notes", "table_name": f"notes-{name}"}}
print("the greeting is", os.environ.get("GREETING"))
template["Outputs"] |= {key: {"Value": json.dumps(value)} for key, value in outputs.items()}
(out / "Tiny.template.json").write_text(json.dumps(template))
(out / "manifest.json").write_text(json.dumps({"version": "48.0.0", "artifacts": {"Tiny": stack}}))
"""


def bound_app(folder: Path) -> Path:
    tiny_app(folder)
    (folder / "app.py").write_text(TINY + _TOLD)
    return folder
