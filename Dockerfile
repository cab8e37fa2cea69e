# The monitor, the dashboard and the reference flow in one image; the command chooses. Dependencies are those of uv.lock.

FROM python:3.12.11-slim-bookworm AS build
COPY --from=ghcr.io/astral-sh/uv:0.13.9 /uv /usr/local/bin/uv
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
WORKDIR /app
# Dependencies first: they change more seldom than the code, so their layer is kept.
COPY pyproject.toml uv.lock README.md ./
RUN uv sync --frozen --no-dev --no-install-project
COPY monitor monitor
COPY dashboards dashboards
COPY alerts alerts
COPY config config
RUN uv sync --frozen --no-dev --no-editable

FROM python:3.12.11-slim-bookworm
RUN useradd --uid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin eventflow \
    && install --directory --owner=eventflow --group=eventflow /var/lib/eventflow
COPY --from=build /app/.venv /app/.venv
# The reference flow is no part of the package; its schemas are those of the catalog.
COPY examples /app/examples
COPY --from=build /app/config/catalog.yml /app/config/
ENV PATH=/app/.venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
WORKDIR /app
USER 10001:10001
VOLUME /var/lib/eventflow
EXPOSE 9610
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9610/healthz', timeout=4)"]
STOPSIGNAL SIGTERM
CMD ["eventflow", "serve", "--config", "/etc/eventflow/eventflow.yml", "--log-format", "json"]
