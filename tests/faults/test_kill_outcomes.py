"""The judgement on a run with killed workers finds what must not happen."""

from tests.faults.kill_outcomes import JobOutcome, MailOutcome, Outcome


def outcome(mails: MailOutcome, jobs: JobOutcome | None = None) -> Outcome:
    return Outcome(1, jobs or JobOutcome({1, 2}, [1, 2, 2]), mails)


def test_a_mail_that_a_killed_worker_did_not_record_may_be_sent_again():
    mails = MailOutcome({"one"}, {"a"}, [("a", "one"), ("a", "two")])

    assert outcome(mails).is_right
    assert mails.again() == ({"one": 1}, [])


def test_a_mail_of_a_worker_that_lived_must_not_be_sent_again():
    mails = MailOutcome({"two"}, {"a"}, [("a", "one"), ("a", "two")])

    assert not outcome(mails).is_right
    assert mails.again() == ({}, ["a"])


def test_a_mail_that_was_recorded_must_not_be_sent_again():
    mails = MailOutcome({"one"}, {"a"}, [("a", "one"), ("a", "two")], {"a": 1})

    assert not outcome(mails).is_right


def test_a_mail_or_job_that_is_lost_or_was_rolled_back_is_found():
    right = MailOutcome(set(), {"a"}, [("a", "one")])

    assert outcome(right).is_right
    assert not outcome(MailOutcome(set(), {"a", "b"}, [("a", "one")])).is_right
    assert not outcome(MailOutcome(set(), set(), [("a", "one")])).is_right
    assert not outcome(right, JobOutcome({1, 2}, [1])).is_right
    assert not outcome(right, JobOutcome({1}, [1, 2])).is_right
