# The broker on an otherwise empty file system: Python, the C libraries it is linked with, the locked dependencies and the
# broker. No shell, no package manager, nothing that is not used. docs/docker.md says how to run it.
#
# A tag can be moved. To pin the base image for good, name its digest with the tag:
#   docker build --build-arg PYTHON_IMAGE=python:3.11.15-bookworm@sha256:… .
# It has to be Debian's full image: its binutils strip the libraries, and nothing of it but what is copied here is kept.
# Of the image with Node.js, which builds the dashboard, nothing is kept at all.
ARG PYTHON_IMAGE=python:3.11.15-bookworm
ARG NODE_IMAGE=node:20.20.2-bookworm-slim

FROM ${NODE_IMAGE} AS ui
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
WORKDIR /build/ui
COPY ui/package.json ui/package-lock.json ui/.npmrc ./
RUN npm install --no-save --ignore-scripts
COPY ui ./
RUN npm run build

FROM ${PYTHON_IMAGE} AS build
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# The image's layers: ROOT changes with the dependencies and the base, APP with the broker (7 MB); DATA is its directory.
ENV ROOT=/layers/root \
    APP=/layers/app \
    DATA=/layers/data \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# The dependencies, at the versions that CI tests with.
COPY pyproject.toml constraints.txt ./
RUN python -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
      print(*project["dependencies"], *project["optional-dependencies"]["grpc"], sep="\n")' > requirements.txt \
 && python -m pip install --root "$ROOT" --ignore-installed --no-compile --only-binary :all: --no-warn-script-location \
      --constraint constraints.txt --requirement requirements.txt

# The interpreter and its library, without what a server never imports, and without the dependencies' own commands.
RUN prefix="$(python -c 'import sys; print(sys.base_prefix)')" \
 && library="$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
 && cp --archive --parents "$prefix"/bin/python "$prefix"/bin/python3 "$prefix"/bin/python3.?? "$ROOT" \
 && find "$library" -mindepth 1 -maxdepth 1 ! -name site-packages ! -name 'config-*' ! -name __pycache__ ! -name test \
      ! -name distutils ! -name ensurepip ! -name idlelib ! -name lib2to3 ! -name pydoc_data ! -name tkinter \
      ! -name turtle.py ! -name turtledemo ! -name unittest ! -name venv ! -name _pydecimal.py ! -name doctest.py \
      ! -name aifc.py ! -name cgi.py ! -name ftplib.py ! -name imaplib.py ! -name mailbox.py ! -name nntplib.py \
      ! -name smtpd.py ! -name telnetlib.py ! -name xmlrpc \
      -exec cp --archive --parents --target-directory "$ROOT" {} + \
 && find "$ROOT$library" -depth \( -name __pycache__ -o -name test -o -name tests -o -name '*.[ch]' -o -name '*.[ch]pp' \
      -o -name '*.proto' -o -name '*.pyx' -o -name '*.px[di]' -o -name '*.pyi' -o -name '_tkinter.*' -o -name '_curses*.so' \
      -o -name 'readline.*.so' -o -name '_dbm.*' -o -name '_gdbm.*' -o -name 'nis.*.so' -o -name '_test*.so' \
      -o -name '_ctypes_test.*' -o -name '_xx*.so' -o -name 'xx*.so' \) -exec rm -rf {} + \
 && find "$ROOT$prefix/bin" -type f ! -name 'python3.*' -delete

# Parts of the dependencies that nothing here reaches: what tests them, other databases than the broker's, the colours of
# other languages than Python's, cffi's compiler, gRPC's older interface, what zstandard falls back on. A name that a new
# version of a dependency does not have any more ends the build. The metadata, which scanners read, stays.
RUN packages="$ROOT$(python -c 'import sysconfig; print(sysconfig.get_path("platlib"))')" \
 && env --chdir "$packages" rm -r alembic/testing mako/testing sqlalchemy/testing sqlalchemy/dialects/mssql \
      sqlalchemy/dialects/mysql sqlalchemy/dialects/oracle cffi pycparser google/api google/cloud google/gapic \
      google/logging google/longrunning google/type mcp/cli zstandard/backend_cffi.py anyio/pytest_plugin.py \
      anyio/_backends/_trio.py asyncpg/_testbase pydantic/mypy.py grpc/_cython/_credentials/roots.pem grpc/beta \
      grpc/framework \
 && rm "$packages"/zstandard/_cffi.*.so \
 && find "$packages/pygments/lexers" -name '*.py' ! -name __init__.py ! -name _mapping.py ! -name python.py \
      ! -name special.py -delete

