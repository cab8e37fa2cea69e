from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.analysis.status import STATUS_OF, Cause
from monitor.config import Objective
from monitor.model import AgeMethod, Role, Status, System, Verdict
from tests.unit.analysis.story import MINUTE, START, Story


def statuses(verdicts: Sequence[Verdict]) -> list[Status]:
    return [verdict.status for verdict in verdicts]


class TestFirstMinutes:
    def test_nothing_waiting_is_ok_at_once(self) -> None:
        assert Story().look((500, 500)).status is Status.OK

    def test_a_backlog_is_unknown_at_the_first_look_and_known_once_consumption_is_seen(self) -> None:
        story = Story()
        assert story.look((500, 400), age=5).status is Status.UNKNOWN
        assert story.look((600, 550), age=5).status is Status.OK

    def test_a_backlog_beyond_its_age_is_lagging_once_consumption_is_seen(self) -> None:
        story = Story()
        story.look((5_000, 400), age=900)
        assert story.look((6_000, 550), age=900).status is Status.LAGGING

    def test_an_untouched_backlog_stays_unknown_until_a_window_has_passed(self) -> None:
        story = Story()
        early = story.look_until(9.5 * MINUTE, (500, 400))
        assert set(statuses(early)) == {Status.UNKNOWN}
        late = story.look_until(1 * MINUTE, (500, 400))
        assert late[-1].status is Status.STALLED

    def test_a_backlog_with_nobody_there_is_stopped_after_the_absence_allowed(self) -> None:
        story = Story()
        seen = statuses(story.look_until(1.5 * MINUTE, (500, 400), consumers=0))
        assert seen == [Status.UNKNOWN] * 4 + [Status.STOPPED] * 3

    def test_the_reason_says_how_long_was_watched(self) -> None:
        story = Story()
        assert "next look" in story.look((500, 400)).reason
        assert "in the 15 s watched" in story.look((500, 400)).reason


class TestStoppedAndStalled:
    def test_consumers_that_finish_nothing_for_a_window_are_stalled(self) -> None:
        story = Story()
        story.look((500, 500))
        verdicts = story.look_until(11 * MINUTE, (600, 500), consumers=3)
        assert verdicts[-1].status is Status.STALLED
        assert verdicts[-1].reason == "100 messages wait; consumers are there, but finished nothing for 11 min"

    def test_nothing_consumed_and_nobody_known_to_be_there_is_stopped(self) -> None:
        story = Story()
        story.look((500, 500), consumers=None)
        verdicts = story.look_until(11 * MINUTE, (600, 500), consumers=None)
        assert verdicts[-1].status is Status.STOPPED
        assert verdicts[-1].reason == "100 messages wait; nothing was consumed for 11 min"

    def test_consumers_that_leave_are_missed_within_a_minute_or_so(self) -> None:
        story = Story()
        story.look((500, 500), consumers=2)
        verdicts = story.look_until(2 * MINUTE, (600, 500), consumers=0, age=30)
        assert statuses(verdicts)[:4] == [Status.OK] * 4
        assert verdicts[-1].status is Status.STOPPED
        assert "nobody has been there to consume for" in verdicts[-1].reason

    def test_a_restart_of_the_consumers_is_no_stop(self) -> None:
        story = Story()
        story.look((500, 500), consumers=2)
        away = story.look_until(0.5 * MINUTE, (600, 500), consumers=0, age=30)
        back = story.look((700, 700), consumers=2)
        assert set(statuses([*away, back])) == {Status.OK}

    def test_consumers_that_come_back_after_long_are_given_time(self) -> None:
        story = Story()
        story.look((500, 500))
        assert story.look_until(60 * MINUTE, (900, 500), consumers=0)[-1].status is Status.STOPPED
        back = story.look_until(5 * MINUTE, (900, 500), consumers=2)
        assert set(statuses(back)) == {Status.UNKNOWN}
        assert story.look((900, 700), consumers=2, age=5).status is Status.OK

    def test_consumers_that_come_back_and_finish_nothing_are_stalled_after_a_window(self) -> None:
        story = Story()
        story.look((500, 500))
        story.look_until(60 * MINUTE, (900, 500), consumers=0)
        assert story.look_until(11 * MINUTE, (900, 500), consumers=2)[-1].status is Status.STALLED

    def test_consumers_that_crash_again_and_again_are_stalled(self) -> None:
        story = Story()
        story.look((500, 500))
        seen = [story.look((900, 500), consumers=i % 3 and 1).status for i in range(60)]
        assert seen[-1] is Status.STALLED

    def test_commits_without_members_are_no_stop(self) -> None:
        """Consumers that assign partitions to themselves are no members of their group."""
        story = Story()
        verdicts = [story.look((1_000 + 50 * i, 900 + 50 * i), consumers=0, age=5) for i in range(40)]
        assert set(statuses(verdicts[1:])) == {Status.OK}

    def test_one_stuck_partition_is_found_among_many_that_move(self) -> None:
        story = Story()
        for i in range(45):
            moving = [(1_000.0 + 10 * i, 1_000.0 + 10 * i)] * 19
            verdict = story.look(*moving, (1_000 + 10 * i, 1_000), age=3)
        assert verdict.status is Status.STALLED
        assert "1 of 20 partitions concerned" in verdict.reason

    def test_a_quiet_log_with_more_than_a_marker_left_is_stalled(self) -> None:
        story = Story()
        story.look((500, 500))
        assert story.look_until(11 * MINUTE, (502, 500))[-1].status is Status.STALLED


