# One small image with operator, agent, pooler and writer. Builds with docker and with buildah, on amd64 and
# arm64. Mount a folder at /ccache to keep compiled objects between builds.
ARG BASE=docker.io/library/debian:bookworm-slim
FROM ${BASE} AS build
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      build-essential binutils ca-certificates ccache cmake ninja-build pkg-config \
      libboost-dev libcli11-dev libcpprest-dev libpq-dev libspdlog-dev libssl-dev libyaml-cpp-dev \
      nlohmann-json3-dev prometheus-cpp-dev \
 && rm -rf /var/lib/apt/lists/*
ARG CCACHE_DIR=/ccache
WORKDIR /source
# ON only for tests: see src/operator/kill_points.h.
ARG KILL_POINTS=OFF
COPY CMakeLists.txt CMakePresets.json ./
COPY src src
RUN cmake --preset release -DMATRIARCH_KILL_POINTS=${KILL_POINTS} \
 && cmake --build --preset release \
 && cmake --install build/release --prefix /built \
 && src/cmake/gather-runtime.sh /image \
      /built/bin/matriarch-operator /built/bin/matriarch-agent /built/bin/matriarch-pooler \
      /built/bin/matriarch-writer

FROM scratch
COPY --from=build /image/ /
ENV PATH=/opt/matriarch/bin
USER 65532:65532
ENTRYPOINT ["/opt/matriarch/bin/matriarch-operator"]
