"""The whole of the sections."""

from typing import Any

from pydantic import SecretStr, field_validator, model_validator

from monitor.config.catalog import RegistrySettings
from monitor.config.clusters import Cluster
from monitor.config.dead_letters import Approvals, Archive, DeadLetterMapping, MaskingRule
from monitor.config.history import Alerts, History
from monitor.config.objectives import Objective, Owner
from monitor.config.section import Section, with_distinct_names
from monitor.config.server import Dashboard, Server
from monitor.config.values import ReadableFile


class Configuration(Section):
    """The whole configuration file."""

    server: Server = Server()
    database_url: SecretStr = SecretStr("sqlite:///var/eventflow.db")
    clusters: list[Cluster] = []
    objectives: list[Objective] = []
    owners: list[Owner] = []
    dead_letters: list[DeadLetterMapping] = []
    masking: list[MaskingRule] = []
    approvals: Approvals = Approvals()
    archive: Archive = Archive()
    history: History = History()
    alerts: Alerts = Alerts()
    dashboard: Dashboard = Dashboard()
    catalog: ReadableFile | None = None
    schema_registry: RegistrySettings = RegistrySettings()

    @field_validator("clusters")
    @classmethod
    def _distinct(cls, clusters: list[Any]) -> list[Any]:
        return with_distinct_names(clusters, "clusters", "ids and labels begin with them")

    @model_validator(mode="after")
    def _approvable(self) -> "Configuration":
        roles = [*(token.role for token in self.server.tokens), *(person.role for person in self.server.people)]
        if self.approvals.needed and len(roles) - roles.count("viewer") < 2:
            needed = "two server.tokens or server.people with the role operator or admin"
            raise ValueError(f"approvals need {needed}, since nobody can approve a redrive of their own")
        return self

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: SecretStr) -> SecretStr:
        if not url.get_secret_value().startswith(("sqlite:///", "postgresql+psycopg://")):
            raise ValueError("must begin with sqlite:/// or postgresql+psycopg://")
        return url