class TestSlowIsNotStopped:
    def test_a_slow_topic_whose_messages_are_consumed_soon_is_always_ok(self) -> None:
        story = Story()
        seen = set()
        for i in range(20):
            seen |= set(statuses(story.look_until(29 * MINUTE, (500 + i, 500 + i))))
            seen.add(story.look((501 + i, 500 + i), age=10).status)
        assert seen == {Status.OK}

    def test_steps_shorter_than_the_window_are_progress(self) -> None:
        story = Story(interval=60)
        story.look((1_000, 500))
        seen = set()
        for i in range(1, 20):
            verdicts = story.look_until(7 * MINUTE, (1_000, 500 + i), age=30)
            seen |= set(statuses(verdicts))
        assert seen == {Status.OK}

    def test_a_consumer_that_takes_long_steps_is_learned(self) -> None:
        story = Story(interval=60)
        story.look((1_000, 500))
        first, second, third = (statuses(story.look_until(15 * MINUTE, (1_000, 501 + i), age=30)) for i in range(3))
        assert Status.STALLED in first
        assert {*second, *third} == {Status.OK}

    def test_what_was_learned_is_bounded_and_forgotten(self) -> None:
        story = Story(interval=60)
        story.look((9_000, 500))
        story.look_until(10 * 60 * MINUTE, (9_000, 501))
        assert story.look((9_000, 502), age=1).status is Status.OK
        hours = statuses(story.look_until(61 * MINUTE, (9_000, 502), age=1))
        assert hours[-1] is Status.STALLED
        for i in range(10):
            story.look((9_000, 503 + i), age=1)
        again = statuses(story.look_until(11 * MINUTE, (9_000, 512), age=1))
        assert again[-1] is Status.STALLED


class TestLagging:
    def test_older_than_the_objective_is_lagging(self) -> None:
        story = Story(objectives=[Objective(subscription="orders/*", max_age=30.0, target=0.999)])
        story.look((500, 500))
        verdict = story.look((600, 550), age=31)
        assert verdict.status is Status.LAGGING
        assert verdict.objective_target == 0.999
        assert verdict.reason == "the oldest message has waited 31 s, allowed is 30 s; 50 messages wait"
        assert verdict.objective_age_seconds == 30.0

    def test_without_objective_a_minute_is_allowed(self) -> None:
        story = Story()
        story.look((500, 500))
        assert story.look((600, 550), age=59).status is Status.OK
        assert story.look((700, 650), age=61).status is Status.LAGGING

    def test_where_the_age_is_not_known_the_work_left_is_measured_by_its_pace(self) -> None:
        story = Story()
        story.look((10_000, 100))
        verdict = story.look((10_000, 250))
        assert verdict.status is Status.LAGGING
        assert verdict.reason == "9,750 messages wait: 16 min of work at 10.0/s"

    def test_a_backlog_that_only_grows_is_lagging_before_it_is_old(self) -> None:
        story = Story()
        seen = [story.look((1_000 * i, 950 * i), age=10).status for i in range(60)]
        assert seen[30] is Status.OK
        assert seen[-1] is Status.LAGGING

    def test_the_rise_and_fall_between_commits_is_not_lagging(self) -> None:
        story = Story()
        seen = {story.look((1_000 * i, 1_000 * i - (i * 37) % 400), age=4).status for i in range(300)}
        assert seen <= {Status.OK, Status.UNKNOWN}

    def test_a_growth_that_hides_in_that_rise_and_fall_is_found(self) -> None:
        story = Story()
        seen = [story.look((1_000 * i, 900 * i - (i * 37) % 90), age=10).status for i in range(80)]
        assert seen[-1] is Status.LAGGING


