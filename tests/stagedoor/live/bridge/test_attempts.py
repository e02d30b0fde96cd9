"""What follows from what a relay does: the same decisions in both languages, times in seconds."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stagedoor.live.bridge import attempts

MODULE = Path(attempts.__file__).with_suffix(".mjs")

NODE = """
import { Attempt } from '%s';
const said = JSON.parse(process.argv[1]).map(([size, ...steps]) => {
  const attempt = new Attempt('r.1', size, 0, 60_000);
  const outcomes = steps.map(([method, ...rest]) => {
    const last = rest.length - 1;
    if (typeof rest[last] === 'number') rest[last] *= 1000;
    return attempt[method](...rest);
  });
  return [outcomes.filter(Boolean), attempt.again, attempt.withEvent, attempt.withSandbox];
});
console.log(JSON.stringify(said));
"""


def decided(language: str, *scenarios: list[Any]) -> list[list[Any]]:
    """Play scenarios, each an event's size and steps; return outcomes, times asked again, what goes along."""
    if language == "python":
        played = [attempted(*scenario) for scenario in scenarios]
    else:
        command = ["node", "--input-type=module", "-e", NODE % MODULE, json.dumps(scenarios)]
        played = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return [[[shape(outcome) for outcome in outcomes], *rest] for outcomes, *rest in played]


def attempted(size: int, *steps: list[Any]) -> list[Any]:
    attempt = attempts.Attempt("r.1", size, 0.0, 60.0)
    outcomes = [getattr(attempt, method)(*arguments) for method, *arguments in steps]
    return [[outcome for outcome in outcomes if outcome], attempt.again, attempt.with_event, attempt.with_sandbox]


def shape(outcome: Any) -> list[Any]:
    if isinstance(outcome, attempts.Ask):
        return ["ask", round(outcome.pause_s, 3)]
    if isinstance(outcome, attempts.Deployed):
        return ["deployed", outcome.reason, outcome.rest]
    if isinstance(outcome, attempts.Failure):
        return ["failed", outcome.kind, outcome.message]
    if "ask" in outcome:
        return ["ask", round(outcome["ask"] / 1000, 3)]
    if "deployed" in outcome:
        return ["deployed", outcome["deployed"], outcome["rest"]]
    return ["failed", *outcome["failed"].values()]


@pytest.fixture(params=["python", "node"])
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


SENT = ["said", 0]


def test_what_was_never_sent_is_deployed_codes_and_what_was_sent_never_is(language):
    never, once = decided(
        language,
        [10, ["refused", "r: refused", 0]],
        [10, ["said", 1], ["refused", "r: refused", 8.9], ["refused", "r: refused", 9]],
    )
    assert never[0] == [["deployed", "r: refused", True]]
    gone = ["failed", "Stagedoor.Disconnected", "The connection to r: refused was lost for more than 8 s."]
    assert once[:2] == [[["ask", 0], gone], 1]


def test_breaks_are_asked_again_at_once_then_more_and_more_slowly_until_the_relay_is_heard(language):
    broken = [["broken", "r", 0.1]] * 6
    ((outcomes, again, *_),) = decided(language, [10, SENT, *broken, ["hears", 1], ["broken", "r", 8.9]])
    assert [pause for _, pause in outcomes] == [0, 0.1, 0.2, 0.4, 0.8, 1, 0]
    assert again == 7


def test_pressure_and_draining_are_waited_out_and_count_as_no_break(language):
    told = [(429, "2"), (503, "0"), (503, "9999"), (429, "soon")]
    ((outcomes, again, *_),) = decided(language, [10, SENT, *(["answered", *answer, 1] for answer in told)])
    assert (outcomes, again) == ([["ask", 2], ["ask", 0], ["ask", 5], ["ask", 1]], 0)


def test_a_refusal_is_deployed_codes_unless_the_attempt_was_under_way_once(language):
    refusals = [["answered", status, "", 1] for status in (403, 404, 413, 503)]
    for outcomes, *_ in decided(language, *([10, SENT, refusal] for refusal in refusals)):
        assert [(kind, rest) for kind, _, rest in outcomes] == [("deployed", True)]
    for outcomes, *_ in decided(language, *([10, SENT, ["broken", "r", 1], refusal] for refusal in refusals)):
        assert outcomes == [["ask", 0], ["ask", 0.1]]
    ((outcomes, *_),) = decided(language, [10, *[["unauthorized", 1]] * 3])
    assert [kind for kind, *_ in outcomes] == ["ask", "ask", "deployed"]


def test_what_is_wanted_is_sent_with_the_next_request(language):
    wanted = ["wanted", {"event": True, "sandbox": True}]
    told = decided(language, [65_536], [65_537], [65_537, wanted])
    assert [along for _, _, *along in told] == [[True, False], [False, False], [True, True]]
