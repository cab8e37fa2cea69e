import logging

import pytest

from monitor.collecting.outcome import OutcomeLog, as_collection_error, attempt
from monitor.errors import Forbidden, TimedOut, Unreachable
from tests.unit.collecting.fakes import SetClock


def failing_at_one_place(text: str = "broken") -> Exception:
    def work() -> None:
        raise ValueError(text)

    error = attempt(work).error
    assert error
    return error


class TestAttempt:
    def test_a_value_is_kept(self) -> None:
        outcome = attempt(lambda: 5)
        assert (outcome.value, outcome.error) == (5, None)

    def test_an_error_is_kept_and_not_raised(self) -> None:
        assert isinstance(failing_at_one_place(), ValueError)

    def test_what_ends_a_thread_still_ends_it(self) -> None:
        def leave() -> None:
            raise SystemExit

        with pytest.raises(SystemExit):
            attempt(leave)


class TestCollectionErrors:
    def test_a_broker_error_keeps_its_reason_target_and_text(self) -> None:
        error = as_collection_error(Forbidden("may not be listed", target="group mailer"), "orders")
        assert (error.reason, error.target) == ("forbidden", "group mailer")
        assert error.message == "group mailer: may not be listed"

    def test_without_a_target_it_is_about_the_cluster(self) -> None:
        assert as_collection_error(Unreachable("no answer"), "orders").target == "orders"

    def test_anything_else_is_internal_and_is_not_quoted(self) -> None:
        error = as_collection_error(ValueError("amqp://user:secret@host"), "orders")
        assert (error.reason, error.target) == ("internal", "orders")
        assert "ValueError" in error.message
        assert "secret" not in error.message


class TestLog:
    @pytest.fixture(autouse=True)
    def _listen(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "monitor.collecting.outcome")
        self.caplog = caplog
        self.time = SetClock()
        self.log = OutcomeLog("cluster orders", self.time.clock, reminder_seconds=600)

    @property
    def records(self) -> list[logging.LogRecord]:
        return self.caplog.records

    def test_success_after_success_is_silent(self) -> None:
        self.log.record(None)
        self.log.record(None)
        assert not self.records

    def test_the_same_failure_is_told_once(self) -> None:
        for i in range(10):
            self.time.pass_seconds(15)
            self.log.record(TimedOut(f"no answer in {i} s", target="orders"))
        (record,) = self.records
        assert record.getMessage() == "cluster orders: failed, 1 in a row: orders: no answer in 0 s"
        assert record.levelno == logging.WARNING

    def test_another_failure_is_told(self) -> None:
        self.log.record(TimedOut("no answer", target="orders"))
        self.log.record(Unreachable("no connection", target="orders"))
        self.log.record(Unreachable("no connection", target="orders"))
        assert len(self.records) == 2

    def test_a_failure_that_stays_is_reminded_of(self) -> None:
        for _ in range(100):
            self.log.record(TimedOut("no answer"))
            self.time.pass_seconds(15)
        assert [record.getMessage().split(":")[1] for record in self.records] == [
            " failed, 1 in a row",
            " failed, 41 in a row",
            " failed, 81 in a row",
        ]

    def test_recovery_is_told_once(self) -> None:
        self.log.record(TimedOut("no answer"))
        self.log.record(TimedOut("no answer"))
        self.log.record(None)
        self.log.record(None)
        assert [record.getMessage() for record in self.records[1:]] == ["cluster orders: works again after 2 failures"]

    def test_what_nobody_foresaw_comes_with_its_traceback_once(self) -> None:
        for _ in range(3):
            self.log.record(failing_at_one_place())
        (record,) = self.records
        assert record.levelno == logging.ERROR
        assert "Traceback" in record.getMessage()
        assert "in work" in record.getMessage()

    def test_a_password_in_an_address_does_not_reach_the_log(self) -> None:
        self.log.record(failing_at_one_place("cannot parse amqp://mail:s3cret@127.0.0.1:5672/%2F"))
        (record,) = self.records
        assert "s3cret" not in record.getMessage()
        assert "amqp://***@127.0.0.1" in record.getMessage()
