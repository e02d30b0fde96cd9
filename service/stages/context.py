"""Facts about a target's account that apps looked up, kept in the database from one run to the next."""

import hashlib
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from service.database import Sessions, insert_into, now
from service.models import ContextValue
from stagedoor.synth.context.lookup import still_holds
from stagedoor.target import Trust


class ContextTable:
    """Implements `stagedoor.synth.context.lookup.KeptContext` for one app in one target."""

    def __init__(self, sessions: Sessions, target_id: int, app_id: int, trust: Trust) -> None:
        self._sessions = sessions
        self._target_id = target_id
        self._app_id = app_id
        self._trust = trust

    def read(self) -> Mapping[str, Any]:
        """Return the values that still hold."""
        wanted = select(ContextValue).where(
            ContextValue.target_id == self._target_id, ContextValue.app_id == self._app_id
        )
        with self._sessions() as session:
            moment = now(session)
            rows = session.scalars(wanted.order_by(ContextValue.key))
            return {row.key: row.value for row in rows if still_holds(row.read_at, moment, self._trust)}

    def keep(self, values: Mapping[str, Any]) -> None:
        """Keep values; of two runs that looked at once, the later one's stay."""
        with self._sessions.begin() as session:
            moment = now(session)
            for key, value in values.items():
                row = {
                    "target_id": self._target_id,
                    "app_id": self._app_id,
                    "key": key,
                    "digest": hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest(),
                    "value": value,
                    "read_at": moment,
                }
                statement = insert_into(ContextValue, session.get_bind().dialect.name).values(row)
                statement = statement.on_conflict_do_update(
                    index_elements=["target_id", "app_id", "digest"], set_={"value": value, "read_at": moment}
                )
                session.execute(statement)
