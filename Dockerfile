# The webhook's image: the locked dependencies and this package on a slim Python, as a user without rights.
#
# To get the same image again, name the base by its digest and the time that files are to bear:
#
#   docker build --build-arg PYTHON_DIGEST=@sha256:… --build-arg SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" \
#     --output type=image,name=graceful-worker:0.1.0,rewrite-timestamp=true .
ARG PYTHON_DIGEST=""

FROM python:3.13-slim${PYTHON_DIGEST} AS build
ARG SOURCE_DATE_EPOCH=1577836800
# A mirror, where there is one. Whatever it serves, the hashes decide.
ARG PIP_INDEX_URL
# A fixed seed: the order of sets goes into compiled files.
ENV SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH} \
    PYTHONHASHSEED=0 \
    PIP_NO_CACHE_DIR=1 \
    PIP_NO_COMPILE=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements/run.txt requirements/build.txt requirements/
RUN python -m venv --without-pip /venv \
 && pip --python /venv/bin/python install --only-binary=:all: --require-hashes --requirement requirements/run.txt \
 && pip install --only-binary=:all: --require-hashes --requirement requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY webhook webhook
COPY certs certs
# Compiled here, because the file system is read-only later; checked by nothing, so that no time is part of the result.
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && pip --python /venv/bin/python install --no-deps --no-index /wheels/*.whl \
 && /venv/bin/python -m compileall -q -j 1 --invalidation-mode unchecked-hash /venv/lib \
 && find /venv -newermt "@${SOURCE_DATE_EPOCH}" -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH}" {} +

FROM python:3.13-slim${PYTHON_DIGEST}
ARG SOURCE_DATE_EPOCH=1577836800
# The base comes without its compiled files. Compiling at every start would take longer than all the rest of it.
RUN PYTHONHASHSEED=0 python -m compileall -q -j 1 --invalidation-mode unchecked-hash \
      -x '/(ensurepip|idlelib|pydoc_data|site-packages|tkinter|turtledemo)/' /usr/local/lib/python3.* \
 && find /usr/local/lib/python3.* \( -type d -o -name '*.pyc' \) -exec touch --date="@${SOURCE_DATE_EPOCH}" {} +
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
EXPOSE 8443
# For engines that run it by itself; Kubernetes has probes of its own. Its own certificate is not what is checked here.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
  CMD ["/venv/bin/python", "-c", "import ssl, urllib.request as r; r.urlopen('https://127.0.0.1:8443/healthz', timeout=4, context=ssl._create_unverified_context())"]
# In exec form: the program itself gets the SIGTERM that begins the drain.
ENTRYPOINT ["/venv/bin/graceful-worker"]
CMD ["serve"]
