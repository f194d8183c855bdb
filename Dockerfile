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
    "$core[metrics]" /wheels/aura_ollama-*.whl /wheels/aura_openai-*.whl "$azure[entra]" \
    /wheels/aura_anthropic-*.whl /wheels/aura_openai_api-*.whl

FROM python:3.13-slim
COPY --from=build /opt/aura /opt/aura
RUN useradd --system --no-create-home aura && install -d /etc/aura/agents
ENV PATH=/opt/aura/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    AURA_TRUST=/etc/aura \
    AURA_SERVER__HOST=0.0.0.0 \
    AURA_SERVER__PORT=5300
WORKDIR /etc/aura
USER aura
EXPOSE 5300
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["python", "-c", "from http.client import HTTPConnection as C; c = C('127.0.0.1', 5300, timeout=2); c.request('GET', '/health/ready'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["aura"]
CMD ["serve"]
