# Aura with its plugins, four providers and the OpenAI API; docs/deployment.md says how to run it.

FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md CHANGELOG.md LICENSE constraints.txt ./
COPY aura_core aura_core
COPY plugins plugins
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . ./plugins/ollama ./plugins/openai ./plugins/azure \
    ./plugins/anthropic ./plugins/openai_api
# One command for all: aura-server is not looked up anywhere else.
RUN python -m venv /opt/aura \
 && core=$(echo /wheels/aura_server-*.whl) azure=$(echo /wheels/aura_azure-*.whl) \
 && /opt/aura/bin/pip install --no-cache-dir --constraint constraints.txt \
    "$core[metrics,otel]" /wheels/aura_ollama-*.whl /wheels/aura_openai-*.whl "$azure[entra]" \
    /wheels/aura_anthropic-*.whl /wheels/aura_openai_api-*.whl

# What the image is made of: /opt/aura/sbom.cdx.json, in CycloneDX' format.
RUN python -m venv /opt/sbom \
 && /opt/sbom/bin/pip install --no-cache-dir --constraint constraints.txt cyclonedx-bom \
 && /opt/sbom/bin/cyclonedx-py environment --output-reproducible --output-file /opt/aura/sbom.cdx.json \
    /opt/aura/bin/python

FROM python:3.13-slim
COPY --from=build /opt/aura /opt/aura
# Its defaults are those of the user's own configuration folder, so that a mounted /etc/aura/aura.toml goes before them.
COPY deploy/image/defaults.toml /opt/aura/config/aura/aura.toml
# A number, so that Kubernetes can see that it is not root.
RUN useradd --system --no-create-home --uid 10001 aura && install -d /etc/aura/agents
ENV PATH=/opt/aura/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    XDG_CONFIG_HOME=/opt/aura/config \
    AURA_TRUST=/etc/aura
WORKDIR /etc/aura
USER 10001
EXPOSE 5300
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s \
  CMD ["python", "-m", "aura_core.cli.health_check"]
ENTRYPOINT ["aura"]
CMD ["serve"]