class TestRewound:
    def test_a_position_that_goes_back_is_rewound_for_a_window(self) -> None:
        story = Story()
        story.look((1_000, 990))
        story.look((1_000, 995))
        assert story.look((1_000, 100), age=5).status is Status.REWOUND
        moving = [story.look((1_000, 100 + i), age=5).status for i in range(1, 50)]
        assert moving[0] is Status.REWOUND
        assert moving[-1] is Status.OK

    def test_it_is_ok_again_once_nothing_waits(self) -> None:
        story = Story()
        story.look((1_000, 1_000))
        assert story.look((1_000, 100)).status is Status.REWOUND
        assert story.look((1_000, 1_000)).status is Status.OK

    def test_the_collectors_own_count_of_rewinds_is_heard(self) -> None:
        story = Story()
        story.look((1_000, 990), rewinds=4)
        assert story.look((1_100, 1_095), rewinds=4, age=1).status is Status.OK
        assert story.look((1_200, 1_195), rewinds=5, age=1).status is Status.REWOUND

    def test_a_topic_that_was_made_again_begins_anew(self) -> None:
        story = Story()
        story.look((1_000, 990))
        story.look((1_000, 995))
        assert story.look((10, 5)).status is Status.OK  # the subscription was consumed a moment ago
        assert story.look((20, 18)).status is Status.OK

    def test_counters_of_a_restarted_broker_are_not_rewound(self) -> None:
        story = Story(System.RABBITMQ)
        story.look((1_000, 900))
        story.look((1_100, 1_000))
        assert story.look((1_100, 40), backlogs=[60]).status is Status.OK
        assert story.look((50, 40), backlogs=[10]).status is Status.OK


class TestLosing:
    def test_lost_messages_are_losing_for_a_window(self) -> None:
        story = Story()
        story.look((1_000, 990), lost=0)
        seen = statuses(story.look_until(11 * MINUTE, (1_000, 1_000), lost=7))
        assert seen[0] is Status.LOSING
        assert seen[-1] is Status.OK

    def test_what_was_lost_before_anybody_watched_is_no_news(self) -> None:
        story = Story()
        seen = statuses(story.look_until(1 * MINUTE, (1_000, 1_000), lost=7, lost_while_watched=0))
        assert set(seen) == {Status.OK}
        assert story.look((1_000, 1_000), lost=9, lost_while_watched=2).status is Status.LOSING

    def test_what_was_lost_while_the_monitor_was_down_is_told_at_the_first_look(self) -> None:
        assert Story().look((1_000, 1_000), lost=9, lost_while_watched=2).status is Status.LOSING

    def test_another_collector_which_counts_anew_tells_no_old_loss_and_hides_no_new_one(self) -> None:
        story = Story()
        story.look((1_000, 1_000), lost=0)
        story.look((1_000, 1_000), lost=7)
        story.wait(60 * MINUTE)
        assert story.look((1_000, 1_000), lost=7, lost_while_watched=0).status is Status.OK
        assert story.look((1_000, 1_000), lost=8, lost_while_watched=1).status is Status.LOSING

    def test_a_look_that_does_not_know_the_loss_does_not_make_it_news_again(self) -> None:
        story = Story()
        story.look((1_000, 1_000), lost=0)
        story.look((1_000, 1_000), lost=7)
        story.wait(60 * MINUTE)
        story.look((1_000, 1_000), lost=None)
        assert story.look((1_000, 1_000), lost=7).status is Status.OK

    def test_a_loss_without_any_backlog_is_still_a_loss(self) -> None:
        story = Story()
        story.look((1_000, 1_000), lost=0)
        verdict = story.look((1_000, 1_000), lost=600)
        assert verdict.status is Status.LOSING
        assert verdict.reason.startswith("600 messages lost unread")

    def test_what_is_nearly_as_old_as_it_is_kept_is_losing(self) -> None:
        story = Story()
        story.look((1_000, 500))
        verdict = story.look((1_000, 501), age=83_000, retention=86_400)
        assert verdict.status is Status.LOSING
        assert "about to be lost" in verdict.reason

    def test_losing_is_worse_than_stopped(self) -> None:
        story = Story()
        story.look((1_000, 500), consumers=0, lost=0)
        story.wait(5 * MINUTE)
        assert story.look((1_000, 500), consumers=0, lost=3).status is Status.LOSING


