# A stand-in for a published PgBouncer image: PgBouncer in the PATH, nothing else that we rely on.
ARG BASE
FROM ${BASE} AS install
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends pgbouncer \
 && rm -rf /etc/pgbouncer /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/* \
      /usr/share/doc/* /usr/share/man/* /usr/share/locale/*

# One layer, so that what was removed takes no room.
FROM scratch
COPY --from=install / /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
EXPOSE 6432
CMD ["pgbouncer"]
