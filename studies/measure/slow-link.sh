#!/usr/bin/env bash
# A receiver behind a link of 8 Mbit/s, made of network namespaces, and a sink that delivers to it. Needs root.
# usage: slow-link.sh NODE RECEIVER SINK   (scripts for NODE; the receiver listens on 10.9.0.2)
set -euo pipefail
node=$1 receiver=$2 sink=$3
ip link set lo up
unshare --net sleep 120 &
far=$!
trap 'kill $far $server 2>/dev/null || true' EXIT
until [ "$(readlink "/proc/$far/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
ip link add near type veth peer name far netns "$far"
ip address add 10.9.0.1/24 dev near
ip link set near up
nsenter --target "$far" --net ip address add 10.9.0.2/24 dev far
nsenter --target "$far" --net ip link set far up
tc qdisc add dev near root tbf rate 8mbit burst 10kb latency 20s
coproc SERVER { exec nsenter --target "$far" --net "$node" "$receiver"; }
server=$SERVER_PID
read -r port <&"${SERVER[0]}"
"$node" "$sink" "$port"
