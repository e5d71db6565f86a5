#!/bin/sh
# Mounts files as the kubelet mounts a Secret, and runs a gate's command on them as a pod's user.
#
# usage: secret.sh DIR KEYS PROGRAM MODE GROUP
#
# DIR: an empty directory. KEYS: the files. They belong to root and GROUP, with MODE; the names are
# symbolic links through ..data; the directory has mode 3777 and is mounted read-only.
set -eu
if [ "$1" != inside ]; then
  exec unshare --mount --propagation private "$0" inside "$@"
fi
dir=$2 keys=$3 program=$4 mode=$5 group=$6
mount -t tmpfs -o mode=755 tmpfs "$dir"
mkdir "$dir/secret"
cp "$program" "$dir/oncegate"
mount -t tmpfs -o mode=3777 tmpfs "$dir/secret"
day=..2026_11_22_08_00_00.1
mkdir -m 2755 "$dir/secret/$day"
ln -s "$day" "$dir/secret/..data"
for file in "$keys"/*; do
  name=$(basename "$file")
  install -m "$mode" -g "$group" "$file" "$dir/secret/$day/$name"
  ln -s "..data/$name" "$dir/secret/$name"
done
mount -o remount,ro "$dir/secret"
cd "$dir"
exec setpriv --reuid=65532 --regid=65532 --groups=65532 ./oncegate keys list --dir secret
