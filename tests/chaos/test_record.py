"""The question that the storm asks of its record is itself answered right."""

from tests.chaos.record import Call, Overtaken


def call(at: float, operation: str, generation: int, status: int = 200, stack: str = "shop") -> Call:
    return Call(at, at, "cloudformation", operation, stack, "", "", generation, generation, status)


def overtaken(*calls: Call) -> list[str]:
    return [found.older.operation for found in Overtaken.among(calls, lambda call: call.generation)]


def test_an_older_execution_after_a_newer_deletion_is_found():
    assert overtaken(call(1, "DeleteStack", 2), call(2, "ExecuteChangeSet", 1)) == ["ExecuteChangeSet"]


def test_the_newer_has_begun_with_its_first_change_even_one_that_does_not_act():
    assert overtaken(call(1, "CreateChangeSet", 2), call(2, "DeleteStack", 1)) == ["DeleteStack"]


def test_the_order_is_that_of_arrival():
    assert overtaken(call(2, "ExecuteChangeSet", 2), call(1, "ExecuteChangeSet", 1)) == []


def test_what_aws_refused_and_what_nobody_executed_did_not_act():
    refused = call(2, "ExecuteChangeSet", 1, status=404)
    draft = call(3, "CreateChangeSet", 1)
    read = call(4, "DescribeStacks", 1)
    assert overtaken(call(1, "ExecuteChangeSet", 2), refused, draft, read) == []


def test_stacks_are_apart():
    assert overtaken(call(1, "DeleteStack", 2, stack="one"), call(2, "DeleteStack", 1, stack="two")) == []
