"""Reading the file, into a configuration or the mistakes that keep it from being one."""

import os
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import ValidationError

from monitor.config.configuration import Configuration
from monitor.config.mistakes import find_key_path, suggest, tell
from monitor.config.server import Server
from monitor.document import Document, KeyPath, why_unreadable
from monitor.errors import ConfigurationError
from monitor.model import encode_id


def load_configuration(path: Path, environment: Mapping[str, str] = os.environ) -> Configuration:
    """Read a configuration file.

    Raises ConfigurationError, whose text has one line a mistake: file, line, key and what to do about it.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        problem = f"the configuration cannot be read ({why_unreadable(error)})"
        raise ConfigurationError(problem, place=str(path), remedy="name a YAML file by --config") from error
    return parse_configuration(text, str(path), environment)


def parse_configuration(text: str, name: str, environment: Mapping[str, str]) -> Configuration:
    """Read a configuration from YAML text; `name` stands for the file in errors. Raises as `load_configuration`."""
    document = Document(text, name, environment)
    if document.mistakes:
        raise ConfigurationError("\n".join(document.mistakes))
    values = {} if document.values is None else document.values
    if not isinstance(values, dict):
        known = ", ".join(sorted(Configuration.model_fields))
        raise ConfigurationError("must be a mapping of sections", place=name, remedy=f"known are {known}")
    try:
        configuration = Configuration.model_validate(values)
    except ValidationError as error:
        mistakes = sorted(error.errors(include_url=False), key=lambda it: document.line(find_key_path(it["loc"])))
        # `from None`: the library's own text quotes values.
        raise ConfigurationError("\n".join(tell(mistake, document) for mistake in mistakes)) from None
    if not configuration.clusters:
        problem, remedy = "no cluster is configured, so there is nothing to watch", "add one under clusters"
        raise ConfigurationError(problem, place=name, remedy=remedy)
    strangers = [*_find_strangers(configuration, document), *_find_vain_patterns(configuration, document)]
    if strangers:
        raise ConfigurationError("\n".join(strangers))
    return configuration


def _find_strangers(configuration: Configuration, document: Document) -> Iterator[str]:
    """Tell the mappings of dead-letter queues that can be about no configured cluster."""
    kinds = {cluster.name: cluster.kind for cluster in configuration.clusters}
    for entry, mapping in enumerate(configuration.dead_letters):
        queue, origins = (document.place(("dead_letters", entry, key)) for key in ("queue", "origins"))
        most = 2 if kinds.get(mapping.cluster) == "rabbitmq" else 1
        if mapping.cluster not in kinds:
            yield f"{queue}: there is no cluster {mapping.cluster!r}; {suggest(mapping.cluster, list(kinds))}"
        elif len(mapping.place) > most:
            shape = "cluster/queue or cluster/vhost/queue" if most == 2 else "cluster/queue"
            yield f"{queue}: must be {shape}; a slash inside a name is written %2F"
        elif most == 1 and any("/" in origin for origin in mapping.origins):
            yield f"{origins}: must be names of destinations in the same cluster; leave the cluster out"


def _find_vain_patterns(configuration: Configuration, document: Document) -> Iterator[str]:
    """Tell the patterns over ids that can match nothing, for the cluster that they name is not configured."""
    clusters = [encode_id(cluster.name) for cluster in configuration.clusters]
    for path, pattern in _patterns(configuration):
        if any(_may_match(pattern, cluster) for cluster in clusters):
            continue
        named, slash, _ = pattern.partition("/")
        remedy = suggest(named, clusters) if slash else "ids are cluster/name, and a pattern is one as cluster/*"
        problem = f"there is no cluster {named!r}" if slash else "matches no id"
        yield f"{document.place(path)}: {problem}; {remedy}"


def _patterns(configuration: Configuration) -> Iterator[tuple[KeyPath, str]]:
    """Yield all patterns over ids with their places."""
    for entry, objective in enumerate(configuration.objectives):
        yield ("objectives", entry, "subscription"), objective.subscription
    for entry, owner in enumerate(configuration.owners):
        yield ("owners", entry, "match"), owner.match
    for entry, rule in enumerate(configuration.masking):
        yield ("masking", entry, "queue"), rule.queue
    for entry, queue in enumerate(configuration.approvals.queues):
        yield ("approvals", "queues", entry), queue


def _may_match(pattern: str, cluster: str) -> bool:
    """Say whether a pattern can match an id in a cluster, whose name is encoded as in ids; `*` goes across slashes."""
    named, slash, _ = pattern.partition("/")
    if "*" in named:
        return fnmatchcase(f"{cluster}/", named[: named.index("*") + 1])
    return bool(slash) and fnmatchcase(cluster, named)


def with_listen(configuration: Configuration, address: str) -> Configuration:
    """Return the configuration with another address to listen on. Raises ConfigurationError as the file would."""
    try:
        server = Server.model_validate({**configuration.server.model_dump(), "listen": address})
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigurationError(message, place="--listen") from None
    return configuration.model_copy(update={"server": server})
