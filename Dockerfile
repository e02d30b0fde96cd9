# One image, four commands: web, relay, worker, and `all` for one container. docs/install.md says how they are run.
#
#   docker build -t stagedoor .                    all roles; workers need git, Node and uv
#   docker build -t stagedoor-front --target front .   web and relay alone: no tool that a stranger's code could use

# The digests are those of the multi-platform indexes. docs/upgrade.md says how they are brought up to date.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:0bee7276f83efd4a1ee05bbbf4281d95ed28e079220a9457f25a93e3f1e3c31b
ARG NODE_IMAGE=node:24-bookworm-slim@sha256:6f7b03f7c2c8e2e784dcf9295400527b9b1270fd37b7e9a7285cf83b6951452d

# ---- What is installed, all of it by hash ----------------------------------------------------------------------------
FROM ${PYTHON_IMAGE} AS build
ENV UV_PROJECT_ENVIRONMENT=/opt/stagedoor/venv UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1 \
    UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /opt/stagedoor
COPY infra/image/uv.txt infra/image/build.txt /tmp/image/
RUN python -m venv /opt/uv \
    && /opt/uv/bin/pip install --require-hashes -r /tmp/image/uv.txt \
    && /opt/uv/bin/pip install --require-hashes --target /tmp/hatchling -r /tmp/image/build.txt
COPY pyproject.toml uv.lock README.md ./
# The CDK (430 MB) is for apps' programs, which bring their own; neither the service nor the engine imports it.
RUN /opt/uv/bin/uv sync --locked --no-default-groups --extra service --no-install-project \
    --no-install-package aws-cdk-lib --no-install-package constructs --no-install-package jsii \
    --no-install-package aws-cdk-asset-awscli-v1 --no-install-package aws-cdk-asset-node-proxy-agent-v6 \
    --no-install-package aws-cdk-cloud-assembly-schema
COPY stagedoor stagedoor
COPY stagedoor_resources stagedoor_resources
COPY service service
COPY migrations migrations
# Editable: the service runs from here, beside its migrations, and nothing is there twice.
RUN PYTHONPATH=/tmp/hatchling /opt/uv/bin/uv pip install --python venv --no-deps --no-build-isolation --offline -e . \
    && python -m compileall -q stagedoor stagedoor_resources service migrations

# ---- What every role has ---------------------------------------------------------------------------------------------
FROM ${PYTHON_IMAGE} AS front
RUN groupadd --gid 10001 stagedoor \
    && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin stagedoor \
    && install -d -o stagedoor -g stagedoor -m 0700 /data
COPY --from=build /opt/stagedoor /opt/stagedoor
ENV PATH=/opt/stagedoor/venv/bin:$PATH \
    HOME=/data \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    STAGEDOOR_HOST=0.0.0.0 STAGEDOOR_PORT=8000 STAGEDOOR_DATA_DIR=/data STAGEDOOR_HEALTH_DIR=/tmp/stagedoor-health
WORKDIR /opt/stagedoor
USER 10001:10001
# The root filesystem may be read-only; these two are written to.
VOLUME ["/data", "/tmp"]
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-m", "service.health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["stagedoor"]
CMD ["web"]

# ---- What a worker has besides ---------------------------------------------------------------------------------------
FROM ${NODE_IMAGE} AS node

FROM front AS stagedoor
USER 0:0
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git libstdc++6 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=node /usr/local/lib/node_modules/npm /usr/local/lib/node_modules/npm
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
COPY --from=build /opt/uv /opt/uv
ENV PATH=/opt/stagedoor/venv/bin:/opt/uv/bin:$PATH
USER 10001:10001
CMD ["all"]
