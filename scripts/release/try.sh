#!/usr/bin/env bash
# Runs what release.yml runs, job by job, against registries on this machine: the package is published, installed and reads its first event; the
# image of each processor is pushed, signed with a key and verified; what was tampered with is refused. Publishes nothing, leaves nothing behind.
#
#   scripts/release/try.sh [PLATFORM=BASE-IMAGE...]     default: linux/amd64 and the base of the Dockerfile
#
# Needs Docker with buildx, and Debian's cosign and docker-registry. An image of another processor needs qemu-user-binfmt.
# One line per check; the last line counts. Exit code 0 when none failed.
# shellcheck disable=SC2317 # functions are called through `check` and `within`
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
# The development dependency `node`, where this was not started by npm.
export PATH="$PWD/node_modules/.bin:$PATH"

version="$(node -p 'require("./package.json").version')"
repository="$(node -p 'new URL(require("./package.json").repository.url).pathname.slice(1, -".git".length)')"
platforms=("${@:-linux/amd64=$(sed -n 's/^ARG NODE_IMAGE=//p' Dockerfile)}")
free_port() { node -e 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })'; }
npm_port="$(free_port)" image_port="$(free_port)" cloudflare_port="$(free_port)" http_port="$(free_port)"
image="127.0.0.1:$image_port/orgtrail"
pids=()
clean_up() {
  kill -- "${pids[@]}" 2>/dev/null
  wait
  docker images --format '{{.Repository}}:{{.Tag}}' "$image" | xargs -r docker image rm >/dev/null 2>&1
}
# shellcheck source=scripts/checks.sh
source scripts/checks.sh
# In a group of its own: npx starts what it runs as a child.
begin() { setsid "$@" >>"$work/output" 2>&1 & pids+=("-$!"); }
answers() { node -e "fetch('http://127.0.0.1:$1').then((answer) => process.exit(answer.status < 500 ? 0 : 1), () => process.exit(1))"; }
refused() { ! "$@"; }
# As root, the embedded PostgreSQL runs as another user, who has to reach its data.
chmod 711 "$work"

## Job package

needed 'the checkout is what the tag says' node scripts/release/check.ts "v$version" "$repository"
check 'another tag is refused' refused node scripts/release/check.ts v0.0.1 "$repository"
check 'another repository is refused, which npm would refuse' refused node scripts/release/check.ts "v$version" else/orgtrail
needed 'the package and the bill of materials are made' bash scripts/release/package.sh "$work/release"
package="$work/release/orgtrail-$version.tgz" bill="$work/release/orgtrail-$version.cdx.json"
echo "      $(du -k "$package" | cut -f1) kB"

## Job npm

