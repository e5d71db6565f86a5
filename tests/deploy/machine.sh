#!/bin/sh
# Starts systemd as the first process of a machine of its own: this machine's programs, and no file,
# process, unit or control group of it.
#
# usage: machine.sh DIR GROUP
#
# DIR: an empty directory; it becomes a tmpfs that only the new machine has. DIR/new is its root.
# GROUP: its control group (version 2). The network is this machine's, for a test's own clients.
set -eu
dir=$1 group=$2
if [ "${3:-}" != inside ]; then
  mkdir "$group"
  echo $$ > "$group/cgroup.procs"
  # It does not outlive the test that started it, however that ends.
  exec setpriv --pdeathsig=KILL unshare --mount --pid --fork --kill-child --ipc --uts --cgroup \
    --propagation private "$0" "$dir" "$group" inside
fi
mount -t tmpfs tmpfs "$dir"
mkdir "$dir/up" "$dir/work" "$dir/new"
mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/up,workdir=$dir/work" "$dir/new"
cd "$dir/new"
mount -t proc proc proc
# So that a service manager that starts does not tune this machine's kernel.
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
  touch "dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/shm dev/pts run/systemd
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx # PrivateDevices= wants it
mount -t tmpfs -o mode=1777 tmpfs dev/shm
rm -rf etc/systemd/system etc/oncegate var/lib/oncegate
mkdir -p etc/systemd/system
mkdir old
pivot_root . old
umount -l old
printf '[Unit]\n' > /etc/systemd/system/nothing.target
exec env -i container=oncegate-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --system --unit=nothing.target --log-target=null --show-status=no </dev/null
