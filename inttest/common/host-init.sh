#!/bin/sh
# Turns fresh namespaces into a host: a copy-on-write root, its own /proc, /sys, cgroups and /run, then an init that
# reaps. Started by host.ts as: host-init.sh HOSTNAME STATE_DIR READY_FILE PATH...; every PATH is kept below STATE_DIR on
# the machine's own file system, so that it survives a power-off and can carry overlayfs mounts.
set -eu
hostname=$1 state=$2 ready=$3
shift 3

hostname "$hostname"
mount --make-rprivate /

# What the host changes of the root stays in memory; the lower side is the machine, read-only in effect.
root=$state/root
mkdir -p "$root" "$state/layer"
mount -t tmpfs -o mode=755 tmpfs "$state/layer"
mkdir "$state/layer/upper" "$state/layer/work"
mount -t overlay -o lowerdir=/,upperdir="$state/layer/upper",workdir="$state/layer/work" overlay "$root"

mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys" # a new one: /sys/class/net follows the network namespace of its mounter
mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
grep -E ' /sys/fs/cgroup/[^ ]+ .* - cgroup2? ' /proc/self/mountinfo | while read -r line; do
  dir=$(echo "$line" | cut -d' ' -f5)
  type=$(echo "$line" | sed 's/.* - \([^ ]*\) .*/\1/')
  mkdir -p "$root$dir"
  if [ "$type" = cgroup2 ]; then
    mount -t cgroup2 cgroup2 "$root$dir"
  else
    # The last field holds the controllers (or name=…) among flags of the superblock.
    options=$(echo "$line" | sed 's/.* //' | tr ',' '\n' | grep -vE '^(rw|ro|relatime|none|xattr|noprefix|clone_children)$' | paste -sd, -)
    case $options in name=*) options=none,$options ;; esac
    mount -t cgroup -o "$options" cgroup "$root$dir"
  fi
done
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"

for path in "$@"; do
  mkdir -p "$state/disk$path" "$root$path"
  mount --bind "$state/disk$path" "$root$path"
done
if [ -n "${HOST_SHARED:-}" ] && [ -d "$HOST_SHARED" ]; then
  mount --bind "$HOST_SHARED" "$root$HOST_SHARED"
fi

# The system users that a service installation makes, so that components run under them.
uid=900
for user in etcd kube-apiserver kube-scheduler konnectivity-server k0s-api; do
  grep -q "^$user:" "$root/etc/passwd" || echo "$user:x:$uid:$uid::/nonexistent:/usr/sbin/nologin" >>"$root/etc/passwd"
  grep -q "^$user:" "$root/etc/group" || echo "$user:x:$uid:" >>"$root/etc/group"
  uid=$((uid + 1))
done

cd "$root"
mkdir -p .old
pivot_root . .old
mount --make-rshared /
# The marker is written before the machine's own root is let go of.
echo up >"/.old$ready"
umount -l /.old
rmdir /.old
exec tini -s -- sleep infinity
