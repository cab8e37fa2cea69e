"""`python -m examples.event_flow [run|setup|orders|payment|notification|inventory] --endpoints FILE`."""

import argparse
import logging
import random
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from examples.event_flow import inventory, notification, orders, payment
from examples.event_flow.flow import BUSES, Flow
from examples.event_flow.metrics import Metrics
from examples.event_flow.names import Endpoints, EndpointsUnreadable, Names
from examples.event_flow.outcomes import Tally
from examples.event_flow.running import Crew, Stop, Worker, log
from examples.event_flow.setup import set_up_all

SERVICES: Mapping[str, Callable[[Flow], list[Worker]]] = {
    "orders": orders.workers,
    "payment": payment.workers,
    "notification": notification.workers,
    "inventory": inventory.workers,
}


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _above_zero(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m examples.event_flow", description="The reference flow.")
    parser.add_argument("command", nargs="?", default="run", choices=["run", "setup", *SERVICES])
    parser.add_argument("--endpoints", type=Path, default=Path(".stack/endpoints.json"), help="addresses of the buses")
    parser.add_argument("--prefix", default="", help="put before the name of every topic, queue and group")
    parser.add_argument("--rate", type=_above_zero, default=5.0, help="orders a second (default 5)")
    parser.add_argument("--poison", type=_share, default=0.05, help="share of poisonous orders (default 0.05)")
    parser.add_argument("--flaky", type=_share, default=0.02, help="share of failing downstream calls (default 0.02)")
    parser.add_argument("--work", type=_count, default=20, metavar="MS", help="duration of a downstream call")
    parser.add_argument("--count", type=_count, help="publish that many orders as fast as it goes, and end")
    parser.add_argument("--seed", type=int, help="the same seed gives the same orders (default: a random one)")
    parser.add_argument(
        "--sqs-redelivery", type=_count, default=2, metavar="S", help="first wait before SQS delivers again (default 2)"
    )
    parser.add_argument("--newest-version", type=_count, default=1, help="of a schema that consumers know (default 1)")
    parser.add_argument("--bus", action="append", choices=BUSES, help="only this bus; may be repeated")
    parser.add_argument("--store", type=Path, help="folder of the services' databases (default: flow, beside FILE)")
    parser.add_argument("--metrics-port", type=_count, help="serve metrics on this port of the loopback")
    return parser


def _flow(options: argparse.Namespace, endpoints: Endpoints) -> Flow:
    tally = Tally()
    return Flow(
        endpoints=endpoints,
        names=Names(options.prefix),
        stop=Stop(),
        tally=tally,
        metrics=Metrics(tally),
        store=options.store or options.endpoints.with_name("flow"),
        seed=random.getrandbits(32) if options.seed is None else options.seed,
        orders_per_second=options.rate,
        poison_share=options.poison,
        orders=options.count,
        flaky_share=options.flaky,
        work_seconds=options.work / 1000,
        first_redelivery_seconds=options.sqs_redelivery,
        newest_version=options.newest_version,
        buses=tuple(options.bus or BUSES),
    )


def _set_up(endpoints: Endpoints, names: Names) -> int:
    problems = set_up_all(endpoints, names)
    for bus, problem in problems.items():
        print(f"{bus}: {problem or 'ready'}")
    return 1 if any(problems.values()) else 0


def _serve(flow: Flow, services: Sequence[str]) -> int:
    workers = [worker for service in services for worker in SERVICES[service](flow)]
    # A handler runs in the middle of whatever the main thread does; to set an Event there, whose lock that thread may
    # hold at the time, could block for ever.
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: signals.append(received))
    log.info("%s begin, seed %d", ", ".join(services), flow.seed)
    crew = Crew(workers, flow.stop, flow.tally)
    crew.start()
    bounded = flow.orders if any(worker.events_per_order for worker in workers) else None
    crew.wait(lambda: bool(signals) or (bounded is not None and crew.all_settled(bounded)))
    return 0 if crew.end() else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 fine, 1 something did not work, 2 wrong usage."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.WARNING)
    log.setLevel(logging.INFO)
    try:
        endpoints = Endpoints.load(options.endpoints)
    except EndpointsUnreadable as error:
        print(error, file=sys.stderr)
        return 2
    if options.command == "setup":
        return _set_up(endpoints, Names(options.prefix))
    flow = _flow(options, endpoints)
    if options.metrics_port is not None:
        flow.metrics.serve(options.metrics_port)
    return _serve(flow, list(SERVICES) if options.command == "run" else [options.command])


if __name__ == "__main__":
    sys.exit(main())
