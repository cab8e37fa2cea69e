"""Single causes: what stands over what, what is quoted as evidence, and what fields texts name."""

import pytest

from monitor.analysis.causes import Evidence, cause_of
from monitor.analysis.faults import Certainty, Kind, read_fault
from monitor.analysis.stacks import Fault, find_fault
from monitor.analysis.texts import normalise
from tests.unit.causes.labelled import letter_of


@pytest.mark.parametrize(
    ("said", "subject", "expected", "found"),
    [
        ("'email' is a required property", "email", "", ""),
        ("json: cannot unmarshal string into Go struct field Order.vat of type int64", "Order.vat", "int64", "string"),
        ("The JSON value could not be converted to System.Int32. Path: $.vat | Line", "$.vat", "System.Int32", ""),
        ("$.total: string found, number expected", "$.total", "number", "string"),
        ("#/items/0: expected type: Integer, found: String", "#/items/0", "Integer", "String"),
        ("Found string, expecting int", "", "int", "string"),
        ("Found shop.Order, expecting shop.Order, missing required field vat", "vat", "", ""),
        ("must have required property 'sku'", "sku", "", ""),
        ("notification: data.customer_email is missing", "data.customer_email", "", ""),
        ('null value in column "total" of relation "orders" violates not-null constraint', "total", "", ""),
        ("2 validation errors for Order\ntotal\n  Field required", "total", "", ""),
    ],
)  # fmt: skip
def test_a_schema_violation_names_the_field_and_what_it_was_to_be(
    said: str, subject: str, expected: str, found: str
) -> None:
    reading = read_fault(find_fault("", said, ""), said)
    assert reading.kind is Kind.SCHEMA
    assert (reading.subject, reading.expected, reading.found) == (subject, expected, found)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("order 17 of 3f0c8d2b-9a41-4e55-8d2b-9a417e553f0c", "order <n> of <id>"),
        ("no answer from 10.0.0.7:8080 at 2026-01-02T03:04:05.678Z", "no answer from <address> at <time>"),
        ("can't find the customer's order 'x'", "can't find the customer's order <text>"),
        ("HTTP/1.1 503 from https://pay.example/charge?id=7", "HTTP/1.1 503 from <address>"),
        ("ORA-00942: table 12 is gone", "ORA-00942: table <n> is gone"),
        ("Order(id=7, name=Anna) failed", "Order(id=<text>, name=<text>) failed"),
        ("mail to anna@shop.example bounced", "mail to <address> bounced"),
        ("for type `java.lang.Integer`", "for type `java.lang.Integer`"),
        ("first\nsecond", "first"),
    ],
)  # fmt: skip
def test_what_varies_is_taken_out_and_what_tells_faults_apart_stays(text: str, plain: str) -> None:
    assert normalise(text) == plain


@pytest.mark.parametrize(
    ("stack", "fault"),
    [
        (
            "a.Wrapper: failed\n\tat org.springframework.X.y(X.java:1)\nCaused by: shop.Bad: no\n"
            "\tat java.base/java.util.List.of(List.java:7)\n\tat shop.Orders.lambda$take$3(Orders.java:9)\n"
            "\t... 3 more\n",
            Fault("shop.Bad", "no", "shop.Orders.take"),
        ),
        (
            "System.AggregateException: One (no)\n ---> Shop.Bad: no\n   at System.Net.X.Y()\n"
            "   at Shop.Pay.<Charge>d__4.MoveNext() in /src/P.cs:line 3\n   --- End of inner exception stack trace ---",
            Fault("Shop.Bad", "no", "Shop.Pay.Charge"),
        ),
        (
            'Traceback (most recent call last):\n  File "/app/pay.py", line 3, in charge\n    x()\n'
            '  File "/usr/lib/python3.11/site-packages/http.py", line 9, in get\n    y()\nshop.Bad: no',
            Fault("shop.Bad", "no", "pay.charge"),
        ),
        (
            "TypeError: no\n    at handle (/app/orders.js:3:5)\n    at node:internal/x:1:1",
            Fault("TypeError", "no", "handle"),
        ),
    ],
)  # fmt: skip
def test_the_root_of_a_stack_and_the_call_of_the_program_itself_are_found(stack: str, fault: Fault) -> None:
    assert find_fault("Outer", "outer", stack) == fault


def test_evidence_names_the_headers_as_they_are_written() -> None:
    cause = cause_of(letter_of([
        ("X-Original-Topic", "orders"), ("X-Exception-Fqcn", "java.net.ConnectException"),
        ("X-Exception-Message", "Connection refused"),
    ]))  # fmt: skip
    assert (cause.kind, cause.certainty) == (Kind.DOWNSTREAM, Certainty.CERTAIN)
    assert cause.evidence == (
        Evidence("X-Exception-Fqcn", "java.net.ConnectException"),
        Evidence("X-Exception-Message", "Connection refused"),
    )


def test_an_exception_says_more_than_the_broker_and_the_newest_death_more_than_the_first() -> None:
    rejected = ("x-first-death-reason", "rejected")
    both = letter_of(
        [rejected, ("x-original-queue", "q"), ("x-exception-message", "Read timed out")], reason="rejected"
    )
    assert cause_of(both).kind is Kind.DOWNSTREAM
    later = cause_of(letter_of([rejected], reason="expired"))
    assert (later.kind, later.certainty, later.evidence) == (
        Kind.EXPIRED, Certainty.CERTAIN, (Evidence("x-death", "expired"),),
    )  # fmt: skip


def test_what_masstransit_skipped_has_an_unknown_type_and_a_fault_does_not() -> None:
    assert cause_of(letter_of([("MT-Reason", "dead-letter")])).kind is Kind.UNKNOWN_TYPE
    assert cause_of(letter_of([("MT-Reason", "fault"), ("MT-Fault-Message", "no")])).kind is Kind.EXCEPTION


def test_two_fields_are_two_causes_though_their_names_stand_in_quotes() -> None:
    one, other = (cause_of(letter_of([
        ("x-original-topic", "t"), ("x-exception-message", f"'{name}' is a required property")])) for name in ("a", "b")
    )  # fmt: skip
    assert one.message == other.message
    assert one.id != other.id


def test_only_what_sqs_has_moved_itself_was_tried_too_often() -> None:
    received = {"ApproximateReceiveCount": "4"}
    assert cause_of(letter_of([], properties=received)).kind is Kind.UNKNOWN
    moved = cause_of(letter_of([], properties={**received, "DeadLetterQueueSourceArn": "arn"}))
    assert (moved.kind, moved.certainty) == (Kind.ATTEMPTS, Certainty.LIKELY)


def test_nothing_said_is_unknown() -> None:
    cause = cause_of(letter_of([]))
    assert (cause.kind, cause.certainty, cause.evidence) == (Kind.UNKNOWN, Certainty.NONE, ())