class TestUnknown:
    def test_a_part_that_could_not_be_read_makes_it_unknown_whatever_else_is_known(self) -> None:
        story = Story()
        story.look((1_000, 1_000), lost=0)
        verdict = story.look((1_000, 1_000), lost=9, missing=2)
        assert verdict.status is Status.UNKNOWN
        assert verdict.reason.startswith("the backlog of only 1 of 3 partitions is known")
        assert verdict.reason.endswith("; but 9 messages lost unread since this was first watched")

    def test_a_part_that_could_not_be_read_hides_no_other_that_is_stuck(self) -> None:
        story = Story()
        story.look((500, 500), (500, 500))
        verdicts = story.look_until(11 * MINUTE, (600, 500), (600, 600), missing=1)
        assert verdicts[-1].status is Status.UNKNOWN
        assert verdicts[-1].reason.endswith("; but consumers finished nothing for 11 min in 1 of those read")

    def test_a_backlog_that_is_not_known_is_not_nothing(self) -> None:
        assert Story().look((1_000, None)).status is Status.UNKNOWN

    def test_a_new_partition_of_a_consumed_subscription_is_no_riddle(self) -> None:
        story = Story()
        story.look((1_000, 990))
        story.look((1_100, 1_095))
        assert story.look((1_200, 1_195), (5, 1), age=1).status is Status.OK

    def test_a_new_collector_that_numbers_its_parts_anew_keeps_what_is_known_of_the_whole(self) -> None:
        story = Story()
        story.look((1_000, 990))
        before = story.look((1_100, 1_095), age=1)
        assert story.history is not None
        story.history = story.history.with_new_collector()
        after = story.look((1_200, 1_195), ids=[77], age=1)
        assert (after.status, after.since) == (Status.OK, before.since)

    def test_a_stall_is_not_forgiven_by_a_new_collector(self) -> None:
        story = Story()
        for i in range(45):
            story.look((1_000 + i, 1_000 + i), (1_000, 900), age=3)
        assert story.history is not None
        story.history = story.history.with_new_collector()
        assert story.look((2_000, 1_999), (1_000, 900), age=3).status is Status.UNKNOWN


class TestTransactionMarkers:
    def test_one_record_left_on_a_quiet_log_is_ok_while_consumers_are_there(self) -> None:
        story = Story()
        story.look((1_000, 1_000))
        seen = statuses(story.look_until(60 * MINUTE, (1_001, 1_000)))
        assert set(seen) == {Status.OK}

    def test_it_is_no_remainder_once_more_arrives(self) -> None:
        story = Story()
        story.look((1_000, 1_000))
        story.look_until(60 * MINUTE, (1_001, 1_000))
        verdicts = story.look_until(11 * MINUTE, (1_002, 1_000))
        assert verdicts[0].status is Status.OK  # only now there was something to take
        assert verdicts[-1].status is Status.STALLED

    def test_it_is_no_remainder_where_it_is_known_to_be_a_record(self) -> None:
        story = Story()
        story.look((1_000, 1_000))
        verdicts = story.look_until(11 * MINUTE, (1_001, 1_000), counted=True)
        assert verdicts[0].status is Status.OK
        assert verdicts[-1].status is Status.STALLED

    def test_it_is_no_remainder_where_nobody_would_have_read_it(self) -> None:
        story = Story()
        story.look((1_000, 1_000))
        assert story.look_until(5 * MINUTE, (1_001, 1_000), consumers=0)[-1].status is Status.STOPPED

    def test_a_queue_has_no_markers(self) -> None:
        story = Story(System.RABBITMQ)
        story.look((1_000, 1_000))
        assert story.look_until(11 * MINUTE, (1_001, 1_000))[-1].status is Status.STALLED


