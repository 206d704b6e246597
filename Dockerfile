# syntax=docker/dockerfile:1

# Four targets, one of them the default:
#   airflow   (default) the official Airflow image with this package, its DAGs and its specs baked in
#   litellm   the LiteLLM proxy, from the lock that the tests run against
#   emulator  the Vertex emulator of the `local` profile; the airflow target plus local/
#   wheel     builds the package; nothing but the wheel leaves it

ARG AIRFLOW_IMAGE=apache/airflow:3.3.2-python3.11
# The patch release floats on purpose: it is how a rebuild picks up security fixes of Python and Debian.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm


FROM ${PYTHON_IMAGE} AS wheel
# For the part that is compiled; without it the package would only read outputs more slowly.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml setup.py README.md LICENSE ./
COPY plugins plugins
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .


FROM ${PYTHON_IMAGE} AS litellm
RUN --mount=type=bind,source=requirements-proxy.txt,target=/tmp/requirements-proxy.txt \
    pip install --no-cache-dir --require-hashes --requirement /tmp/requirements-proxy.txt
# The home of a user that is not in /etc/passwd would be /, which it may not write.
ENV HOME=/tmp PYTHONUNBUFFERED=1
USER 50000:0
EXPOSE 4000
ENTRYPOINT ["litellm"]
CMD ["--config", "/etc/litellm/litellm.yaml", "--host", "0.0.0.0", "--port", "4000"]


FROM ${AIRFLOW_IMAGE} AS airflow
# The image was built when its Airflow was released, and its providers are of that day: older than the ones this
# package is tested with. Naming Airflow's own version keeps pip from replacing it; of everything else pip changes
# only what these need. Airflow's constraints file is not applied, because it pins the very providers to be replaced.
# The versions are those of requirements.txt; a test compares them.
ARG GOOGLE_PROVIDER_VERSION=22.8.0
ARG POSTGRES_PROVIDER_VERSION=7.1.1
ARG STANDARD_PROVIDER_VERSION=1.21.0
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --no-cache-dir \
      "apache-airflow==${AIRFLOW_VERSION}" \
      "apache-airflow-providers-google==${GOOGLE_PROVIDER_VERSION}" \
      "apache-airflow-providers-postgres==${POSTGRES_PROVIDER_VERSION}" \
      "apache-airflow-providers-standard==${STANDARD_PROVIDER_VERSION}" \
      "$(echo /wheels/*.whl)[airflow,results]" \
    && pip check \
    && vertex-batch --help > /dev/null
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
