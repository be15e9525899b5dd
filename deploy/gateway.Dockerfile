# The gateway: no dashboard, no compiler, no package manager, no root.
# docker build --file deploy/gateway.Dockerfile --tag tollbook-gateway .

ARG PYTHON=3.13-slim-trixie

FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv --without-pip /opt/tollbook
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY service service
COPY analytics analytics
COPY dashboard dashboard
RUN pip --python /opt/tollbook/bin/python install --constraint constraints.txt ".[google,aws,azure,tokens,grpc]"

FROM python:${PYTHON}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="Tollbook gateway" \
      org.opencontainers.image.description="OpenAI Responses API in front of every provider, with exact cost, traces and durable records." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
# The folder of the books belongs to the user of the process, and so does a named volume that is mounted over it.
RUN groupadd --gid 10001 tollbook \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin tollbook \
 && install --directory --owner 10001 --group 10001 --mode 0700 /data
COPY --from=build /opt/tollbook /opt/tollbook
ENV PATH=/opt/tollbook/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TOLLBOOK_DATA_DIR=/data
USER 10001:10001
VOLUME ["/data"]
EXPOSE 4000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:4000/health/ready', timeout=4)"]
# Asked to stop, it lets streams end for up to 30 seconds.
STOPSIGNAL SIGTERM
ENTRYPOINT ["tollbook"]
CMD ["serve", "--host", "0.0.0.0"]
