"""What the switchboard decides, told as short stories; and what holds whatever comes in which order."""

from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from service.relay.attempts import Ask, Attempt, Phase, Result
from service.relay.effects import Cancel, Closed, Ended, Offer, Refused, Wanted
from service.relay.sessions import GRACE_SECONDS, Session
from service.relay.switchboard import DISCONNECTED, LOST, SLACK_SECONDS, TIMED_OUT, Switchboard

T0 = 1_000_000.0


def ask(attempt="r.1", *, at=T0, function="list", size=2, seconds=30.0, **more):
    return Ask(1, function, attempt, {}, size, at + seconds, at + 900, **more)


def asked(board, now=T0, event=b"{}", has_sandbox=True, **more):
    answer, effects = board.ask(ask(at=now, **more), event, has_sandbox, now)
    return answer, effects


def called(board, now=T0, **more):
    """Ask, as a bridge does that keeps its call open and is told who gets it."""
    attempt, effects = asked(board, now, **more)
    assert isinstance(attempt, Attempt)
    board.attach(attempt)
    return attempt, effects + board.told(attempt, now)


def joined(board, session_id="1", developer="ann", now=T0, known=(), **more):
    session = board.sessions.get(session_id) or Session(session_id, 1, developer, now, **more)
    return session, board.welcome(session, dict.fromkeys(known, "running"), now)


def offers(effects):
    return [effect for effect in effects if isinstance(effect, Offer)]


def test_an_attempt_goes_its_way():
    board = Switchboard()
    session, _ = joined(board)
    attempt, effects = called(board)
    assert offers(effects) == [Offer("1", (1, "r.1"))]
    board.custody(session, attempt.ask.key, T0)
    assert (attempt.phase, attempt.event, board.held) == (Phase.CUSTODY, None, 0)
    board.result(session, attempt.ask.key, Result("response", {}, b"12"), T0 + 1)
    assert Ended(attempt) in board.detach(attempt, T0 + 1)
    board.tick(T0 + 1 + GRACE_SECONDS)
    assert (board.attempts, board.held, session.held, session.attempts) == ({}, 0, 0, set())


def test_nobody_gets_it_before_the_bridge_knows_who():
    board = Switchboard()
    joined(board)
    attempt, effects = asked(board)
    assert (attempt.phase, offers(effects)) == (Phase.ROUTED, [])


def test_what_is_missing_is_asked_for_only_when_somebody_takes_it():
    board = Switchboard()
    assert asked(board, attempt="a", event=None)[0].phase is Phase.DEPLOYED
    joined(board)
    assert asked(board, attempt="b", event=None, has_sandbox=False, sandbox="s")[0] == Wanted(True, True)
    assert asked(board, attempt="b", sandbox="s")[0].phase is Phase.ROUTED


def test_a_cut_session_gets_again_what_it_had_not_whole():
    board = Switchboard()
    session, _ = joined(board)
    attempt, _ = called(board)
    board.cut(session, T0 + 1)
    assert joined(board, now=T0 + 3)[1][0] == Offer("1", attempt.ask.key)


def test_a_cut_session_that_knows_it_is_asked_for_the_outcome_alone():
    board = Switchboard()
    session, _ = joined(board)
    attempt, _ = called(board)
    board.cut(session, T0 + 1)
    assert joined(board, now=T0 + 3, known=["r.1"])[1][0] == Offer("1", attempt.ask.key, known=True)
    assert attempt.phase is Phase.CUSTODY


def test_an_agent_that_has_forgotten_what_it_had_in_custody_gives_an_error():
    board = Switchboard()
    session, _ = joined(board)
    attempt, _ = called(board)
    board.custody(session, attempt.ask.key, T0)
    board.cut(session, T0 + 1)
    joined(board, now=T0 + 3)
    assert attempt.failure.type == LOST


def test_a_dead_session_gives_an_error_and_what_it_never_saw_goes_on():
    board = Switchboard()
    session, _ = joined(board)
    started, _ = called(board)
    board.cut(session, T0 + 1)
    waiting, _ = asked(board, T0 + 2, attempt="r.2")
    board.attach(waiting)
    assert (waiting.phase, board.tick(T0 + 8.9)) == (Phase.ASKED, [])
    effects = board.tick(T0 + 9.1)
    assert Closed(session) in effects
    assert started.failure.type == DISCONNECTED
    assert waiting.phase is Phase.DEPLOYED


def test_an_agent_that_stops_says_so_at_once():
    board = Switchboard()
    session, _ = joined(board)
    running, offered = called(board)[0], called(board, attempt="r.2")[0]
    board.custody(session, running.ask.key, T0)
    board.farewell(session, "The agent stopped.", T0 + 1)
    assert running.failure.type == DISCONNECTED
    assert offered.phase is Phase.DEPLOYED


