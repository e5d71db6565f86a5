#!/bin/sh
# Runs the gate of an image as a container runtime would: nothing but the image's files, which
# cannot be written, no root, no capability, a network of its own.
#
# usage: container.sh ROOT BROUGHT VARIABLE=VALUE…
#
# ROOT: the image's files. BROUGHT: oncegate.toml and an empty folder each for keys and state, as
# mounted volumes. Says how it went; a container's resolver finds the application "panel".
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ "$1" != inside ]; then
  exec unshare --mount --propagation private --net --pid --fork --mount-proc --kill-child "$0" inside "$@"
fi
root=$2 brought=$3
shift 3
ip link set lo up
mkdir -p "$root/dev" "$root/proc"
touch "$root/etc/oncegate/oncegate.toml" "$root/etc/resolv.conf" "$root/etc/hosts"
printf 'nameserver 127.0.0.1\nsearch default.svc.cluster.local svc.cluster.local\noptions ndots:5\n' > "$root/etc/resolv.conf"
printf '127.0.0.1 localhost\n' > "$root/etc/hosts"
mount --bind "$root" "$root"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero random urandom; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mount -t proc proc "$root/proc"
# A new volume begins with what the image has there: owner and mode.
for volume in keys:/etc/oncegate/keys state:/var/lib/oncegate; do
  from=$brought/${volume%%:*} to=$root${volume#*:}
  chown --reference="$to" "$from"
  chmod --reference="$to" "$from"
  mount --bind "$from" "$to"
done
mount --bind "$brought/oncegate.toml" "$root/etc/oncegate/oncegate.toml"
mount -o remount,bind,ro "$root"

gate="setpriv --no-new-privs /usr/sbin/chroot --userspec=65532:65532 $root /oncegate"
python3 "$here/names.py" &
python3 -m http.server 3000 --bind 127.0.0.1 --directory "$here" >/dev/null 2>&1 &
until curl -s -o "$brought/body" http://127.0.0.1:3000/; do sleep 0.1; done

env -i "$@" $gate keys new --if-missing | sort
env -i "$@" $gate keys new --if-missing
env -i "$@" $gate check
env -i "$@" $gate serve 2>"$brought/log" &
served=$!
for _ in $(seq 300); do
  if health=$(env -i "$@" $gate health 2>&1); then break; fi
  kill -0 $served
  sleep 0.1
done
echo "health: $health"
grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs):' "/proc/$served/status" | tr -s '\t ' ' ' || true
code=$(curl -s -o "$brought/body" -w '%{http_code}' -H 'Host: panel.example.com' http://127.0.0.1:8080/names.py)
echo "application: $code"
kill -TERM $served
wait $served
echo "ended: $?"
