"""Write docs/openapi.json: `python -m service.api.document`."""

from pathlib import Path

from service.api.routes import document

FILE = Path(__file__).resolve().parent.parent.parent / "docs" / "openapi.json"

if __name__ == "__main__":
    FILE.write_text(document(), encoding="utf-8")