cat >"$work/npm.yaml" <<YAML
storage: $work/npm
uplinks: { npmjs: { url: "$(npm config get registry)" } }
packages: { orgtrail: { access: \$all, publish: \$all }, "**": { access: \$all, proxy: npmjs } }
log: { type: stdout, format: json, level: error }
YAML
begin npx --yes verdaccio@6 --config "$work/npm.yaml" --listen "127.0.0.1:$npm_port"
needed 'a registry of packages answers' within 120 answers "$npm_port"
npm() { command npm --registry "http://127.0.0.1:$npm_port" "--//127.0.0.1:$npm_port/:_authToken=none" "$@"; }
needed 'npm publishes the package' npm publish "$package" --access public
started=$SECONDS
needed 'npm installs it' npm install --global --prefix "$work/global" "orgtrail@$version"
installed=$SECONDS
orgtrail="$work/global/bin/orgtrail"
check "it is version $version" same "$("$orgtrail" --version)" "$version"
begin "$orgtrail" simulate --port "$cloudflare_port" --budget off
export CLOUDFLARE_BASE_URL="http://127.0.0.1:$cloudflare_port/client/v4" CLOUDFLARE_API_TOKEN=any
export ORGTRAIL_DATA_DIR="$work/data" ORGTRAIL_HTTP_PORT="$http_port"
within 30 answers "$cloudflare_port"
begin "$orgtrail" run
has_event() { tail -n 3 "$work/output"; [ -n "$("$orgtrail" feed --url "http://127.0.0.1:$http_port" --limit 1)" ]; }
check 'it reads its first event' within 120 has_event
echo "      $((installed - started)) s to install, $((SECONDS - installed)) s to the first event, $(du -sm "$work/global" | cut -f1) MB"
unset -f npm

## Job image

cat >"$work/registry.yaml" <<YAML
version: 0.1
storage: { filesystem: { rootdirectory: "$work/images" } }
http: { addr: "127.0.0.1:$image_port" }
YAML
begin docker-registry serve "$work/registry.yaml"
needed 'a registry of images answers' within 30 answers "$image_port/v2/"
parts=()
for platform in "${platforms[@]}"; do
  part="$image:$version-$(basename "${platform%%=*}")"
  build() {
    docker build -q --platform "${platform%%=*}" --build-arg "NODE_IMAGE=${platform#*=}" --build-arg "VERSION=$version" -t "$part" . &&
      docker push -q "$part"
  }
  started=$SECONDS
  needed "the image builds for ${platform%%=*}" build
  echo "      $((SECONDS - started)) s, $(($(docker image inspect -f '{{.Size}}' "$part") / 1000000)) MB"
  check "it runs on ${platform%%=*}" same "$(docker run --rm --platform "${platform%%=*}" --read-only "$part" --version)" "$version"
  parts+=("$part")
done
needed 'one image has all of them' docker buildx imagetools create -t "$image:$version" "${parts[@]}"
signed="$image@$(docker buildx imagetools inspect "$image:$version" | awk '/^Digest:/ { print $2 }')"

## Job sign, and what SECURITY.md says, with a key in place of an identity

export COSIGN_PASSWORD=''
with_key=(--key "$work/cosign.key" --tlog-upload=false)
verify() { cosign verify --insecure-ignore-tlog=true --key "$work/cosign.pub" "$1"; }
verify_bill() {
  cosign verify-attestation --insecure-ignore-tlog=true --key "$work/cosign.pub" --type cyclonedx "$signed" >"$work/attested" &&
    node -e "const { payload } = JSON.parse(require('node:fs').readFileSync('$work/attested', 'utf8'));
      require('node:assert').deepEqual(JSON.parse(Buffer.from(payload, 'base64')).predicate, require('$bill'))"
}
needed 'a key is made' cosign generate-key-pair --output-key-prefix "$work/cosign"
check 'without a signature it is refused' refused verify "$signed"
check 'a tag is not signed' refused bash scripts/release/sign.sh "$image:$version" "$bill" "${with_key[@]}"
needed 'it is signed' bash scripts/release/sign.sh "$signed" "$bill" "${with_key[@]}"
check 'it is verified, by digest' verify "$signed"
check 'it is verified, by tag' verify "$image:$version"
check 'its bill of materials is verified, and that of the release' verify_bill

tamper() {
  printf 'FROM %s\nRUN ["node", "-e", "0"]\nLABEL tampered=yes\n' "${parts[0]}" | docker build -q -t "$image:$version" - &&
    docker push -q "$image:$version"
}
needed 'the tag is moved to an image that was tampered with' tamper
check 'it is refused' refused verify "$image:$version"
check 'what was signed is verified still' verify "$signed"
needed 'another key is made' cosign generate-key-pair --output-key-prefix "$work/other"
check 'another key is refused' refused cosign verify --insecure-ignore-tlog=true --key "$work/other.pub" "$signed"

## Job release

holds_notes() { node scripts/release/notes.ts "$signed" | tee "$work/notes" && grep -qF "$signed" "$work/notes" && grep -q '^### Upgrade notes' "$work/notes"; }
check 'the notes begin with the upgrade and have the digest' holds_notes

finish