class TestQueues:
    def test_without_positions_a_falling_backlog_is_consumption(self) -> None:
        story = Story(System.RABBITMQ)
        story.look(backlogs=[100], whole=True)
        assert story.look(backlogs=[90], whole=True).status is Status.OK

    def test_without_positions_a_backlog_that_does_not_fall_is_lagging_and_no_more_is_said(self) -> None:
        story = Story(System.RABBITMQ)
        story.look(backlogs=[0.0], whole=True)
        verdicts = story.look_until(11 * MINUTE, backlogs=[100], whole=True)
        assert verdicts[-1].status is Status.LAGGING
        assert verdicts[-1].reason == "100 messages wait; the backlog has not fallen for 11 min"

    def test_without_positions_nobody_there_is_stopped(self) -> None:
        story = Story(System.RABBITMQ)
        assert story.look_until(2 * MINUTE, backlogs=[100], whole=True, consumers=0)[-1].status is Status.STOPPED

    def test_messages_handed_out_and_never_finished_are_stalled(self) -> None:
        story = Story(System.RABBITMQ)
        story.look((1_000, 1_000), backlogs=[0.0], in_flight=0)
        verdicts = story.look_until(11 * MINUTE, (1_050, 1_000), backlogs=[0.0], in_flight=50)
        assert verdicts[-1].status is Status.STALLED
        assert verdicts[-1].reason.startswith("50 messages are in flight; consumers are there")

    def test_messages_that_are_held_for_longer_than_the_objective_are_late_though_none_waits(self) -> None:
        story = Story(System.RABBITMQ, objectives=[Objective(subscription="*", max_age=120.0)])
        story.look((1_000, 1_000), backlogs=[0.0], in_flight=0)
        verdicts = story.look_until(4 * MINUTE, (1_002, 1_000), backlogs=[0.0], in_flight=2)
        assert statuses(verdicts)[:8] == [Status.OK] * 8
        assert verdicts[-1].status is Status.LAGGING
        told = "2 messages are in flight, none finished for 4 min; allowed is 2 min"
        assert verdicts[-1].reason == told
        seconds = verdicts[-1].objective_seconds
        assert seconds is not None
        assert seconds["missed"] > 60
        finished = story.look((1_003, 1_002), backlogs=[0.0], in_flight=1)
        assert finished.status is Status.OK

    def test_without_an_objective_a_consumer_may_hold_messages_for_a_window(self) -> None:
        story = Story(System.RABBITMQ)
        story.look((1_000, 1_000), backlogs=[0.0], in_flight=0)
        verdicts = story.look_until(9 * MINUTE, (1_002, 1_000), backlogs=[0.0], in_flight=2)
        assert set(statuses(verdicts)) == {Status.OK}

    @pytest.mark.parametrize(("in_flight", "expected"), [(4, Status.STALLED), (0, Status.STOPPED)])
    def test_sqs_tells_by_what_is_in_flight_whether_anybody_receives(self, in_flight: int, expected: Status) -> None:
        story = Story(System.SQS)
        story.look((1_000, 1_000), backlogs=[0.0], in_flight=0, consumers=None)
        verdicts = story.look_until(11 * MINUTE, (1_100, 1_000), in_flight=in_flight, consumers=None)
        assert verdicts[-1].status is expected

    def test_a_retry_queue_is_never_alarmed(self) -> None:
        story = Story(System.RABBITMQ, role=Role.RETRY, objectives=[Objective(subscription="*", max_age=1.0)])
        verdicts = story.look_until(60 * MINUTE, (1_000, 900), consumers=0, age=3_000, lost=5)
        assert set(statuses(verdicts)) == {Status.OK}
        assert verdicts[-1].objective_age_seconds is None
        assert verdicts[-1].reason.startswith("a retry queue: 100 messages wait")


class TestSince:
    def test_it_stays_while_the_status_stays_and_moves_when_it_changes(self) -> None:
        story = Story()
        assert story.look((500, 500)).since == START
        assert story.look((500, 500)).since == START
        assert story.look((600, 550), age=100).since == START + 30

    def test_it_does_not_move_when_only_the_reason_does(self) -> None:
        story = Story()
        story.look((500, 500))
        story.look_until(11 * MINUTE, (600, 500))
        stalled = story.look((600, 500))
        lost = story.look((600, 500), lost=1)
        lost_and_expiring = story.look((600, 500), lost=1, age=100, retention=100)
        assert stalled.since < lost.since == lost_and_expiring.since


def test_judgement_is_as_fine_after_a_month_as_at_the_start() -> None:
    story = Story()
    story.look((500, 500))
    story.wait(30 * 86_400)
    story.look((500, 500))
    seen = statuses(story.look_until(11 * MINUTE, (600, 500)))
    assert seen.index(Status.STALLED) == 39


def test_a_gap_between_looks_is_bridged_by_the_positions() -> None:
    story = Story()
    story.look((500, 500))
    story.wait(60 * MINUTE)
    assert story.look((5_000, 4_990), age=2).status is Status.OK


