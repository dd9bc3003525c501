# A stand-in for the official postgres image, from Debian's packages: the same user,
# folders and PATH, but half the size: without the JIT and its LLVM, and without Perl,
# which only Debian's wrappers around several installed versions need.
ARG BASE
FROM ${BASE} AS install
ARG VERSION
RUN groupadd --system --gid 999 postgres \
 && useradd --system --gid postgres --uid 999 --home-dir /var/lib/postgresql --shell /bin/bash postgres \
 && mkdir -p /etc/postgresql-common \
 && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf \
 && apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql-${VERSION} \
 && dpkg --purge --force-depends $(dpkg-query -W -f '${Package}\n' 'libllvm*' 'libz3-*' \
      perl 'perl-modules*' 'libperl5*' locales libc-l10n) \
 && find /usr/bin -lname '*pg_wrapper' -delete \
 && rm -rf /usr/lib/postgresql/${VERSION}/lib/llvmjit* /usr/lib/postgresql/${VERSION}/lib/bitcode \
      /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/* \
      /usr/share/doc/* /usr/share/man/* /usr/share/locale/* /usr/share/postgresql/*/man \
 && mkdir -p /docker-entrypoint-initdb.d /var/lib/postgresql/data /var/run/postgresql \
 && chown -R postgres:postgres /var/lib/postgresql /var/run/postgresql \
 && chmod 1777 /var/lib/postgresql/data && chmod 3777 /var/run/postgresql

# One layer, so that what was removed takes no room.
FROM scratch
COPY --from=install / /
ARG VERSION
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/${VERSION}/bin \
    LANG=C.UTF-8 PG_MAJOR=${VERSION} PGDATA=/var/lib/postgresql/data
STOPSIGNAL SIGINT
EXPOSE 5432
CMD ["postgres"]
