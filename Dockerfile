# Never built: no container engine was at hand where this was written. docs/containers.md says what
# was tried of it and what was not.
FROM python:3.13-slim

# Of those in pyproject.toml. Bedrock, Vertex and Entra need theirs: --build-arg EXTRAS=...,bedrock
ARG EXTRAS=server,postgres,metrics,redis

WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY responses_mw responses_mw
COPY stores stores
RUN pip install --no-cache-dir --root-user-action=ignore ".[${EXTRAS}]" \
    && rm -r /src/* \
    && useradd --create-home responses \
    && install -d -o responses /data

# Providers and hooks of your own (python/package.module:attribute) are found from here.
WORKDIR /app
USER responses
ENV RESPONSES_MW_HOST=0.0.0.0 \
    RESPONSES_MW_PORT=4000 \
    XDG_DATA_HOME=/data
VOLUME /data
EXPOSE 4000

# Ready is 503 while the store is silent, and from SIGTERM on.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["python", "-c", \
    "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"RESPONSES_MW_PORT\"]}/health/ready')"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["responses-mw"]
CMD ["serve"]
