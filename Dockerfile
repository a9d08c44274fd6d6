# syntax=docker/dockerfile:1
# The image of one node: the binary, certificates of public authorities, and nothing to log in to.
#
#   docker build -t vestibule .
#   docker run --rm vestibule --help

FROM rust:1.95-bookworm AS build
WORKDIR /src
# What SQLite is built with, and why, stands in .cargo/config.toml.
ENV LIBSQLITE3_FLAGS="-DSQLITE_DEFAULT_MEMSTATUS=0 -DSQLITE_ENABLE_QPSG"
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release --bin vestibule \
    && install -D -m 0755 target/release/vestibule /image/usr/local/bin/vestibule \
    && install -d -m 0700 /image/vestibule /image/vestibule/data /image/vestibule/keys

# glibc, libgcc, certificate authorities and time zones; no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build --chown=0:0 /image/usr/local/bin/vestibule /usr/local/bin/vestibule
COPY --from=build --chown=65532:65532 /image/vestibule /vestibule
# `data/` holds the SQLite file where no other database is configured, `keys/` the master key.
WORKDIR /vestibule
VOLUME ["/vestibule/data", "/vestibule/keys"]
USER 65532:65532
# Inside a container the loopback address reaches nobody. The management port stays there unless
# it is moved: whoever opens it (as docker-compose.yml does) keeps it off the public network.
ENV VESTIBULE_HTTP_ADDR="0.0.0.0:8080" \
    VESTIBULE_LOG_FORMAT="json"
EXPOSE 8080
# No HEALTHCHECK: whoever spreads the traffic asks /health/ready on the management port, and
# /health/live tells whether to restart; a probe in here would answer for neither.
ENTRYPOINT ["/usr/local/bin/vestibule"]
CMD ["serve"]
