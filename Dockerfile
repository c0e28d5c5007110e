# The webhook's image: Python, the locked dependencies and this package, as a user without rights. It has no shell, no pip
# and no package manager. To look into a running pod: kubectl debug --image=busybox --target=webhook POD
#
# To get the same image again, name the base by its digest and the time that files are to bear:
#
#   docker build --build-arg BASE=python:3.13-slim@sha256:… --build-arg SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" \
#     --output type=image,name=graceful-worker:0.1.0,rewrite-timestamp=true .
#
# A release takes the digest that the tag has then, and says in its notes which: .github/workflows/release.yaml.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
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
COPY deploy/image deploy/image
# Compiled here, because the file system is read-only later; checked by nothing, so that no time is part of the result.
# The standard library comes without its compiled files. Compiling at every start would take longer than all the rest of it.
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && pip --python /venv/bin/python install --no-deps --no-index /wheels/*.whl \
 && python -m compileall -q -j 1 --invalidation-mode unchecked-hash /venv/lib \
 && python -m compileall -q -j 1 --invalidation-mode unchecked-hash \
      -x '/(ensurepip|idlelib|pydoc_data|site-packages|tkinter|turtledemo)/' /usr/local/lib/python3.* \
 && python -B -m deploy.image.root_file_system /venv /root-file-system

FROM scratch
COPY --from=build /root-file-system /
ENV PATH=/venv/bin:/usr/local/bin \
    LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
EXPOSE 8443
# For engines that run it by itself; Kubernetes has probes of its own. Its own certificate is not what is checked here.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
  CMD ["/venv/bin/python", "-c", "import ssl, urllib.request as r; r.urlopen('https://127.0.0.1:8443/healthz', timeout=4, context=ssl._create_unverified_context())"]
# In exec form: the program itself gets the SIGTERM that begins the drain.
ENTRYPOINT ["/venv/bin/graceful-worker"]
CMD ["serve"]
