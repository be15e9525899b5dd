# The dashboard: pages that read a running gateway over HTTP.
# docker build --file deploy/dashboard.Dockerfile --tag tollbook-dashboard .

ARG PYTHON=3.13-slim-trixie

FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv --without-pip /opt/tollbook
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY service service
COPY analytics analytics
COPY dashboard dashboard
RUN pip --python /opt/tollbook/bin/python install --constraint constraints.txt ".[dashboard]"

FROM python:${PYTHON}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="Tollbook dashboard" \
      org.opencontainers.image.description="The pages that read the books of a Tollbook gateway." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 tollbook \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin tollbook
COPY --from=build /opt/tollbook /opt/tollbook
ENV PATH=/opt/tollbook/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8501
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
ENTRYPOINT ["tollbook", "dashboard"]
CMD ["--host", "0.0.0.0"]
