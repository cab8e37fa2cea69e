from monitor.brokers.aws.topics import Attributes, TopicSubscription, parse_attributes, show_endpoint

ARN = "arn:aws:sns:us-east-1:123456789012:events:8b7cbc1e-0c5c-4d1a-9f6f-1f2e3d4c5b6a"
QUEUE = "arn:aws:sqs:us-east-1:123456789012:orders"


def test_an_arn_is_shown_as_it_is() -> None:
    assert show_endpoint("sqs", QUEUE, ARN) == QUEUE


def test_nothing_of_a_webhook_is_shown_that_may_be_a_key() -> None:
    shown = show_endpoint("https", "https://user:pw@hooks.example.com:8443/services/T00/SECRET?token=SECRET", ARN)
    assert shown == "https://hooks.example.com:8443/#8b7cbc1e"


def test_addresses_of_people_are_not_shown() -> None:
    assert show_endpoint("email", "ann@example.com", ARN) == "*@example.com#8b7cbc1e"
    assert show_endpoint("sms", "+4912345678", ARN) == "*#8b7cbc1e"
    assert show_endpoint("email-json", "ann@example.com", "PendingConfirmation") == "*@example.com#pending"


def test_an_endpoint_that_is_no_url_is_hidden_and_not_an_error() -> None:
    assert show_endpoint("https", "https://[half/key", ARN) == "https:///#8b7cbc1e"
    assert show_endpoint("http", "http://host:port/key", ARN) == "http:///#8b7cbc1e"


def test_a_subscription_is_called_by_its_topic_and_the_end_of_its_endpoint() -> None:
    assert TopicSubscription(ARN, "events", "arn", "sqs", QUEUE).name == "events/orders"


def test_attributes_tell_the_dead_letter_queue_and_a_filter_that_is_shut() -> None:
    assert parse_attributes({}) == Attributes(None, False)
    assert parse_attributes({"RedrivePolicy": f'{{"deadLetterTargetArn": "{QUEUE}"}}'}) == Attributes(QUEUE, False)
    assert parse_attributes({"FilterPolicy": '{"a": []}'}) == Attributes(None, True)
    assert parse_attributes({"FilterPolicy": '{"a b": ["x"]}', "FilterPolicyScope": "MessageBody"}) == Attributes()


def test_a_policy_that_cannot_be_read_counts_as_none() -> None:
    assert parse_attributes({"FilterPolicy": "{", "RedrivePolicy": "[]"}) == Attributes(None, False)
