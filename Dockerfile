# Four targets, one of them the default:
#   airflow   (default) Airflow with this package, its DAGs and its specs, on the official slim image
#   litellm   the LiteLLM proxy, from the lock that the tests run against
#   emulator  the Vertex emulator of the `local` profile; the airflow target plus local/
#   wheel     builds the package; nothing but the wheel leaves it
#
# Every Python distribution comes from a lock file with hashes. A package index of your own is a build argument,
# and so are the two base images:
#   docker compose build --build-arg PIP_INDEX_URL=https://... --build-arg AIRFLOW_IMAGE=registry.example.com/...
# There is no `syntax` line: it names one more image, which no build argument can redirect.

ARG AIRFLOW_IMAGE=apache/airflow:slim-3.3.2-python3.11
# The patch release floats on purpose: it is how a rebuild picks up security fixes of Python and Debian.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm


FROM ${PYTHON_IMAGE} AS wheel
ARG PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST
# For the part that is compiled; without it the package would only read outputs more slowly.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
RUN --mount=type=bind,source=deploy/image/build.txt,target=/tmp/build.txt \
    pip install --no-cache-dir --require-hashes --requirement /tmp/build.txt
COPY pyproject.toml setup.py README.md LICENSE ./
COPY plugins plugins
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --no-index --wheel-dir /wheels .


FROM ${PYTHON_IMAGE} AS litellm
ARG PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST
# The lock is complete, and pip's resolver would refuse an extra (`pydantic[email]`) that has no hash of its own.
RUN --mount=type=bind,source=local/proxy/requirements.txt,target=/tmp/requirements.txt \
    pip install --no-cache-dir --no-deps --require-hashes --requirement /tmp/requirements.txt \
    && pip check
# The home of a user that is not in /etc/passwd would be /, which it may not write.
ENV HOME=/tmp PYTHONUNBUFFERED=1
USER 50000:0
EXPOSE 4000
ENTRYPOINT ["litellm"]
CMD ["--config", "/etc/litellm/litellm.yaml", "--host", "0.0.0.0", "--port", "4000"]


FROM ${AIRFLOW_IMAGE} AS airflow
ARG PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST
# The base image gives the user, the entrypoint and the system's libraries. Its Python environment is made again, so
# that it holds what the locks say and nothing else, and the check judges only that. A layer of its own: a change of
# the package does not install it again. uv needs less processor time for it than pip, and is left out of the image.
RUN --mount=type=bind,source=local/uv.txt,target=/tmp/uv.txt \
    --mount=type=bind,source=requirements.txt,target=/tmp/requirements.txt \
    --mount=type=bind,source=deploy/image/requirements.txt,target=/tmp/requirements-image.txt \
    python -m venv --clear "${VIRTUAL_ENV:?the base image has no virtual environment}" \
    && python -m venv /tmp/uv \
    && /tmp/uv/bin/pip install --no-cache-dir --require-hashes --requirement /tmp/uv.txt \
    && export UV_DEFAULT_INDEX="${PIP_INDEX_URL}" UV_INDEX="${PIP_EXTRA_INDEX_URL}" \
      UV_INSECURE_HOST="${PIP_TRUSTED_HOST}" UV_SYSTEM_CERTS=1 UV_PYTHON_DOWNLOADS=never \
    && /tmp/uv/bin/uv pip install --no-cache --compile-bytecode --no-deps --require-hashes \
      --index-strategy=unsafe-best-match \
      --requirement /tmp/requirements.txt --requirement /tmp/requirements-image.txt \
    && /tmp/uv/bin/uv pip check \
    && rm -rf /tmp/uv
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-deps --no-index /wheels/*.whl \
    && pip check \
    && vertex-batch --help > /dev/null
COPY --chown=airflow:root deploy/image/*.py /opt/airflow/deploy/
COPY --chown=airflow:root deploy/image/config /opt/airflow/config
COPY --chown=airflow:root dags /opt/airflow/dags
COPY --chown=airflow:root include /opt/airflow/include


FROM airflow AS emulator
COPY --chown=airflow:root local /opt/airflow/local
# Mount point of the volume with the throwaway identity: a new volume takes over this owner and mode.
RUN install --directory --mode=2775 /opt/airflow/identity
WORKDIR /opt/airflow
ENTRYPOINT ["python", "-m"]
CMD ["local.emulator"]


FROM airflow