def test_what_one_refuses_the_next_one_gets():
    board = Switchboard()
    ann, _ = joined(board)
    bob, _ = joined(board, "2", "bob", T0 + 1)
    attempt, _ = called(board)
    board.refuse(ann, attempt.ask.key, "no source", T0 + 1)
    assert (attempt.session, attempt.phase) == ("2", Phase.ROUTED)
    assert offers(board.told(attempt, T0 + 1)) == [Offer("2", attempt.ask.key)]
    board.refuse(bob, attempt.ask.key, "no source", T0 + 2)
    assert (attempt.phase, attempt.reason) == (Phase.DEPLOYED, "no source")


def test_a_handler_past_its_time_is_told_of_unless_it_is_debugged():
    board = Switchboard()
    joined(board, debug=frozenset({"create"}))
    plain, debugged = called(board)[0], called(board, attempt="r.2", function="create")[0]
    assert board.tick(T0 + 30 + SLACK_SECONDS - 0.1) == []
    assert Cancel("1", plain.ask.key, "its time is over") in board.tick(T0 + 30 + SLACK_SECONDS)
    assert (plain.failure.type, debugged.phase) == (TIMED_OUT, Phase.OFFERED)
    assert "timed out after 30.00 seconds" in plain.failure.message
    board.tick(T0 + 899.6)
    assert debugged.failure.type == TIMED_OUT


def test_what_nobody_waits_for_is_cancelled():
    board = Switchboard()
    joined(board)
    attempt, _ = called(board)
    board.detach(attempt, T0 + 1)
    assert board.tick(T0 + 8.9) == []
    assert Cancel("1", attempt.ask.key, "nobody waits for it") in board.tick(T0 + 9.1)
    assert board.attempts == {}


def test_after_a_restart_it_is_its_own_sessions_or_nobodys():
    board = Switchboard()
    joined(board, "2", "bob")
    attempt, _ = asked(board, again=1, session="1")
    board.attach(attempt)
    assert attempt.phase is Phase.ASKED
    joined(board, "1", "ann", T0 + 1)
    assert (attempt.session, attempt.phase) == ("1", Phase.ROUTED)
    other, _ = asked(board, T0, attempt="r.2", again=1, session="9")
    board.attach(other)
    board.tick(T0 + 8.1)
    assert other.failure.type == DISCONNECTED


def test_after_a_restart_an_agent_that_lists_it_has_it():
    board = Switchboard()
    joined(board, "2", "bob")
    attempt, _ = asked(board, event=None, again=1, open_sessions=frozenset({"1", "2"}))
    assert attempt == Wanted(True, False)
    attempt, _ = called(board, again=1, open_sessions=frozenset({"1", "2"}))
    assert attempt.phase is Phase.ASKED
    assert offers(joined(board, "1", now=T0 + 1, known=["r.1"])[1]) == [Offer("1", (1, "r.1"), known=True)]
    assert attempt.session == "1"


def test_after_a_restart_what_a_session_listed_before_it_was_cut_again_is_its_own():
    board = Switchboard()
    session, _ = joined(board, "1", known=["r.1"])
    board.cut(session, T0)
    attempt, effects = called(board, again=1, open_sessions=frozenset({"1"}))
    assert (attempt.session, attempt.phase, offers(effects)) == ("1", Phase.CUSTODY, [])
    assert offers(joined(board, "1", now=T0 + 1, known=["r.1"])[1]) == [Offer("1", (1, "r.1"), known=True)]


def test_after_a_restart_one_that_nobody_lists_is_routed_when_all_are_back():
    board = Switchboard()
    attempt, _ = asked(board, again=1, open_sessions=frozenset({"1", "2"}))
    assert attempt == Wanted(False, False) or attempt.phase is Phase.ASKED
    joined(board, "1", now=T0 + 1)
    assert attempt.phase is Phase.ASKED
    joined(board, "2", "bob", T0 + 2)
    assert (attempt.session, attempt.phase) == ("1", Phase.ROUTED)


def test_after_a_restart_a_new_one_waits_for_who_was_there():
    board = Switchboard()
    attempt, _ = called(board, open_sessions=frozenset({"1"}))
    other, _ = called(board, attempt="r.2", function="create", open_sessions=frozenset({"1"}))
    assert (attempt.phase, other.phase) == (Phase.ASKED, Phase.ASKED)
    joined(board, "1", now=T0 + 1, functions=frozenset({"list"}))
    assert (attempt.session, other.phase) == ("1", Phase.DEPLOYED)
    alone, _ = called(board, T0 + 1, attempt="r.3", open_sessions=frozenset({"1", "2"}), function="create")
    board.tick(T0 + 1 + GRACE_SECONDS)
    assert alone.phase is Phase.DEPLOYED


