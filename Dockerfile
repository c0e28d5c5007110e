# The webhook's image: the locked dependencies and this package, on a slim Python, as a user without rights.
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements/run.txt requirements/
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --require-hashes --requirement requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY webhook webhook
COPY certs certs
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
 && /venv/bin/pip install --no-cache-dir --no-deps /wheels/*.whl

FROM python:3.13-slim
COPY --from=build /venv /venv
USER 65532:65532
EXPOSE 8443
ENV PYTHONDONTWRITEBYTECODE=1
ENTRYPOINT ["/venv/bin/graceful-worker"]
CMD ["serve"]
