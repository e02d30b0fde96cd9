"""A preview that nobody has walked into for a day loses its bridges; one that is used keeps them."""

from datetime import timedelta
from pathlib import Path

from service.database import migrate, now
from service.models import Intent, Session, Stage, StageKind, Want
from service.parts import make_parts
from service.settings import Settings
from service.stages.idle_bridges import take_out_idle_bridges
from service.stages.intents import append_intent, append_live, newest_intent
from service.stages.wishes import Wish
from tests.service.rows import add_stage


def test_bridges_are_taken_out_a_day_after_the_last_developer_has_left(tmp_path: Path) -> None:
    parts = make_parts(Settings(data_dir=tmp_path))
    migrate(parts.engine)
    with parts.sessions.begin() as session:
        stage = add_stage(session)
        wish = Wish("notes", "pr-1", StageKind.PREVIEW, "c" * 40, stage.target_id, "preview", {"path": "."})
        append_live(session, stage, append_intent(session, stage, Want.COMMIT, "opened", wish), ["*"], "mona")
        session.flush()
        ago = now(session) - timedelta(hours=25)
        for intent in session.query(Intent):
            intent.created_at = ago
        visit = Session(stage_id=stage.id, developer="mona", opened_at=ago, seen_at=now(session))
        session.add(visit)
        session.flush()
        stage_id, visit_id = stage.id, visit.id
    assert take_out_idle_bridges(parts) == 0
    with parts.sessions.begin() as session:
        session.get_one(Session, visit_id).seen_at = ago
    assert take_out_idle_bridges(parts) == 1
    assert take_out_idle_bridges(parts) == 0
    with parts.sessions() as session:
        wanted = newest_intent(session, session.get_one(Stage, stage_id))
        assert wanted is not None
        assert (wanted.cause, wanted.commit, wanted.settings) == ("not-live", "c" * 40, {"path": "."})