def test_results_that_were_taken_make_room_and_are_asked_for_anew():
    board = Switchboard(process_bytes=100)
    session, _ = joined(board)
    attempt, _ = called(board)
    board.result(session, attempt.ask.key, Result("response", {}, b"x" * 90), T0)
    assert not board.reserve(50)
    board.detach(attempt, T0)
    assert board.reserve(50)
    assert board.held == 50
    again, effects = asked(board, T0 + 1, again=1, session="1")
    assert again is attempt
    assert offers(effects) == [Offer("1", attempt.ask.key, known=True)]


def test_a_session_with_too_much_to_do_is_left_alone():
    board = Switchboard(session_bytes=100)
    joined(board)
    called(board, event=b"x" * 90, size=90)
    answer, _ = asked(board, attempt="r.2", event=b"x" * 90, size=90)
    assert isinstance(answer, Refused)
    assert answer.retry_after == 1
    assert list(board.attempts) == [(1, "r.1")]


def test_another_functions_attempt_is_none_of_its_business():
    board = Switchboard()
    joined(board)
    called(board)
    assert asked(board, function="create")[0] == Refused(404, "another function's attempt")


class Relay(RuleBasedStateMachine):
    """Bridges, agents, cuts, deaths and time in any order. Each agent remembers what it has started."""

    @initialize()
    def begin(self):
        self.board = Switchboard(process_bytes=200)
        self.now = T0
        self.agents = {}  # session id: the attempts that it has in custody or done
        self.offered = {}  # attempt: sessions that it was offered to, and that have not refused it
        self.started = {}  # attempt: how often
        self.deployed = set()
        self.calls = []
        self.asks = {}
        self.sessions = {}  # of agents that live: session id: developer and claims
        self.orphans = {}  # attempts whose relay died: the session that their bridge knows
        self.count = 0
        self.connect("ann", False)

    def do(self, effects):
        for effect in effects:
            if isinstance(effect, Closed):
                self.sessions.pop(effect.session.id, None)
            if isinstance(effect, Offer):
                attempt = effect.key[1]
                assert self.board.sessions[effect.session].cut_at is None
                holders = self.offered.setdefault(attempt, set())
                holders.add(effect.session)
                assert holders == {effect.session}, "offered to two"
                assert attempt not in self.deployed
                if not effect.known:
                    assert self.board.attempts[effect.key].event is not None

    def settle(self, attempt):
        if attempt.phase is Phase.DEPLOYED:
            assert not self.offered.get(attempt.ask.attempt), "deployed code runs what an agent may have started"
            self.deployed.add(attempt.ask.attempt)

    @rule(size=st.integers(0, 60), told=st.booleans())
    def ask_new(self, size, told):
        self.count += 1
        made = ask(f"r.{self.count}", at=self.now, size=size, seconds=5)
        self.asks[made.attempt] = made
        self.ask_it(made, b"x" * size)
        if told:
            self.tell()

    @precondition(lambda self: self.asks)
    @rule(data=st.data())
    def ask_again(self, data):
        made = self.asks[data.draw(st.sampled_from(sorted(self.asks)))]
        attempt = self.board.attempts.get(made.key)
        if attempt is not None:  # a bridge gives up when the relay has forgotten
            session = attempt.session
            self.ask_it(replace(made, again=1, session=session), b"x" * made.size)

    def ask_it(self, made, event):
        answer, effects = self.board.ask(made, event, True, self.now)
        self.do(effects)
        if isinstance(answer, Attempt):
            self.board.attach(answer)
            self.calls.append(answer)

    @precondition(lambda self: any(attempt.phase is Phase.ROUTED for attempt in self.calls))
    @rule()
    def tell(self):
        for attempt in self.calls:
            if attempt.phase is Phase.ROUTED:
                self.do(self.board.told(attempt, self.now))

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def hang_up(self, data):
        attempt = data.draw(st.sampled_from(self.calls))
        self.calls.remove(attempt)
        self.do(self.board.detach(attempt, self.now))

    @rule(developer=st.sampled_from(["ann", "bob"]), claims=st.booleans())
    def connect(self, developer, claims):
        self.count += 1
        functions = frozenset({"list"}) if claims else None
        session = Session(str(self.count), 1, developer, self.now, functions=functions)
        self.agents[session.id] = set()
        self.sessions[session.id] = (developer, functions)
        self.do(self.board.welcome(session, {}, self.now))

    def connected(self):
        return sorted(one for one in self.agents if one in self.board.sessions)

    @precondition(lambda self: self.connected())
    @rule(data=st.data())
    def cut(self, data):
        session = self.board.sessions[data.draw(st.sampled_from(self.connected()))]
        if session.cut_at is None:
            self.do(self.board.cut(session, self.now))

    @precondition(lambda self: self.sessions)
    @rule(data=st.data())
    def come_back(self, data):
        session_id = data.draw(st.sampled_from(sorted(self.sessions)))
        developer, functions = self.sessions[session_id]
        # It says what it has: of the rest it has started nothing, and an offer on the connection before this is gone.
        for name, holders in self.offered.items():
            if name not in self.agents[session_id]:
                holders.discard(session_id)
        session = self.board.sessions.get(session_id) or Session(
            session_id, 1, developer, self.now, functions=functions
        )
        self.do(self.board.welcome(session, dict.fromkeys(self.agents[session_id], "running"), self.now))

    @rule()
    def die(self):
        """The relay's process dies and another takes its place. Bridges wait for it as long as the grace lasts."""
        self.orphans = {
            attempt.ask.attempt: (attempt.session if attempt.told else "", frozenset(self.sessions), self.now)
            for attempt in self.calls
            if not attempt.over
        }
        self.board, self.calls = Switchboard(process_bytes=200), []

    @precondition(lambda self: self.orphans)
    @rule(data=st.data())
    def ask_the_next(self, data):
        name = data.draw(st.sampled_from(sorted(self.orphans)))
        session, open_sessions, since = self.orphans.pop(name)
        if self.now < since + GRACE_SECONDS and self.asks[name].key not in self.board.attempts:
            made = replace(self.asks[name], again=1, session=session, open_sessions=open_sessions)
            self.ask_it(made, b"x" * made.size)

    @precondition(lambda self: len(self.connected()) > 1)
    @rule(data=st.data())
    def leave(self, data):
        session = self.board.sessions[data.draw(st.sampled_from(self.connected()))]
        if session.cut_at is None:
            for name, holders in self.offered.items():
                if name not in self.agents[session.id]:
                    holders.discard(session.id)
            self.do(self.board.farewell(session, "stopped", self.now))

    def in_phase(self, phase):
        attempts = [one for one in self.board.attempts.values() if one.phase is phase]
        pairs = [(one, self.board.sessions[one.session]) for one in attempts]
        return [pair for pair in pairs if pair[1].cut_at is None]

    @precondition(lambda self: self.in_phase(Phase.OFFERED))
    @rule(data=st.data(), heard=st.booleans())
    def take(self, data, heard):
        attempt, session = data.draw(st.sampled_from(self.in_phase(Phase.OFFERED)))
        name = attempt.ask.attempt
        if name not in self.agents[session.id]:
            self.agents[session.id].add(name)
            self.started[name] = self.started.get(name, 0) + 1
        if heard:
            self.do(self.board.custody(session, attempt.ask.key, self.now))
        else:  # frames keep their order: what was sent is lost with its connection alone
            self.do(self.board.cut(session, self.now))

    @precondition(lambda self: self.in_phase(Phase.OFFERED))
    @rule(data=st.data())
    def refuse(self, data):
        attempt, session = data.draw(st.sampled_from(self.in_phase(Phase.OFFERED)))
        if attempt.ask.attempt not in self.agents[session.id]:
            self.offered[attempt.ask.attempt].discard(session.id)
            self.do(self.board.refuse(session, attempt.ask.key, "no", self.now))

    @precondition(lambda self: self.in_phase(Phase.CUSTODY))
    @rule(data=st.data(), size=st.integers(0, 60))
    def finish(self, data, size):
        attempt, session = data.draw(st.sampled_from(self.in_phase(Phase.CUSTODY)))
        self.do(self.board.result(session, attempt.ask.key, Result("response", {}, b"y" * size), self.now))

    @rule(seconds=st.sampled_from([0.1, 1.0, 4.0, 8.5]))
    def wait(self, seconds):
        self.now += seconds
        self.do(self.board.tick(self.now))

    @invariant()
    def nothing_runs_twice(self):
        for attempt in self.board.attempts.values():
            self.settle(attempt)
        assert all(count == 1 for count in self.started.values())

    @invariant()
    def bytes_are_counted(self):
        attempts = self.board.attempts.values()
        bodies = [attempt.result.body for attempt in attempts if attempt.result]
        events = [attempt.event for attempt in attempts if attempt.event]
        assert self.board.held == sum(map(len, bodies + events))
        for session in self.board.sessions.values():
            mine = [self.board.attempts[key] for key in session.attempts]
            assert session.held == sum(len(attempt.event or b"") for attempt in mine)
            assert all(attempt.under_way and attempt.session == session.id for attempt in mine)

    def teardown(self):
        """Whatever happened, all is forgotten in the end."""
        for attempt in self.calls:
            self.do(self.board.detach(attempt, self.now))
        for _ in range(4):
            self.now += 1000
            self.do(self.board.tick(self.now))
        assert self.board.attempts == {}
        assert self.board.held == 0


TestWhateverHappens = Relay.TestCase
TestWhateverHappens.settings = settings(
    max_examples=80, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