class TestLooksThatCouldNotReadAPart:
    """Its leader is away for a look, say."""

    def test_a_consumer_that_is_stuck_is_found_though_a_look_misses_now_and_then(self) -> None:
        story = Story()
        story.look((500, 500))
        for _ in range(3):
            verdicts = story.look_until(8 * MINUTE, (600, 500))
            assert story.look((600, None)).status is Status.UNKNOWN
        assert verdicts[-1].status is Status.STALLED
        assert story.look((600, 500)).status is Status.STALLED

    def test_what_was_consumed_meanwhile_is_seen(self) -> None:
        story = Story()
        story.look((500, 500))
        story.look_until(9 * MINUTE, (600, 500), age=1)
        story.look_until(2 * MINUTE, (600, None))
        assert story.look((600, 550), age=1).status is Status.OK
        assert set(statuses(story.look_until(8 * MINUTE, (600, 550), age=1))) == {Status.OK}

    def test_a_rewind_is_told_for_its_window(self) -> None:
        story = Story()
        story.look((1_000, 990))
        story.look((1_000, 995))
        assert story.look((1_000, 100), age=5).status is Status.REWOUND
        story.look((1_000, None))
        assert story.look((1_000, 110), age=5).status is Status.REWOUND

    def test_a_growth_goes_on(self) -> None:
        story = Story()
        seen = [story.look((1_000 * i, None if i % 10 == 9 else 950 * i), age=10).status for i in range(56)]
        assert seen[-1] is Status.LAGGING

    def test_more_than_a_window_of_them_is_not_bridged(self) -> None:
        story = Story()
        story.look((500, 500))
        assert story.look_until(11 * MINUTE, (600, 500))[-1].status is Status.STALLED
        story.look_until(11 * MINUTE, (600, None))
        assert story.look((600, 500)).status is Status.UNKNOWN

    def test_one_that_cannot_tell_who_is_there_ends_no_absence_and_adds_nothing_to_it(self) -> None:
        story = Story()
        story.look((500, 500), consumers=0)
        for _ in range(2):
            assert story.look((600, 500), consumers=0).status is Status.OK
        for _ in range(4):
            assert story.look((600, 500), consumers=None).status is Status.OK
        assert story.look((600, 500), consumers=0).status is Status.STOPPED
        assert story.look((600, 500), consumers=None).status is Status.STOPPED
        assert story.look((600, 500), consumers=1).status is not Status.STOPPED


def test_every_status_can_be_reached_and_every_cause_has_one() -> None:
    assert set(STATUS_OF) == set(Cause)
    assert set(STATUS_OF.values()) == set(Status)


def test_causes_are_ordered_as_the_statuses_are() -> None:
    rank = {status: i for i, status in enumerate(Status)}
    ranks = [rank[STATUS_OF[cause]] for cause in sorted(Cause)]
    assert ranks == sorted(ranks)


amounts = st.one_of(st.none(), st.integers(0, 10**9).map(float))
looks = st.fixed_dictionaries(
    {
        "consumers": st.one_of(st.none(), st.integers(0, 5)),
        "in_flight": amounts,
        "age": amounts,
        "age_method": st.sampled_from(AgeMethod),
        "retention": amounts,
        "lost": amounts,
        "rewinds": amounts,
        "missing": st.integers(0, 2),
        "whole": st.booleans(),
    }
)
positions = st.lists(st.tuples(amounts, amounts), min_size=1, max_size=4)


@given(st.sampled_from(System), st.lists(st.tuples(positions, looks, st.floats(0, 2_000)), min_size=1, max_size=8))
def test_whatever_happens_missing_data_is_unknown_and_only_that(
    system: System, steps: list[tuple[list[tuple[float | None, float | None]], dict[str, object], float]]
) -> None:
    story = Story(system)
    for at, fields, pause in steps:
        backlogs = [None if p is None or c is None else max(p - c, 0.0) for p, c in at]
        verdict = story.look(*at, backlogs=backlogs, **fields)  # type: ignore[arg-type]
        known = not fields["missing"] and None not in backlogs
        assert known or verdict.status is Status.UNKNOWN
        if known and not any(backlogs):
            assert verdict.status is not Status.UNKNOWN
        assert verdict.reason
        assert START <= verdict.since <= START + story.now
        assert verdict.drain_seconds is None or verdict.drain_seconds >= 0
        story.wait(pause)