# The shared libraries that all of it is linked with, and for scanners the names of the packages they come from.
RUN find "$ROOT" -type f \( -name '*.so*' -o -path '*/bin/python3.*' \) -exec ldd {} + > linked.txt \
 && ! grep 'not found' linked.txt \
 && awk '$2 == "=>" { print $3 } $1 ~ "^/.*/ld-" { print $1 }' linked.txt | grep -v "^$ROOT" | sort -u > libraries.txt \
 && xargs cp --dereference --parents --target-directory "$ROOT" < libraries.txt \
 && find "$ROOT" -type f \( -name '*.so*' -o -path '*/bin/python3.*' \) -exec strip --strip-unneeded {} + \
 && grep -E '^(/usr)?/lib' libraries.txt | sed 's|.*/|*/|' | xargs dpkg --search | cut -d: -f1 | sort -u > packages.txt \
 && mkdir -p "$ROOT/var/lib/dpkg/status.d" \
 && while read -r package; do dpkg-query --status "$package" > "$ROOT/var/lib/dpkg/status.d/$package"; done < packages.txt

# What a system has beside programs: certificates, how names are looked up, one user, a directory that all may write.
# Bytecode is made now, since it cannot be written later. Of the price list, which is data, it is all that is kept.
RUN cp --dereference --parents --target-directory "$ROOT" /etc/os-release /etc/nsswitch.conf \
      /etc/ssl/certs/ca-certificates.crt /etc/ld.so.conf /etc/ld.so.conf.d/* \
 && ldconfig -r "$ROOT" \
 && echo 'ark-broker:x:10001:10001::/data:/nonexistent' > "$ROOT/etc/passwd" \
 && echo 'ark-broker:x:10001:' > "$ROOT/etc/group" \
 && chmod -R u+w,a+rX "$ROOT" \
 && install --directory --mode 1777 "$ROOT/tmp" \
 && python -m compileall -q -j 0 --invalidation-mode unchecked-hash -s "$ROOT" -p / "$ROOT" \
 && prices="$ROOT$(python -c 'import sysconfig; print(sysconfig.get_path("platlib"))')/genai_prices" \
 && mv "$prices"/__pycache__/data.*.pyc "$prices/data.pyc" \
 && rm "$prices/data.py"

# The broker.
RUN python -m venv tools && tools/bin/pip install --constraint constraints.txt hatchling
COPY README.md LICENSE ./
COPY alembic alembic
COPY src src
COPY --from=ui /build/src/ark_broker/_ui src/ark_broker/_ui
# What is there in gzip is not needed plain: the broker unpacks it for the few clients that do not read it.
RUN find src/ark_broker/_ui -name '*.gz' | sed 's/\.gz$//' | xargs rm
RUN tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir wheels . \
 && python -m pip install --root "$APP" --ignore-installed --no-deps --no-compile --no-warn-script-location wheels/*.whl \
 && python -m compileall -q --invalidation-mode unchecked-hash -s "$APP" -p / "$APP" \
 && chmod -R a+rX "$APP" \
 && install --directory --owner 10001 --group 10001 --mode 0700 "$DATA/data"

FROM scratch
LABEL org.opencontainers.image.title="Ark Broker" \
      org.opencontainers.image.description="One durable event log and one live view for everything an LLM agent platform emits about a query" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /layers/root/ /
COPY --from=build /layers/app/ /
COPY --from=build --chown=10001:10001 /layers/data/ /
# A container's own address is the only one that it has, and who reaches that is decided by what runs the container: so the
# broker listens there without asking for tokens (ARK_BROKER_ALLOW_OPEN). ARK_BROKER_AUTH=true makes it ask.
ENV PATH=/usr/local/bin \
    LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    ARK_BROKER_HOST=0.0.0.0 \
    ARK_BROKER_ALLOW_OPEN=true \
    ARK_BROKER_PORT=8080 \
    ARK_BROKER_DATA_DIR=/data
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080 4317
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["python", "-ISc", "import http.client, os; broker = http.client.HTTPConnection('127.0.0.1', int(os.environ['ARK_BROKER_PORT']), timeout=2); broker.request('GET', '/health'); raise SystemExit(broker.getresponse().status != 200)"]
ENTRYPOINT ["ark-broker"]
CMD ["serve"]
