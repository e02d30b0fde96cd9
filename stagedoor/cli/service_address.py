"""Where an app is at the deployment service, and where `stagedoor.toml` says that service is."""

from stagedoor.cli.app_folder import AppFolder, remote_address
from stagedoor.config import Config, parse_config


def address(app: AppFolder, stage: str) -> dict[str, str]:
    """Return by what the service finds a stage."""
    return {"repository": repository_address(app), "app": app.name, "stage": stage}


def repository_address(app: AppFolder) -> str:
    """Return by what the service finds the app's repository."""
    remote = app.repository.remote
    return (remote_address(remote) if remote else None) or app.repository.id


def config_of(app: AppFolder) -> Config:
    """Return what the repository says of its apps and stages. Raises `ConfigInvalid`."""
    file = app.repository.root / "stagedoor.toml"
    return parse_config(file.read_bytes()) if file.is_file() else Config()
